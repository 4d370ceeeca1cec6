"""The identity file."""

import pytest

from clip_lib.errors import ClipError
from clip_lib.handin import team
from clip_lib.handin.team import depositors, read_team, unfilled

TEAM = """
groupe = 7
[[membres]]
nom = "D'Arc-Lévêque"
prenom = "Zoé Ñ."
carte = 22001234
"""


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The file of this team."""
    monkeypatch.setattr(team, "TEAM_FILE", tmp_path / "equipe.toml")
    return team.TEAM_FILE


def test_names_survive_as_they_are_on_one_line(path):
    path.write_text(TEAM, "utf-8-sig")
    group, members = read_team()
    assert (group, *members.iloc[0]) == ("7", "D'Arc-Lévêque", "Zoé Ñ.", "22001234")
    assert unfilled(group, members) == depositors() == []
    text = TEAM.replace('"Zoé Ñ."', '""" de la\n  Peña """').replace("7", '" 7 "')
    path.write_text(text + 'depose = "false"', "utf-8")
    assert depositors() == []
    path.write_text(text + "depose = true", "utf-8")
    group, members = read_team()
    assert (group, members["Prénom"][1]) == ("7", "de la Peña")
    assert depositors() == ["de la Peña D'Arc-Lévêque"]


def test_a_faulty_file_is_refused(path):
    with pytest.raises(ClipError, match=r"equipe\.toml: no such file"):
        read_team()
    for text, message in (
        ("groupe = ", "not a TOML file"),
        ("groupe = 1", r"expected groupe"),
        (TEAM.replace("carte", "card"), "member 1 has no carte"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(ClipError, match=message):
            read_team()
