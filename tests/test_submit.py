"""What the course demands: each rule broken in turn, an archive that breaks none."""

import functools
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import nbformat
import pypdf
import pytest
import typst
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from team_project import DEPOSITOR, NAMES, enter

from clip_lib.__main__ import main
from clip_lib.errors import ClipError
from clip_lib.handin import archive, rules
from clip_lib.handin.document_text import absent, read_notebook, run_mark
from clip_lib.handin.notebook import NOTEBOOK, library_mark
from clip_lib.handin.team import read_team

PAPER = """
#set document(keywords: sys.inputs.keywords)
#set page(width: 9cm)
#sys.inputs.team
#for page in range(int(sys.inputs.body) - 1) [#pagebreak() #page]
#for page in range(int(sys.inputs.appendix)) [
  #pagebreak() #if page == 0 [= #sys.inputs.mark] else [suite]
]
"""
ROOT = Path(__file__).parents[1]
REPORT, PDF = Path("report/rapport.pdf"), Path("models/1_ProjetClip.pdf")
RUN = Path("models") / NOTEBOOK
SOURCES = (
    *("clip_lib/figures/curves.py", "clip_lib/handin/paper/notebook.typ"),
    *("benchmarks/results/page.json", "models/pretrained/vocab.txt", "LICENSE"),
)
WHO = "\n".join(map(" ".join, NAMES))


def write_paper(path, team, body, appendix=0, mark="Annexes", keywords=""):
    """Write a PDF with so many pages, and what a team would print on the first."""
    words = {"team": team, "mark": mark, "keywords": keywords}
    words |= {"body": str(body), "appendix": str(appendix)}
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(typst.compile(PAPER.encode(), format="pdf", sys_inputs=words))


def write_report(team=f"Groupe 7\n{WHO}", body=8, appendix=2, mark="Annexes"):
    write_paper(REPORT, team, body, appendix, mark)


