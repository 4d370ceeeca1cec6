"""What the course demands: each rule broken in turn, an archive that breaks none."""

import json
import os
import re
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path

import nbformat
import pypdf
import pytest
import typst
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from clip_lib.__main__ import main
from clip_lib.handin import archive, archive_rules, team
from clip_lib.handin.archive_rules import check_archive
from clip_lib.handin.document_text import absent, read_notebook, read_pdf
from clip_lib.handin.notebook import NOTEBOOK, library_mark
from clip_lib.handin.notebook_pdf import write_pdf

TEAM = """groupe = 7
[[membres]]
nom = "O'Connor-Lévêque"
prenom = "Zoé Ñusta"
carte = "22001234"
[[membres]]
nom = "d'Été & Fils_#1"
prenom = "Łukasz"
carte = "00425678"
depose = true
[[membres]]
nom = "Nguyễn"
prenom = "Anh"
carte = 22009999
[[membres]]
nom = "Li"
prenom = "d\u2019Œuvre-Ÿ de la Peña"
carte = "22005555"
"""
PAPER = """
#set document(keywords: ("HAI923",))
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
    "clip_lib/figures/curves.py",
    "clip_lib/scenes/sketches.py",
    "requirements.txt",
)
SOURCES += ("clip_lib/handin/paper/notebook.typ", "benchmarks/results/page.json")


def write_report(path, text=None, body=8, appendix=2, mark="Annexes"):
    """Write a PDF with so many pages, and what a team would print on the first."""
    group, members = team.read_team(path.parents[1] / "equipe.toml")
    lines = [f"Groupe {group}", *map(" ".join, members.to_numpy())]
    words = {"team": text or "\n\n".join(lines), "mark": mark}
    words |= {"body": str(body), "appendix": str(appendix)}
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(typst.compile(PAPER.encode(), format="pdf", sys_inputs=words))


def write_run(root, counts=(1, 2), mark=True, output="Groupe {group}\n{members}"):
    """Write the notebook, as it was and as it ran, and its PDF."""
    group, members = team.read_team(root / "equipe.toml")
    cells = [
        new_markdown_cell("# Un petit CLIP"),
        new_code_cell("1"),
        new_code_cell(""),
    ]
    cells.append(new_code_cell("membres"))
    notebook = new_notebook(cells=cells)
    nbformat.write(notebook, root / NOTEBOOK)
    text = output.format(group=group, members=members.to_string())
    cells[3].outputs = [new_output("stream", text=text)]
    cells[1].execution_count, cells[3].execution_count = counts
    if mark:
        notebook.metadata["clip_lib"] = library_mark()
    (root / "models").mkdir(exist_ok=True)
    nbformat.write(notebook, root / RUN)
    write_pdf(root / RUN, team=root / "equipe.toml", anyway=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project of a team with hard names, where nothing is wrong."""
    root = tmp_path_factory.mktemp("made") / "project"
    for name in SOURCES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("é", encoding="utf-8")
    (root / "equipe.toml").write_text(TEAM, encoding="utf-8")
    write_run(root)
    write_report(root / REPORT)
    return root


@pytest.fixture
def project(made, tmp_path, monkeypatch):
    """A copy of it, to spoil, from where the commands are given."""
    root = Path(shutil.copytree(made, tmp_path / "project"))
    monkeypatch.chdir(root)
    monkeypatch.setattr(team, "TEAM_FILE", root / "equipe.toml")
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")
    return root


def submit(capsys, *options):
    """Return the exit status, the archive or None, and rule -> faults."""
    status = main(["submit", "--json", *options])
    answer = json.loads(capsys.readouterr().out)
    rules = {rule["rule"]: rule["faults"] for rule in answer["rules"]}
    return status, answer["archive"], rules


def change(path, old, new):
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    Path(path).write_text(text.replace(old, new, 1), encoding="utf-8")


