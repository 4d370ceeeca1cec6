"""Who hands the project in: read from one small file, shown by the notebook."""

import re
import tomllib
from pathlib import Path

import pandas as pd

from clip_lib.errors import ClipError

TEAM_FILE = Path(__file__).parents[2] / "equipe.toml"
"""Beside clip_lib: the notebook may run elsewhere, as it does from the archive."""
_COLUMNS = {"nom": "Nom", "prenom": "Prénom", "carte": "Numéro d'étudiant"}


def read_team(path=None) -> tuple[str, pd.DataFrame]:
    """Read the group number and the members.

    Args:
        path: TOML file with ``groupe`` and one ``[[membres]]`` a member (``nom``,
            ``prenom``, ``carte``; see `depositors` for ``depose``); by default
            `TEAM_FILE`.

    Returns:
        The group's number, and a table of the members with French headings.

    Raises:
        ClipError: If the file is missing, is not TOML, or lacks a field (named).
    """
    path, team = _load(path)
    if "groupe" not in team or not team.get("membres"):
        raise ClipError(f"{path}: expected groupe = ... and [[membres]].")
    for number, member in enumerate(team["membres"], 1):
        missing = [name for name in _COLUMNS if name not in member]
        if missing:
            raise ClipError(f"{path}: member {number} has no {', '.join(missing)}.")
    table = pd.DataFrame(team["membres"])[list(_COLUMNS)].map(_on_one_line)
    table.index = pd.RangeIndex(1, len(table) + 1)
    return _on_one_line(team["groupe"]), table.rename(columns=_COLUMNS)


def unfilled(path=None) -> list[str]:
    """Return the values that nobody has filled in: empty or still in angle brackets."""
    group, members = read_team(path)
    values = [group, *members.to_numpy().ravel()]
    return [value for value in values if not value or re.search("[<>]", value)]


def depositors(path=None) -> list[str]:
    """Name the members who put the archive on Moodle: those with ``depose = true``.

    Raises:
        ClipError: As for `read_team`.
    """
    _, members = read_team(path)
    depose = [one.get("depose") is True for one in _load(path)[1]["membres"]]
    return [f"{first} {last}" for last, first, _ in members[depose].to_numpy()]


def _load(path) -> tuple[Path, dict]:
    path = Path(path or TEAM_FILE)
    if not path.is_file():
        raise ClipError(f"{path}: no such file; it names the team.")
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ClipError(f"{path}: not a TOML file in UTF-8 ({error}).") from error


def _on_one_line(value) -> str:
    return " ".join(str(value).split())
