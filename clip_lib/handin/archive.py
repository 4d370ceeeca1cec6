"""Write the one zip that the course asks for, once every rule is kept."""

import shutil
import tempfile
import zipfile
from pathlib import Path

from clip_lib.atomic import replacing
from clip_lib.errors import ClipError
from clip_lib.handin.rules import HandIn, check
from clip_lib.handin.team import has_number

CODE = (
    "clip_lib/**/*.py",
    "clip_lib/**/*.txt",
    "clip_lib/web/page.*",
    "clip_lib/handin/paper/*.*",
    "benchmarks/results/*.json",
    # By kind: an index of somebody's own photos may lie beside them.
    *(f"models/pretrained/*.{kind}" for kind in ("keras", "txt", "json", "md")),
    "models/pretrained/SHA256SUMS",
    "requirements*.txt",
    "equipe.toml",
    "LICENSE",
)
"""What the notebook needs to run where the zip is unpacked."""
_READ_ME = """HAI923, groupe {group}

{members}

Le code que le notebook appelle. Pour l'exécuter là où l'archive est dépliée (Python
3.11, 3.12 ou 3.13), dans le dossier de {group}_ProjetClip.ipynb :

    python -m pip install -r {group}_code/requirements.txt
    jupyter lab {group}_ProjetClip.ipynb

Les données sont cherchées dans data/flickr, sinon téléchargées, à défaut dessinées.
"""


def build_archive(
    hand_in: HandIn, folder=".", force: bool = False
) -> tuple[Path | None, dict[str, list[str]]]:
    """Check every rule, and write ``<group>.zip`` if none is broken.

    Args:
        hand_in: The files.
        folder: Where the archive goes.
        force: Whether to write it even if a rule is broken.

    Returns:
        The archive, None if it was not written, and what `check` found. An earlier
        archive stays untouched until the new one is complete.

    Raises:
        ClipError: If ``force`` is set and a file is missing, or the group has no
            number: there is nothing to pack, or no name to give.
    """
    missing = [str(path) for path in hand_in.names.values() if not path.is_file()]
    if missing or not has_number(hand_in.group):
        if force:
            lack = ", ".join(missing) or "a group number in equipe.toml"
            raise ClipError(f"no archive can be made without {lack}.")
        return None, check(hand_in)
    with tempfile.TemporaryDirectory() as scratch:
        hand_in.archive = Path(scratch, f"{hand_in.group}.zip")
        _write(hand_in)
        faults = check(hand_in)
        if any(faults.values()) and not force:
            return None, faults
        with replacing(Path(folder) / hand_in.archive.name) as temporary:
            shutil.copyfile(hand_in.archive, temporary)
    return Path(folder) / hand_in.archive.name, faults


def _write(hand_in: HandIn) -> None:
    """Write the archive: the same files give the same bytes."""
    files = {
        file.relative_to(hand_in.root).as_posix(): file
        for pattern in CODE
        for file in hand_in.root.glob(pattern)
        if file.is_file()
    }
    code = f"{hand_in.group}_code"
    named = hand_in.names | {f"{code}/{name}": files[name] for name in sorted(files)}
    members = "\n".join(map(" ".join, hand_in.members.to_numpy()))
    text = _READ_ME.format(group=hand_in.group, members=members)
    with zipfile.ZipFile(
        hand_in.archive, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False
    ) as archive:
        for name, file in named.items():
            archive.write(file, name)
        # Of a fixed date, as ZipInfo gives it.
        archive.writestr(zipfile.ZipInfo(f"{code}/LISEZMOI.txt"), text)
