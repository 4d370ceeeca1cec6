"""One zip with everything that the course asks for."""

import shutil
import tempfile
import zipfile
from pathlib import Path

from clip_lib.atomic import replacing
from clip_lib.handin.archive_rules import check_archive
from clip_lib.handin.rules import HandIn, Rule, check_files

ROOT = Path(__file__).parents[2]
CODE = (
    "clip_lib/**/*",
    "benchmarks/results/*.json",
    "requirements*.txt",
    "equipe.toml",
)
"""What the notebook needs to run where the zip is unpacked."""


def build_archive(
    hand_in: HandIn, folder=".", force: bool = False
) -> tuple[Path | None, list[Rule]]:
    """Check everything, and write ``<group>.zip`` if nothing is wrong.

    Args:
        hand_in: The files.
        folder: Where the archive shall lie.
        force: Whether to write it although something is wrong.

    Returns:
        The archive, None if it was not written, and every rule.

    Raises:
        ValueError: If a file is missing or the group has no number and ``force`` is
            set: there is nothing to put in, or no name to give.
    """
    rules = check_files(hand_in)
    missing = [str(path) for path in hand_in.names.values() if not path.is_file()]
    if missing or not hand_in.group.isdecimal():
        if force:
            lack = ", ".join(missing) or "a group number in equipe.toml"
            raise ValueError(f"no archive can be made without {lack}.")
        return None, rules
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, f"{hand_in.group}.zip")
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, path in _contents(hand_in).items():
                archive.write(path, name)
        rules += check_archive(made, hand_in.group)
        if any(rule.faults for rule in rules) and not force:
            return None, rules
        with replacing(Path(folder) / made.name) as temporary:
            shutil.copyfile(made, temporary)
    return Path(folder) / made.name, rules


def _contents(hand_in: HandIn) -> dict[str, Path]:
    """Return what the archive holds: name in it -> file."""
    files = {
        path
        for pattern in CODE
        for path in ROOT.glob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }
    code = f"{hand_in.group}_code"
    return hand_in.names | {
        f"{code}/{path.relative_to(ROOT).as_posix()}": path for path in sorted(files)
    }
