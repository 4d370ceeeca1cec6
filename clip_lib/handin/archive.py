"""One zip with everything that the course asks for."""

import shutil
import tempfile
import zipfile
from pathlib import Path

from clip_lib.atomic import replacing
from clip_lib.errors import ClipError
from clip_lib.handin.archive_rules import check_archive
from clip_lib.handin.file_rules import check_files
from clip_lib.handin.rules import HandIn, Rule

CODE = (
    "clip_lib/**/*.py",
    "clip_lib/**/*.txt",
    "clip_lib/handin/paper/*.*",
    "benchmarks/results/*.json",
    "models/pretrained/*",
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
) -> tuple[Path | None, list[Rule]]:
    """Check everything, and write ``<group>.zip`` if nothing is wrong.

    Args:
        hand_in: The files.
        folder: Where the archive shall lie.
        force: Whether to write it although something is wrong.

    Returns:
        The archive, None if it was not written, and every rule. A former archive stays
        as it was until the new one is whole.

    Raises:
        ClipError: If a file is missing or the group has no number and ``force`` is
            set: there is nothing to put in, or no name to give.
    """
    rules = check_files(hand_in)
    missing = [str(path) for path in hand_in.names.values() if not path.is_file()]
    if missing or not hand_in.has_number:
        if force:
            lack = ", ".join(missing) or "a group number in equipe.toml"
            raise ClipError(f"no archive can be made without {lack}.")
        return None, rules
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, f"{hand_in.group}.zip")
        _write(made, hand_in)
        rules += check_archive(made, hand_in.group)
        if any(rule.faults for rule in rules) and not force:
            return None, rules
        with replacing(Path(folder) / made.name) as temporary:
            shutil.copyfile(made, temporary)
    return Path(folder) / made.name, rules


def _write(path: Path, hand_in: HandIn) -> None:
    """Write the archive: the same files make the same bytes."""
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
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in named.items():
            _add(archive, name, file, file.read_bytes())
        _add(archive, f"{code}/LISEZMOI.txt", hand_in.notebook, text.encode())


def _add(archive: zipfile.ZipFile, name: str, dated: Path, content: bytes) -> None:
    """Add a file, as old as another, that everyone may read."""
    entry = zipfile.ZipInfo.from_file(dated, name, strict_timestamps=False)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o100644 << 16
    archive.writestr(entry, content)