def change_team(old, new):
    """Change equipe.toml, then make everything anew."""
    change("equipe.toml", old, new)
    write_run(Path.cwd())
    write_report(Path.cwd() / REPORT)


def write_source(name, text="é"):
    Path(name).write_text(text, encoding="utf-8")


def write_failed_cell():
    write_run(Path.cwd())
    notebook = read_notebook(RUN)
    notebook.cells[1].outputs = [new_output("error", ename="Zero", evalue="by 0")]
    nbformat.write(notebook, RUN)
    write_pdf(RUN, anyway=True)


def write_old_unmarked_run():
    write_run(Path.cwd(), mark=False)
    os.utime(RUN, (0, 0))


def lock(path):
    writer = pypdf.PdfWriter(clone_from=path)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(path)


def cut(path, bytes_left):
    Path(path).write_bytes(Path(path).read_bytes()[:bytes_left])


FILLED = "the team is filled in"
THERE = "report, notebook and its PDF are there"
MEMBERS = "each file names every member: surname, first name, student number"
GROUP = "no file names another group"
PAGES = "the report has at most 8 pages, and 2 of appendices"
RAN = "the notebook ran from top to bottom"
TODAY = "it is today's notebook, and today's library"
SAME = "the PDF shows this very run"
NAMES = "the group's number begins each name"
PLAIN = "a plain zip, which Windows opens as well"
SIZE = "at most 50 MB"
RULES = [FILLED, THERE, MEMBERS, GROUP, PAGES, RAN, TODAY, SAME, NAMES, PLAIN, SIZE]

