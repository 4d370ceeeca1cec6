"""Read who hands the project in, from one small file that the notebook shows."""

import re
import tomllib
from pathlib import Path

import pandas as pd

from clip_lib.errors import ClipError

TEAM_FILE = Path(__file__).parents[2] / "equipe.toml"
"""Beside clip_lib: the notebook may run elsewhere, as it does from the archive."""
SIZE = 4
"""Members that the course wants in a team."""
CARD = "Numéro d'étudiant"
_COLUMNS = {"nom": "Nom", "prenom": "Prénom", "carte": CARD}
_EXAMPLES = {
    "groupe": "groupe = 7",
    "raison": "raison = \"trois membres, avec l'accord de l'enseignante\"",
    "nom": 'nom = "D\'Arc-Lévêque"',
    "prenom": 'prenom = "Zoé"',
    "carte": 'carte = "22001234"',
    "depose": "depose = true",
}
"""How each key is written; what a message shows."""


def read_team() -> tuple[str, pd.DataFrame]:
    """Read the group number and the members from `TEAM_FILE`.

    It holds ``groupe`` and a table ``[[membres]]`` for each member (``nom``,
    ``prenom``, ``carte``; ``depose``, see `depositors`); ``raison`` says why a team is
    not of four.

    Returns:
        The group's number, and a table of the members with French headings.

    Raises:
        ClipError: If the file is missing, is not TOML, or lacks a field: in French,
            with the line and an example.
    """
    team = _load()
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


def depositors() -> list[str]:
    """Return the members who put the archive on Moodle: those with ``depose = true``.

    Raises:
        ClipError: As for `read_team`.
    """
    _, members = read_team()
    depose = [one.get("depose") is True for one in _load()["membres"]]
    return [f"{first} {last}" for last, first, _ in members[depose].to_numpy()]


def team_faults() -> list[str]:
    """Return what is still empty, doubled or missing in the file, in French.

    Raises:
        ClipError: As for `read_team`.
    """
    group, members = read_team()
    faults = []
    if not has_number(group):
        faults.append(_fault("groupe", f"« {group} » n'est pas un numéro de groupe"))
    for number, member in members.iterrows():
        empty = [
            key
            for key, title in _COLUMNS.items()
            if not is_filled(title, member[title])
        ]
        if empty:
            shown = ", ".join(f"{key} « {member[_COLUMNS[key]]} »" for key in empty)
            what = f"{shown} du membre {number} : à remplir"
            faults.append(_fault(empty[0], what, number))
    for number, card in members[CARD][members[CARD].duplicated()].items():
        if is_filled(CARD, card):
            what = f"le numéro d'étudiant {card} est aussi celui d'un autre membre"
            faults.append(_fault("carte", what, number))
    if len(who := depositors()) != 1:
        who = " et ".join(who) or "personne"
        what = f"qui dépose sur Moodle ? ici {who} ; il faut une seule personne"
        faults.append(_fault("depose", what, 1))
    if len(members) != SIZE and not _on_one_line(_load().get("raison", "")):
        what = f"équipe de {len(members)}, quand le cours en demande {SIZE} : dites"
        what += " pourquoi, sous « groupe »"
        faults.append(_fault("raison", what))
    return faults


def _load() -> dict:
    if not TEAM_FILE.is_file():
        raise ClipError(f"{TEAM_FILE} : fichier introuvable ; il nomme l'équipe.")
    try:
        text = TEAM_FILE.read_text(encoding="utf-8-sig")
        team = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ClipError(f"{TEAM_FILE} : à enregistrer en UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        lines = text.splitlines() or [""]
        found = re.search(r"at line (\d+)", str(error))
        place = min(int(found[1]), len(lines)) if found else len(lines)
        line = lines[place - 1].strip()
        key = next((key for key in _EXAMPLES if line.startswith(key)), "nom")
        shown = "[[membres]]" if line.startswith("[") else _EXAMPLES[key]
        raise ClipError(
            f"{TEAM_FILE}, ligne {place} : « {line} » n'est pas écrit comme il faut ; "
            f"exemple : {shown}."
        ) from error
    if "groupe" not in team:
        raise ClipError(_fault("groupe", "le numéro du groupe manque"))
    members = team.get("membres")
    if not members or not isinstance(members, list):
        lines = enumerate(text.splitlines(), 1)
        place = next((n for n, line in lines if line.lstrip().startswith("[m")), 1)
        what = "chaque membre commence par une ligne [[membres]]"
        raise ClipError(f"{TEAM_FILE}, ligne {place} : {what}.")
    for number, member in enumerate(members, 1):
        for key in _COLUMNS:
            if key not in member:
                what = f"« {key} » manque au membre {number}"
                raise ClipError(_fault(key, what, number))
    return team


def _fault(key: str, what: str, member: int = 0) -> str:
    """Return a sentence: the line of a member's key, or where he begins; an example."""
    lines = TEAM_FILE.read_text(encoding="utf-8-sig").splitlines()
    starts = [n for n, line in enumerate(lines) if line.strip() == "[[membres]]"]
    begin = starts[member - 1] if 0 < member <= len(starts) else 0
    own = [n for n in range(begin, len(lines)) if re.match(rf"\s*{key}\b", lines[n])]
    end = starts[member] if member < len(starts) else len(lines)
    place = own[0] if own and own[0] < end else begin
    return f"{TEAM_FILE.name}, ligne {place + 1} : {what} ; exemple : {_EXAMPLES[key]}."


def _on_one_line(value) -> str:
    return " ".join(str(value).split())
