"""The identity file."""

import pytest

from clip_lib.team import read_team

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