BREAKS = {
    "a placeholder": (
        FILLED,
        lambda: change("equipe.toml", '"Zoé Ñusta"', '"<Prénom 1>"'),
        r"member 1, Prénom: '<Prénom 1>'; write it into equipe\.toml\.",
    ),
    "a name left empty": (
        FILLED,
        lambda: change("equipe.toml", '"Anh"', '" "'),
        r"member 3, Prénom: ''; write it",
    ),
    "a number yet to come": (
        FILLED,
        lambda: change("equipe.toml", '"22005555"', '"???"'),
        r"member 4, Numéro d'étudiant: '\?\?\?'; write it",
    ),
    "group 07": (
        FILLED,
        lambda: change("equipe.toml", "groupe = 7", 'groupe = "07"'),
        r"group '07': expected a number such as 7, without a 0 before it; write it",
    ),
    "no group": (
        FILLED,
        lambda: change("equipe.toml", "groupe = 7", 'groupe = "<numéro du groupe>"'),
        r"group '<numéro du groupe>': expected a number such as 7",
    ),
    "one student number twice": (
        FILLED,
        lambda: change_team("22009999", '"22001234"'),
        r"student number 22001234 is of two members: mend equipe\.toml\.",
    ),
    "nobody hands it in": (
        FILLED,
        lambda: change("equipe.toml", "depose = true", 'depose = "oui"'),
        r"who puts it on Moodle\? nobody: one member alone has `depose = true`",
    ),
    "two hand it in": (
        FILLED,
        lambda: change("equipe.toml", "22009999", "22009999\ndepose = true"),
        r"who puts it on Moodle\? Łukasz d'Été & Fils_#1, Anh Nguyễn: one member",
    ),
    "no report": (
        THERE,
        REPORT.unlink,
        r"rapport\.pdf: no such file\. Run `python -m clip_lib report`, or compile",
    ),
    "a report cut off": (
        THERE,
        lambda: cut(REPORT, 5000),
        r"rapport\.pdf: not a readable PDF \(.+\)\. Run `python -m clip_lib report`",
    ),
    "an empty report": (
        THERE,
        lambda: cut(REPORT, 0),
        r"rapport\.pdf: not a readable PDF \(.+\)\. Run",
    ),
    "a report under a password": (
        THERE,
        lambda: lock(REPORT),
        r"rapport\.pdf: locked; save it without a password\. Run",
    ),
    "no notebook": (
        THERE,
        RUN.unlink,
        r"1_ProjetClip\.ipynb: no such notebook\. Run `python -m clip_lib run`\.",
    ),
    "a notebook that is not JSON": (
        THERE,
        lambda: cut(RUN, 300),
        r"1_ProjetClip\.ipynb: not a notebook\. Run `python -m clip_lib run`\.",
    ),
    "no PDF of the notebook": (
        THERE,
        PDF.unlink,
        r"1_ProjetClip\.pdf: no such file\. Run `python -m clip_lib pdf`\.",
    ),
    "a report without a name": (
        MEMBERS,
        lambda: write_report(
            Path.cwd() / REPORT,
            "O'Connor-Lévêque Zoé Ñusta 22001234, d'Été & Fils_#1 Łukasz 00425678, "
            "Nguyn Anh 22009999, Lison d'Œuvre-Ÿ de la Peña 22005555",
        ),
        r"the report lacks Nguyễn: run .*report.*\nthe report lacks Li: run",
    ),
    "a notebook run before a change of equipe.toml": (
        MEMBERS,
        lambda: change("equipe.toml", "22009999", "22009998"),
        r"the report lacks 22009998: .*\nthe notebook lacks 22009998: run `python -m "
        r"clip_lib run`\.\nthe notebook's PDF lacks 22009998: run .* pdf`\.",
    ),
    "a report of another group": (
        GROUP,
        lambda: write_report(
            Path.cwd() / REPORT,
            "Groupe n° 6 " + TEAM.replace('"', "").replace("groupe = 7", ""),
        ),
        r"the report is of group 6: run `python -m clip_lib report`",
    ),
    "a page too many": (
        PAGES,
        lambda: write_report(Path.cwd() / REPORT, body=9),
        r"body of 9 pages: shorten it by 1\.",
    ),
    "appendices too long": (
        PAGES,
        lambda: write_report(Path.cwd() / REPORT, appendix=4),
        r"appendix of 4 pages: shorten it by 2\.",
    ),
    "appendices that no bookmark shows": (
        PAGES,
        lambda: write_report(Path.cwd() / REPORT, mark="Suppléments"),
        r"body of 10 pages: shorten it by 2, or begin the appendices with \\annexes",
    ),
    "cells run out of order": (
        RAN,
        lambda: write_run(Path.cwd(), counts=(1, 5)),
        r"cell 2 of 2 ran as number 5: run `python -m clip_lib run`, or Restart",
    ),
    "a cell that has not run": (
        RAN,
        lambda: write_run(Path.cwd(), counts=(None, 1)),
        r"cell 1 of 2 has not run: run `python -m clip_lib run`, or Restart and Run",
    ),
    "a cell that failed": (
        RAN,
        write_failed_cell,
        r"cell 1 failed \(Zero\): run `python -m clip_lib run`",
    ),
    "a notebook changed since": (
        TODAY,
        lambda: change(NOTEBOOK, "membres", "membres.T"),
        r"1_ProjetClip\.ipynb has changed since: run `python -m clip_lib run`\.",
    ),
    "a library changed since": (
        TODAY,
        lambda: change(RUN, library_mark(), "0123456789abcdef"),
        r"clip_lib has changed since: run `python -m clip_lib run`\.",
    ),
    "a library changed since a run in Jupyter": (
        TODAY,
        write_old_unmarked_run,
        r"clip_lib has changed since: run",
    ),
    "a PDF of another run": (
        SAME,
        lambda: change(RUN, "Groupe 7", "Groupe 7 encore"),
        r"1_ProjetClip\.pdf is of another run: run `python -m clip_lib pdf`\.",
    ),
    "a name with an accent": (
        PLAIN,
        lambda: write_source("clip_lib/modèle.py"),
        r"7_code/clip_lib/modèle\.py: some systems change this name; rename it",
    ),
    "a device of Windows": (
        PLAIN,
        lambda: write_source("clip_lib/aux.py"),
        r"7_code/clip_lib/aux\.py: Windows does not take this name; rename it\.",
    ),
    "one name for Windows, two elsewhere": (
        PLAIN,
        lambda: write_source("clip_lib/Plots.py"),
        r"7_code/clip_lib/Plots\.py: there twice, as Windows sees it; rename one\.",
    ),
    "a name too long": (
        PLAIN,
        lambda: write_source(f"clip_lib/{'l' * 120}.py"),
        r"a name of \d+ letters, too long for Windows; shorten it\.",
    ),
}