def write_run(first=1, second=2, said="", error=False, mark=True, kind="text/plain"):
    """Write the notebook, as it was and as it ran, and its PDF."""
    cells = [new_markdown_cell("# Un petit CLIP"), new_code_cell("1")]
    cells += [new_code_cell(""), new_code_cell("membres")]
    notebook = new_notebook(cells=cells)
    nbformat.write(notebook, NOTEBOOK)
    group, members = read_team()
    text = f"Groupe {group}\n{members.to_string()}\n{said}"
    cells[1].execution_count, cells[3].execution_count = first, second
    cells[1].outputs = [new_output("error", ename="Zero")] if error else []
    cells[3].outputs = [new_output("display_data", {kind: text})]
    notebook.metadata |= {"clip_lib": library_mark()} if mark else {}
    RUN.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, RUN)
    write_paper(PDF, text, 1, keywords=run_mark(read_notebook(RUN)))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project of a team with hard names, where nothing is wrong."""
    root = tmp_path_factory.mktemp("made") / "project"
    for name in SOURCES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("é", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        write_run()
        write_report()
    return root


@pytest.fixture
def project(made, tmp_path, monkeypatch):
    """A copy of it, to spoil, from where the commands are given."""
    return enter(Path(shutil.copytree(made, tmp_path / "project")), monkeypatch)


def change(path, old, new):
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    Path(path).write_text(text.replace(old, new, 1), encoding="utf-8")


team = functools.partial(change, "equipe.toml")


def one_number_twice():
    team("22009999", "22001234")
    write_run()
    write_report(f"Groupe 7\n{WHO}".replace("22009999", "22001234"))


def write_old_unmarked_run():
    write_run(mark=False)
    os.utime(RUN, (0, 0))


def lock():
    writer = pypdf.PdfWriter(clone_from=REPORT)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(REPORT)


def cut(path, bytes_left):
    path.write_bytes(path.read_bytes()[:bytes_left])


def source(name):
    Path(f"clip_lib/{name}.py").touch()


RULES = [name for name, *_ in rules.RULES]
FILLED, THERE, MEMBERS, GROUP, PAGES, RAN, TODAY, SAME, NAME, SIZE = RULES

MISSPELT = WHO.replace("Nguyễn", "Nguyn").replace("Li ", "Lison ")
FAULTS = {
    FILLED: [
        (team, "Anh", "<Prénom 3>", "3, Prénom: '<Prénom 3>'; write it into equipe."),
        (team, "Anh", " ", "member 3, Prénom: ''; write it into equipe.toml."),
        (team, "22005555", "???", "member 4, Numéro d'étudiant: '???'; write it into"),
        (team, "= 7", "= '07'", "group '07': expected a number such as 7, without a l"),
        (team, "= 7", "= '<numéro>'", "group '<numéro>': expected a number such as 7"),
        (one_number_twice, "two members have student number 22001234: correct equip"),
        (team, "= true", "= 'oui'", "who puts it on Moodle? nobody: exactly one memb"),
        (team, "9999'", "9999'\ndepose = true", f"? {DEPOSITOR}, Anh Nguyễn: exactl"),
    ],
    THERE: [
        (REPORT.unlink, "rapport.pdf: no such file. Run `python -m clip_lib report`,"),
        (cut, REPORT, 5000, "rapport.pdf: not a readable PDF ("),
        (lock, "rapport.pdf: encrypted; save it without password. Run"),
        (RUN.unlink, "1_ProjetClip.ipynb: no such notebook. Run `python -m clip_lib r"),
        (cut, RUN, 300, "1_ProjetClip.ipynb: not a notebook. Run `python -m clip_lib "),
        (PDF.unlink, "1_ProjetClip.pdf: no such file. Run `python -m clip_lib pdf`."),
    ],
    MEMBERS: [
        (write_report, MISSPELT, "the report lacks Nguyễn: run `python -m clip_lib re"),
        (write_report, MISSPELT, "the report lacks Li: run `python -m clip_lib report"),
        # The letters of an encoded picture are no name.
        (write_run, 1, 2, "", False, True, "image/png", "the notebook lacks O'Connor-"),
        (team, "9999", "9998", "the report lacks 22009998: run"),
        (team, "9999", "9998", "the notebook lacks 22009998: run `python -m clip_lib "),
        (team, "9999", "9998", "the notebook's PDF lacks 22009998: run `python -m cli"),
    ],
    GROUP: [(write_report, f"Groupe n° 6 {WHO}", "the report is of group 6: run `pyt")],
    PAGES: [
        (write_report, WHO, 9, "body of 9 pages: the course allows 8."),
        (write_report, WHO, 8, 4, "appendix of 4 pages: the course allows 2."),
        (write_report, WHO, 8, 2, "Suite", "10 pages: the course allows 8, and \\ann"),
    ],
    RAN: [
        (write_run, 1, 5, "cell 2 of 2 ran as number 5: run `python -m clip_lib run`"),
        (write_run, None, 1, "cell 1 of 2 has not run: run `python -m clip_lib run`,"),
        (write_run, 1, 2, "", True, "cell 1 failed (Zero): run `python -m clip_lib r"),
    ],
    TODAY: [
        (change, NOTEBOOK, "membres", "membres.T", "1_ProjetClip.ipynb has changed s"),
        (change, RUN, library_mark(), "0123", "clip_lib has changed since: run `pyt"),
        (write_old_unmarked_run, "clip_lib has changed since: run `python -m clip_l"),
    ],
    SAME: [(change, RUN, "Groupe 7", "Groupe 7 encore", "is of another run: run `py")],
    NAME: [
        (source, "modèle", "7_code/clip_lib/modèle.py: some systems change this name"),
        (source, "a:b", "7_code/clip_lib/a:b.py: some systems change this name; use"),
    ],
}


@pytest.mark.parametrize(
    ("rule", "fault"), [(rule, fault) for rule in FAULTS for fault in FAULTS[rule]]
)
def test_a_broken_rule_is_caught_alone(project, capsys, rule, fault):
    spoil, *arguments, sentence = fault
    spoil(*arguments)
    assert main(["submit", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    found = {one["rule"]: one["faults"] for one in answer["rules"] if one["faults"]}
    assert list(found) == [rule]
    assert any(sentence in one for one in found[rule]), found[rule]
    assert all(one.endswith(".") and "\n" not in one for one in found[rule])
    assert answer["archive"] is None and not list(project.glob("*.zip"))


def test_every_rule_has_its_fault_and_its_line_in_readme():
    assert FAULTS.keys() | {SIZE} == set(RULES)  # That one: below.
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme[readme.index("## Hand in") : readme.index("## Ask")]
    assert re.findall(r"^\| (.+?) \|", section, re.MULTILINE)[1:] == RULES


def test_nothing_of_the_library_is_left_out():
    files = {path for path in ROOT.glob("clip_lib/**/*.*") if path.suffix != ".pyc"}
    assert files <= {path for pattern in archive.CODE for path in ROOT.glob(pattern)}


def test_nothing_wrong_makes_the_archive(project, capsys):
    os.utime(REPORT, (0, 0))  # Older than zip knows.
    Path("models/pretrained/photos.npz").touch()  # An index of somebody's photos.
    assert main(["pdf"]) == 0
    capsys.readouterr()
    assert main(["submit"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[: len(RULES)] == [f"yes  {rule}" for rule in RULES]
    assert lines[-2] == f"7.zip (0.0 MB), for {DEPOSITOR} to put on Moodle."
    assert "your own words" in lines[-1] and said.err == ""
    with zipfile.ZipFile("7.zip") as made:
        assert made.namelist() == [
            *("7.pdf", "7_ProjetClip.ipynb", "7_ProjetClip.pdf"),
            *(f"7_code/{name}" for name in sorted([*SOURCES, "equipe.toml"])),
            "7_code/LISEZMOI.txt",
        ]
        for name, path in zip(made.namelist(), (REPORT, RUN, PDF), strict=False):
            assert made.read(name) == path.read_bytes()
        assert "Nguyễn Anh 22009999" in made.read("7_code/LISEZMOI.txt").decode()


def test_files_of_elsewhere(project, capsys, monkeypatch):
    """A report of an online LaTeX, a notebook of Jupyter: under any name."""
    monkeypatch.setenv("HOME", str(project))
    monkeypatch.setenv("USERPROFILE", str(project))
    write_run(said="SCÈNES DESSINÉES", mark=False)
    REPORT.rename("Main (1).PDF")
    RUN.rename("à moi.ipynb")
    PDF.rename("à moi.pdf")
    options = ["--report", "~/Main (1).PDF", "--notebook", "à moi.ipynb"]
    assert main(["submit", *options, "--output", "deep/er"]) == 0
    assert zipfile.is_zipfile("deep/er/7.zip")
    assert "warning: the notebook ran on drawn scenes" in capsys.readouterr().err


def test_force_and_what_it_cannot_make(project, capsys):
    write_report(body=9)
    assert main(["submit", "--force"]) == 1
    said = capsys.readouterr().out
    assert f"no   {PAGES}\n      body of 9 pages" in said
    assert "to put on Moodle, though 1 of 10 rules is broken." in said
    assert zipfile.is_zipfile("7.zip")
    Path("7.zip").write_bytes(b"the last one")
    assert main(["submit"]) == 1
    said = capsys.readouterr().out
    assert "No archive: 1 of 10 rules is broken." in said
    assert "7.zip is an earlier one: do not hand it in." in said
    REPORT.unlink()
    assert main(["submit", "--force"]) == 1
    assert "rapport.pdf.\n" in capsys.readouterr().err  # There is nothing to pack.
    assert Path("7.zip").read_bytes() == b"the last one"


def test_an_archive_that_is_too_heavy(project, monkeypatch, capsys):
    monkeypatch.setattr(rules, "MEGABYTES", 0.001)
    assert main(["submit"]) == 1
    said = capsys.readouterr().out
    assert f"no   {SIZE}\n      0.0 MB: lighten the figures of the report" in said
    assert "No archive: 1 of 10 rules is broken." in said


def test_a_name_is_found_however_it_is_broken_and_only_then():
    for text, value in (
        ("O\u2019Connor-\nLévêque", "O'Connor-Lévêque"),
        ("O'Connor-Lé\u00adv\u00eaque", "O\u2019CONNOR-LÉVÊQUE"),
        ("Nguye\u0302\u0303n Anh", "Nguyễn"),
        ("L\u00b4ev\u02c6eque", "Lévêque"),  # As LaTeX sets accents without T1.
        ("d'Été & Fils_\n#1 Łukasz", "d'Été & Fils_#1"),
        ("2200 1234", "22001234"),
        ("NguyễnAnh22009999", "22009999"),
        ("Li Anh", "Li"),
        ("Li22005555", "Li"),
        ("ﬁlippo de Œuvre", "Filippo"),
        ("Il\u0131ca", "ILICA"),
    ):
        assert absent(f"avant {text} après", [value]) == [], value
    for text, value in (
        ("Lison a élu Julie, le 1", "Li"),
        ("142", "42"),
        ("Nguyn", "Nguyễn"),
        ("ukasz", "Łukasz"),
        ("2200123", "22001234"),
        ("rien", "???"),
    ):
        assert absent(text, [value]) == [value], value


def test_what_is_no_notebook(tmp_path):
    path = tmp_path / "a.ipynb"
    for text in ("", "[]", "3", "{}", "\0", '{"cells": [3], "nbformat": 4}'):
        path.write_text(text)
        with pytest.raises(ClipError, match=r"a\.ipynb: not a notebook\.$"):
            read_notebook(path)
