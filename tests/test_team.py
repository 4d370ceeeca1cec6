"""The identity file."""

import pytest

from clip_lib.errors import ClipError
from clip_lib.handin import team
from clip_lib.handin.team import depositors, read_team, team_faults

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
    assert depositors() == []
    text = TEAM.replace('"Zoé Ñ."', '""" de la\n  Peña """').replace("7", '" 7 "')
    path.write_text(text + 'depose = "false"', "utf-8")
    assert depositors() == []
    path.write_text(text + "depose = true", "utf-8")
    group, members = read_team()
    assert (group, members["Prénom"][1]) == ("7", "de la Peña")
    assert depositors() == ["de la Peña D'Arc-Lévêque"]


def test_a_faulty_file_is_explained_in_french_with_its_line(path):
    with pytest.raises(ClipError, match=r"equipe\.toml : fichier introuvable"):
        read_team()
    member = TEAM.partition("[[")[2]
    for text, message in (
        ("groupe = ", r"ligne 1 : « groupe = » n'est .* ; exemple : groupe = 7\.$"),
        (TEAM.replace('"Zoé Ñ."', "Zoé"), 'ligne 5 : « prenom = Zoé » .* = "Zoé"'),
        (TEAM.replace('"Zoé Ñ."', "“Zoé”"), "ligne 5 : « prenom = “Zoé” » n'est pas"),
        (TEAM + "depose = True", r"ligne 7 : « depose = True » .* : depose = true\."),
        (TEAM.replace("2200", "0200"), r"ligne 6 : « carte = 02001234 » .*22001234"),
        (TEAM.replace("[[membres]]", "[[membres]"), r"ligne 3 : .* : \[\[membres\]\]"),
        (TEAM.replace("[[membres]]", "[membres]"), r"ligne 3 : chaque membre comm"),
        ("[[" + member, "ligne 1 : le numéro du groupe manque ; exemple : groupe = 7"),
        (TEAM.replace("carte", "card"), "ligne 3 : « carte » manque au membre 1 ; ex"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(ClipError, match=message):
            read_team()
    path.write_text(TEAM, "latin-1")
    with pytest.raises(ClipError, match="à enregistrer en UTF-8"):
        read_team()


def test_a_team_that_is_not_four_says_why(path):
    path.write_text(TEAM + "depose = true", "utf-8")
    (fault,) = team_faults()
    assert "équipe de 1, quand le cours en demande 4 : dites pourquoi" in fault
    text = TEAM.replace("7\n", "7\nraison = 'accord du 3 mars'\n")
    path.write_text(text + "depose = true", "utf-8")
    assert team_faults() == []