@pytest.mark.parametrize("case", BREAKS)
def test_a_broken_rule_is_caught_alone(project, capsys, case):
    rule, spoil, sentence = BREAKS[case]
    try:
        spoil()
    except OSError as error:
        pytest.skip(f"this system takes no such name: {error}")
    if case.startswith("one name") and len(list(Path("clip_lib").glob("*.py"))) == 1:
        pytest.skip("this system tells no capitals from small letters")
    status, written, rules = submit(capsys)
    assert {name for name, faults in rules.items() if faults} == {rule}
    assert re.search(sentence, "\n".join(rules[rule]))
    assert all(fault.endswith(".") and "\n" not in fault for fault in rules[rule])
    assert status == 1 and written is None and not list(project.glob("*.zip"))


def test_every_rule_is_broken_by_a_test():
    broken = {rule for rule, *_ in BREAKS.values()}
    assert broken | {NAMES, SIZE} == set(RULES)  # These two: below.


def test_readme_lists_the_rules():
    readme = Path(__file__).parents[1].joinpath("README.md").read_text("utf-8")
    section = readme[readme.index("## Hand in") : readme.index("## Ask")]
    assert re.findall(r"^\| (.+?) \|", section, re.MULTILINE)[1:] == RULES
    shown = re.findall(r"^(?:yes|no ) {2}(.*)$", section, re.MULTILINE)
    assert shown == RULES[: len(shown)] and shown
    assert f"of {len(RULES)} rules is broken" in section


def test_too_heavy_an_archive(project, capsys, monkeypatch):
    monkeypatch.setattr(archive_rules, "MEGABYTES", 0.001)
    status, written, rules = submit(capsys)
    assert (status, written) == (1, None)
    assert re.search(r"0\.\d MB: lighten the figures", rules["at most 0.001 MB"][0])
    assert sum(map(bool, rules.values())) == 1


def test_nothing_of_the_library_is_left_out():
    files = {path for path in ROOT.glob("clip_lib/**/*.*") if path.suffix != ".pyc"}
    assert files <= {path for pattern in archive.CODE for path in ROOT.glob(pattern)}


