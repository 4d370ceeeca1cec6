"""Who hands the project in: read from one small file, shown by the notebook."""

import tomllib
from pathlib import Path

import pandas as pd

TEAM_FILE = "equipe.toml"
_COLUMNS = {"nom": "Nom", "prenom": "Prénom", "carte": "Numéro d'étudiant"}


def read_team(path=TEAM_FILE) -> tuple[str, pd.DataFrame]:
    """Read the group number and the members.

    Args:
        path: TOML file with ``groupe`` and one ``[[membres]]`` a member (``nom``,
            ``prenom``, ``carte``; see `depositors` for ``depose``). If it is not in
            this folder, the one beside clip_lib is taken, as in the archive handed in.

    Returns:
        The group's number, and a table of the members with French headings.

    Raises:
        ValueError: If the file is missing, is not TOML, or lacks a field (named).
    """
    team = _read(path)
    table = pd.DataFrame(team["membres"]).astype(str)[list(_COLUMNS)]
    table.index = pd.RangeIndex(1, len(table) + 1)
    return str(team["groupe"]), table.rename(columns=_COLUMNS)


def unfilled(path=TEAM_FILE) -> list[str]:
    """Return the values that nobody has filled in: those still in angle brackets."""
    group, members = read_team(path)
    values = [group, *members.to_numpy().ravel()]
    return [value for value in values if value.startswith("<") and value.endswith(">")]


def depositors(path=TEAM_FILE) -> list[str]:
    """Name the members who put the archive on Moodle: those with ``depose = true``.

    Raises:
        ValueError: As for `read_team`.
    """
    members = _read(path)["membres"]
    return [f"{one['prenom']} {one['nom']}" for one in members if one.get("depose")]


def _read(path) -> dict:
    """Read and check the file."""
    path = Path(path)
    if not path.is_file():
        path = Path(__file__).parents[1] / path
    if not path.is_file():
        raise ValueError(f"{path}: no such file; it names the team.")
    try:
        team = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file in UTF-8 ({error}).") from error
    if "groupe" not in team or not team.get("membres"):
        raise ValueError(f"{path}: expected groupe = ... and [[membres]].")
    for number, member in enumerate(team["membres"], 1):
        missing = [name for name in _COLUMNS if name not in member]
        if missing:
            raise ValueError(f"{path}: member {number} has no {', '.join(missing)}.")
    return team
