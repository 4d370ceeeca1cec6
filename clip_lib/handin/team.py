"""Read who hands the project in, from one small file that the notebook shows."""

import re
import tomllib
from pathlib import Path

import pandas as pd

from clip_lib.errors import ClipError

TEAM_FILE = Path(__file__).parents[2] / "equipe.toml"
"""Beside clip_lib: the notebook may run elsewhere, as it does from the archive."""
CARD = "Numéro d'étudiant"
_COLUMNS = {"nom": "Nom", "prenom": "Prénom", "carte": CARD}


def read_team() -> tuple[str, pd.DataFrame]:
    """Read the group number and the members from `TEAM_FILE`.

    It holds ``groupe`` and a table ``[[membres]]`` for each member (``nom``,
    ``prenom``, ``carte``; see `depositors` for ``depose``).

    Returns:
        The group's number, and a table of the members with French headings.

    Raises:
        ClipError: If the file is missing, is not TOML, or lacks a field (named).
    """
    team = _load()
    if "groupe" not in team or not team.get("membres"):
        raise ClipError(f"{TEAM_FILE}: expected groupe = ... and [[membres]].")
    for number, member in enumerate(team["membres"], 1):
        missing = [name for name in _COLUMNS if name not in member]
        if missing:
            raise ClipError(
                f"{TEAM_FILE}: member {number} has no {', '.join(missing)}."
            )
    table = pd.DataFrame(team["membres"])[list(_COLUMNS)].map(_on_one_line)
    table.index = pd.RangeIndex(1, len(table) + 1)
    return _on_one_line(team["groupe"]), table.rename(columns=_COLUMNS)


def has_number(group: str) -> bool:
    """Whether a group's number is written as in the course's list: 7, not 07."""
    return bool(re.fullmatch("[1-9][0-9]*", group))


def is_filled(title: str, value: str) -> bool:
    """Whether a value of the table may be a name or, where expected, a number."""
    kind = r"\d" if title == CARD else r"[^\W\d_]"
    return bool(re.search(kind, value)) and not re.search("[<>]", value)


def unfilled(group: str, members: pd.DataFrame) -> list[str]:
    """Return what is still empty or a placeholder, each with its place and value."""
    expected = "expected a number such as 7, without a leading 0"
    places = [] if has_number(group) else [f"group {group!r}: {expected}"]
    return places + [
        f"member {number}, {title}: {value!r}"
        for number, member in members.iterrows()
        for title, value in member.items()
        if not is_filled(title, value)
    ]


def depositors() -> list[str]:
    """Return the members who put the archive on Moodle: those with ``depose = true``.

    Raises:
        ClipError: As for `read_team`.
    """
    _, members = read_team()
    depose = [one.get("depose") is True for one in _load()["membres"]]
    return [f"{first} {last}" for last, first, _ in members[depose].to_numpy()]


def _load() -> dict:
    if not TEAM_FILE.is_file():
        raise ClipError(f"{TEAM_FILE}: no such file; it names the team.")
    try:
        return tomllib.loads(TEAM_FILE.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ClipError(f"{TEAM_FILE}: not a TOML file in UTF-8 ({error}).") from error


def _on_one_line(value) -> str:
    return " ".join(str(value).split())
