"""A made-up team with hard names, and the folder of its project."""

from clip_lib.handin import team

NAMES = (
    ("O'Connor-Lévêque", "Zoé -- Ñusta", "22001234"),
    ("d'Été & Fils_#1 {x}", "Ł\\~^ 100 % $", "00425678"),
    ("Nguyễn", "Anh", "22009999"),
    ("Li", "E\u0301lodie d\u2019Œuvre-Ÿ", "22005555"),
)
TEAM = "groupe = 7\n" + "".join(
    f"[[membres]]\nnom = '''{last}'''\nprenom = '''{first}'''\ncarte = '{card}'\n"
    for last, first, card in NAMES
)
TEAM = TEAM.replace("carte = '00425678'", "carte = '00425678'\ndepose = true")
DEPOSITOR = "Ł\\~^ 100 % $ d'Été & Fils_#1 {x}"


def enter(root, monkeypatch, text=TEAM):
    """Fill in equipe.toml, and go where the commands of this project are given."""
    (root / "equipe.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(team, "TEAM_FILE", root / "equipe.toml")
    monkeypatch.chdir(root)
    return root