def test_nothing_wrong_makes_the_archive(project, capsys):
    assert main(["submit"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[: len(RULES)] == [f"yes  {rule}" for rule in RULES]
    assert re.fullmatch(
        r"7\.zip \(0\.\d MB\), for Łukasz d'Été & Fils_#1 to put on Moodle\.",
        lines[-2],
    )
    assert "in your own words" in lines[-1] and said.err == ""
    with zipfile.ZipFile("7.zip") as made:
        assert made.testzip() is None
        assert made.namelist() == [
            *("7.pdf", "7_ProjetClip.ipynb", "7_ProjetClip.pdf"),
            *(f"7_code/{name}" for name in sorted([*SOURCES, "equipe.toml"])),
            "7_code/LISEZMOI.txt",
        ]
        assert made.read("7.pdf") == REPORT.read_bytes()
        assert made.read("7_ProjetClip.ipynb") == RUN.read_bytes()
        assert made.read("7_ProjetClip.pdf") == PDF.read_bytes()
        words = made.read("7_code/LISEZMOI.txt").decode()
        for entry in made.infolist():
            assert stat.filemode(entry.external_attr >> 16) == "-rw-r--r--"
            assert entry.compress_type == zipfile.ZIP_DEFLATED
    assert "Nguyễn Anh 22009999" in words and "7_code/requirements.txt" in words
    assert {path.name for path in project.glob("*.*")} == {
        *("7.zip", "equipe.toml", "requirements.txt", NOTEBOOK)
    }


def test_other_programs_open_it_and_it_is_always_the_same(project, capsys):
    os.utime(REPORT, (0, 0))  # Older than zip knows.
    made = Path("deep/er/7.zip")
    assert submit(capsys, "--output", "deep/er")[:2] == (0, str(made))
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tq", made], check=True)
    before = made.read_bytes()
    assert submit(capsys, "--output", "deep/er")[0] == 0
    assert made.read_bytes() == before


def test_files_of_elsewhere(project, capsys, monkeypatch):
    """A report of an online LaTeX, a notebook of Jupyter: under any name."""
    monkeypatch.setenv("HOME", str(project))
    monkeypatch.setenv("USERPROFILE", str(project))
    write_run(project, mark=False)
    REPORT.rename("Main (1).PDF")
    RUN.rename("à moi.ipynb")
    PDF.rename("à moi.pdf")
    options = ["--report", "~/Main (1).PDF", "--notebook", "à moi.ipynb"]
    status, written, rules = submit(capsys, *options)
    assert (status, written) == (0, "7.zip"), rules
    assert list(rules) == RULES


def test_force(project, capsys):
    write_report(project / REPORT, body=9)
    assert main(["submit", "--force"]) == 1
    said = capsys.readouterr().out
    assert f"no   {PAGES}\n      body of 9 pages" in said
    assert "to put on Moodle, though 1 of 11 rules is broken." in said
    assert zipfile.is_zipfile("7.zip")
    Path("7.zip").write_bytes(b"the last one")
    assert main(["submit"]) == 1
    said = capsys.readouterr().out
    assert "No archive: 1 of 11 rules is broken." in said
    assert "7.zip is an earlier one: do not hand it in." in said
    assert Path("7.zip").read_bytes() == b"the last one"


@pytest.mark.parametrize(
    ("spoil", "lack"),
    [
        (REPORT.unlink, "rapport.pdf"),
        (lambda: change("equipe.toml", "= 7", "= -1"), "a group number"),
    ],
)
def test_what_even_force_cannot_make(project, capsys, spoil, lack):
    spoil()
    assert main(["submit", "--force"]) == 1
    said = capsys.readouterr().err
    assert re.search(f"^error: no archive can be made without .*{lack}.*\\.$", said)
    assert not list(project.glob("*.zip"))


def test_an_interruption_loses_nothing(project, monkeypatch, capsys):
    Path("7.zip").write_bytes(b"the last one")

    def stop(source, target):
        Path(target).write_bytes(b"PK")
        raise KeyboardInterrupt

    monkeypatch.setattr(archive.shutil, "copyfile", stop)
    assert main(["submit"]) == 130
    assert Path("7.zip").read_bytes() == b"the last one"
    assert {path.name for path in project.glob("*zip*")} == {"7.zip"}
    assert not list(project.glob(".7*"))


def test_drawn_scenes_are_said(project, capsys):
    write_run(project, output="Groupe {group}\n{members}\nSCÈNES DESSINÉES")
    assert main(["submit"]) == 0
    assert "warning: the notebook ran on drawn scenes" in capsys.readouterr().err


GOOD = ("7.pdf", "7_ProjetClip.ipynb", "7_ProjetClip.pdf", "7_code/a.py")


def zipped(path, names=GOOD, method=zipfile.ZIP_DEFLATED, mode=0o100644, flags=0):
    with zipfile.ZipFile(path, "w", method) as made:
        for name in names:
            entry = zipfile.ZipInfo(name)
            entry.compress_type, entry.external_attr = method, mode << 16
            made.writestr(entry, "a")
            entry.flag_bits |= flags  # Written at the end.
    return {rule.name: rule.faults for rule in check_archive(path, "7")}


def test_a_good_archive(tmp_path):
    assert zipped(tmp_path / "7.zip") == {NAMES: (), PLAIN: (), SIZE: ()}


@pytest.mark.parametrize(
    ("name", "names", "sentence"),
    [
        ("8.zip", GOOD, "8.zip: rename it 7.zip."),
        ("7.zip", [*GOOD, "code/a.py"], "code: rename it, to begin with 7_."),
        ("7.zip", [*GOOD, "77_a"], "77_a: rename it, to begin with 7_."),
        ("7.zip", GOOD[1:], "7.pdf is missing."),
    ],
)
def test_names_in_the_archive(tmp_path, name, names, sentence):
    assert zipped(tmp_path / name, names) == {
        **{NAMES: (sentence,), PLAIN: (), SIZE: ()}
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": zipfile.ZIP_BZIP2}, "in a way that Windows cannot read"),
        ({"method": zipfile.ZIP_LZMA}, "in a way that Windows cannot read"),
        ({"mode": 0o120777}, "a link, which Windows cannot unpack"),
        ({"flags": 1}, "it needs a password; zip it without"),
    ],
)
def test_what_windows_cannot_unpack(tmp_path, options, sentence):
    rules = zipped(tmp_path / "7.zip", **options)
    assert not rules[NAMES] and len(rules[PLAIN]) == len(GOOD)
    assert all(sentence in fault for fault in rules[PLAIN])


@pytest.mark.parametrize(
    "name",
    [
        *("7_a/../../b.py", "7_a\\b.py", "7_a:b", "7_é.py", "7_a?", "7_a/b ", "7_a."),
        *(
            "7_code/con",
            "7_code/LPT1.txt",
            "7_code/nul.tar.gz",
            "7_\ta",
            f"7_{'a' * 130}",
        ),
    ],
)
def test_a_name_that_windows_does_not_take(tmp_path, name):
    assert len(zipped(tmp_path / "7.zip", [*GOOD, name])[PLAIN]) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
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
    ],
)
def test_a_name_is_found_however_it_is_broken(text, value):
    assert absent(f"avant {text} après", [value]) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Lison a élu Julie, le 1", "Li"),
        ("142", "42"),
        ("Nguyn", "Nguyễn"),
        ("ukasz", "Łukasz"),
        ("2200123", "22001234"),
        ("rien", "???"),
    ],
)
def test_a_name_that_is_not_there(text, value):
    assert absent(text, [value]) == [value]


def test_the_letters_of_a_picture_are_no_name(project, capsys):
    notebook = read_notebook(RUN)
    notebook.cells[3].outputs = [
        new_output("display_data", {"image/png": "nom/Li/" + TEAM.replace('"', "")})
    ]
    nbformat.write(notebook, RUN)
    assert "the notebook lacks Li" in "".join(submit(capsys)[2][MEMBERS])


@pytest.mark.parametrize(
    "text", ["", "[]", "3", '{"cells": [3], "nbformat": 4, "nbformat_minor": 5}', "\0"]
)
def test_what_is_no_notebook(tmp_path, text):
    path = tmp_path / "a.ipynb"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.ipynb: not a notebook\.$"):
        read_notebook(path)


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_pdf_is_one_sentence_or_read(made, tmp_path, seed):
    """Bytes changed anywhere: read all the same, or refused by name, never a crash."""
    path, data = tmp_path / "a.pdf", bytearray((made / REPORT).read_bytes())
    for place in range(seed * 37 % 101, len(data), 101):
        data[place] ^= seed + 1
    path.write_bytes(data)
    try:
        assert read_pdf(path).body >= 1
    except ValueError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
