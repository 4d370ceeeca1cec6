"""The identity file."""

import pytest

from clip_lib.handin.team import depositors, read_team, unfilled

TEAM = """
groupe = 7
[[membres]]
nom = "D'Arc-Lévêque"
prenom = "Zoé Ñ."
carte = 22001234
"""


def test_names_survive_as_they_are(tmp_path):
    (tmp_path / "equipe.toml").write_text(TEAM, encoding="utf-8-sig")
    group, members = read_team(tmp_path / "equipe.toml")
    assert group == "7"
    assert members.iloc[0].tolist() == ["D'Arc-Lévêque", "Zoé Ñ.", "22001234"]


def test_a_value_stands_on_one_line(tmp_path):
    path = tmp_path / "equipe.toml"
    name = '""" de la\n  Peña """'
    path.write_text(TEAM.replace('"Zoé Ñ."', name).replace("7", '" 7 "'), "utf-8")
    group, members = read_team(path)
    assert (group, members["Prénom"][1]) == ("7", "de la Peña")


def test_what_is_not_filled_in(tmp_path):
    path = tmp_path / "equipe.toml"
    path.write_text(TEAM, encoding="utf-8")
    assert unfilled(path) == []
    path.write_text(TEAM.replace("Zoé", "<Prénom>").replace("22001234", '" "'), "utf-8")
    assert unfilled(path) == ["<Prénom> Ñ.", ""]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("", []),
        ("depose = false", []),
        ('depose = "false"', []),
        ("depose = true", ["Zoé Ñ. D'Arc-Lévêque"]),
    ],
)
def test_who_hands_it_in(tmp_path, line, names):
    path = tmp_path / "equipe.toml"
    path.write_text(TEAM + line, encoding="utf-8")
    assert depositors(path) == names


def test_the_projects_own_file_is_read():
    group, members = read_team()
    assert group
    assert list(members.columns) == ["Nom", "Prénom", "Numéro d'étudiant"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("groupe = ", "not a TOML file"),
        ("groupe = 1", r"expected groupe"),
        (TEAM.replace("carte", "card"), "member 1 has no carte"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path, text, message):
    (tmp_path / "equipe.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_team(tmp_path / "equipe.toml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.toml: no such file"):
        read_team(tmp_path / "none.toml")
