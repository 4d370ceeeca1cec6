"""Write the one zip that the course asks for, once every rule is kept; read one."""

import contextlib
import dataclasses
import os
import re
import subprocess
import tempfile
import zipfile
from pathlib import Path

import nbformat

from clip_lib.atomic import replacing
from clip_lib.data.captions_table import own_files
from clip_lib.errors import ClipError
from clip_lib.handin.document_text import read_notebook
from clip_lib.handin.rules import HandIn, check
from clip_lib.handin.team import has_number

CODE = (
    "clip_lib/**/*.py",
    "clip_lib/**/*.txt",
    "clip_lib/**/*.toml",
    "clip_lib/web/page.*",
    "clip_lib/handin/shipped.json",
    "clip_lib/handin/paper/*.*",
    "benchmarks/results/*.json",
    "requirements*.txt",
    "equipe.toml",
    "LICENSE",
)
"""What the notebook needs to run where the zip is unpacked."""
WEIGHTS = (
    # By kind: an index of somebody's own photos may lie beside them.
    *(f"models/pretrained/*.{kind}" for kind in ("keras", "txt", "json", "md")),
    "models/pretrained/SHA256SUMS",
)
"""What goes along if the notebook's code uses it."""
_USES_WEIGHTS = r"list_options|pretrained"
_READ_ME = """HAI923, groupe {group}

{members}

Le code que le notebook appelle. Pour l'exécuter là où l'archive est dépliée (Python
3.11, 3.12 ou 3.13), dans le dossier de {group}_ProjetClip.ipynb :

    python -m pip install -r {group}_code/requirements.txt
    jupyter lab {group}_ProjetClip.ipynb

Les données sont cherchées dans data/flickr, sinon téléchargées, à défaut dessinées.
"""


def build_archive(
    hand_in: HandIn, folder=".", waived=()
) -> tuple[Path | None, dict[str, list[str]], list[str]]:
    """Check every rule, and write ``<group>.zip`` if none is broken.

    An earlier archive stays until the new one is complete, then as ``<group>.zip.old``.

    Args:
        hand_in: The files.
        folder: Where the archive goes.
        waived: Names of the rules that may be broken.

    Returns:
        The archive, None if it was not written; what `check` found; and what else its
        team should know, a sentence each.

    Raises:
        ClipError: If a file is missing and ``files`` is waived, or the group has no
            number and ``team`` is: there is nothing to pack, or no name to give.
    """
    missing = [str(path) for path in hand_in.names.values() if not path.is_file()]
    if missing or not has_number(hand_in.group):
        if ("files" if missing else "team") in waived:
            lack = ", ".join(missing) or "a group number in equipe.toml"
            raise ClipError(f"no archive can be made without {lack}.")
        return None, check(hand_in), []
    with tempfile.TemporaryDirectory() as scratch:
        hand_in.archive = Path(scratch, f"{hand_in.group}.zip")
        notes, faults = _write(hand_in), check(hand_in)
        if any(faults[name] for name in faults.keys() - set(waived)):
            return None, faults, notes
        target = Path(folder) / hand_in.archive.name
        made = hand_in.archive.read_bytes()
        with replacing(target) as temporary:
            temporary.write_bytes(made)
            if target.is_file() and target.read_bytes() != made:
                former = target.with_name(f"{target.name}.old")
                os.replace(target, former)
                notes.append(f"the earlier {target.name} is now {former.name}.")
    return target, faults, notes


@contextlib.contextmanager
def open_archive(path, hand_in: HandIn):
    """Give a hand-in whose files come from an archive; they are removed at the end.

    Args:
        path: A zip, as it will be handed in.
        hand_in: What the project would hand in: its team and its root.

    Raises:
        ClipError: If there is no such file, it is not a zip or cannot be unpacked.
    """
    path, group = Path(path), hand_in.group
    if not path.is_file():
        raise ClipError(f"{path}: no such file.")
    if not zipfile.is_zipfile(path):
        raise ClipError(f"{path}: not a zip.")
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if "/" not in name]
        notebooks = [name for name in names if name.endswith(".ipynb")]
        notebook = notebooks[0] if notebooks else f"{group}_ProjetClip.ipynb"
        wanted = (f"{group}.pdf", notebook, str(Path(notebook).with_suffix(".pdf")))
        for name in set(wanted).intersection(names):
            try:
                file = Path(archive.extract(name, scratch))
            except (RuntimeError, zipfile.BadZipFile) as error:
                raise ClipError(f"{path}: {error}.") from error
            # Its own time: `today` may ask for it.
            os.utime(file, (path.stat().st_mtime,) * 2)
        report, notebook, notebook_pdf = (Path(scratch, name) for name in wanted)
        yield dataclasses.replace(
            hand_in,
            report=report,
            notebook=notebook,
            notebook_pdf=notebook_pdf,
            archive=path,
        )


def _write(hand_in: HandIn) -> list[str]:
    """Write the archive: the same files give the same bytes; return notes on it."""
    root, notes = hand_in.root, []
    files = _matching(root, CODE)
    weights = _matching(root, WEIGHTS)
    with contextlib.suppress(ClipError):  # A rule says so.
        cells = read_notebook(hand_in.notebook).cells
        code = "\n".join(one.source for one in cells if one.cell_type == "code")
        if weights and re.search(_USES_WEIGHTS, code):
            files |= weights
            size = sum(file.stat().st_size for file in weights.values()) / 1e6
            used = "because a cell of the notebook loads them"
            notes.append(f"{size:.1f} MB of models/pretrained go along, {used}.")
    if tracked := _tracked(root):
        hand_in.left_out = sorted(files.keys() - tracked)
        files = {name: file for name, file in files.items() if name in tracked}
    code = f"{hand_in.group}_code"
    named = hand_in.names | {f"{code}/{name}": files[name] for name in sorted(files)}
    members = "\n".join(map(" ".join, hand_in.members.to_numpy()))
    read_me = _READ_ME.format(group=hand_in.group, members=members)
    with zipfile.ZipFile(
        hand_in.archive, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False
    ) as archive:
        for name, file in named.items():
            if file == hand_in.notebook and "notebook" in hand_in.contents:
                about = zipfile.ZipInfo.from_file(file, name, strict_timestamps=False)
                # As it was checked: without the exercises.
                text = nbformat.writes(hand_in.contents["notebook"])
                archive.writestr(about, f"{text}\n", zipfile.ZIP_DEFLATED)
            else:
                archive.write(file, name)
        # Of a fixed date, as ZipInfo gives it.
        archive.writestr(zipfile.ZipInfo(f"{code}/LISEZMOI.txt"), read_me)
    return notes


def _matching(root: Path, patterns) -> dict[str, Path]:
    """Return name -> file of what matches, without hidden files and folders."""
    files = [file for pattern in patterns for file in own_files(root, pattern)]
    return {file.relative_to(root).as_posix(): file for file in files}


def _tracked(root: Path) -> set[str]:
    """Return the names of the files that git tracks; none where there is no git."""
    with contextlib.suppress(OSError):
        listed = ("git", "-C", str(root), "ls-files", "-z")
        done = subprocess.run(listed, capture_output=True)
        if not done.returncode:
            return set(done.stdout.decode(errors="replace").split("\0")) - {""}
    return set()
