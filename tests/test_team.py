"""The identity file."""

import pytest

from clip_lib.errors import ClipError
from clip_lib.handin.team import depositors, read_team, unfilled

TEAM = """
groupe = 7
[[membres]]
nom = "D'Arc-Lévêque"
prenom = "Zoé Ñ."
carte = 22001234
"""


@pytest.fixture
def write(tmp_path):
    """Write a text as equipe.toml; return its path."""

    def write(text, encoding="utf-8"):
        (tmp_path / "equipe.toml").write_text(text, encoding)
        return tmp_path / "equipe.toml"

    return write


def test_names_survive_as_they_are_on_one_line(write):
    group, members = read_team(write(TEAM, "utf-8-sig"))
    assert (group, *members.iloc[0]) == ("7", "D'Arc-Lévêque", "Zoé Ñ.", "22001234")
    text = TEAM.replace('"Zoé Ñ."', '""" de la\n  Peña """').replace("7", '" 7 "')
    group, members = read_team(write(text))
    assert (group, members["Prénom"][1]) == ("7", "de la Peña")


def test_who_is_in_it_and_who_hands_it_in(write):
    assert unfilled(*read_team(write(TEAM))) == []
    text = TEAM.replace("Zoé", "<Prénom>").replace("22001234", '" "')
    card = "member 1, Numéro d'étudiant: ''"
    assert unfilled(*read_team(write(text))) == [
        "member 1, Prénom: '<Prénom> Ñ.'",
        card,
    ]
    for line in ("", "depose = false", 'depose = "false"'):
        assert depositors(write(TEAM + line)) == []
    assert depositors(write(TEAM + "depose = true")) == ["Zoé Ñ. D'Arc-Lévêque"]


def test_a_faulty_file_is_refused(write, tmp_path):
    for text, message in (
        ("groupe = ", "not a TOML file"),
        ("groupe = 1", r"expected groupe"),
        (TEAM.replace("carte", "card"), "member 1 has no carte"),
    ):
        with pytest.raises(ClipError, match=message):
            read_team(write(text))
    with pytest.raises(ClipError, match=r"none\.toml: no such file"):
        read_team(tmp_path / "none.toml")
