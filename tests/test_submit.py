"""What is handed in: every rule kept, then each broken in turn."""

import dataclasses
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import typst

from clip_lib.__main__ import main
from clip_lib.handin import archive, archive_rules
from clip_lib.handin.archive import build_archive
from clip_lib.handin.archive_rules import check_archive
from clip_lib.handin.notebook_pdf import write_pdf
from clip_lib.handin.rules import HandIn, check_files
from clip_lib.notebook import NOTEBOOK, library_mark
from clip_lib.team import depositors, read_team

TEAM = """groupe = "07"
[[membres]]
nom = "O'Connor-Lévêque"
prenom = "Zoé Ñ."
carte = "22001234"
depose = true
[[membres]]
nom = "d'Été & Fils_#1"
prenom = "Łukasz"
carte = "22005678"
[[membres]]
nom = "Nguyễn"
prenom = "Anne-Sophie"
carte = "22009012"
"""


def write_report(path, text, body=8, appendix=2):
    """Write a report: pages of text, then appendices behind a bookmark."""
    text = text.replace("\\", "\\\\").replace("#", "\\#").replace("_", "\\_")
    pages = [text, *["Texte."] * (body - 1)]
    if appendix:
        pages += ["= Annexes", *["Tableau."] * (appendix - 1)]
    source = path.with_suffix(".typ")
    source.write_text("\n#pagebreak()\n".join(pages), encoding="utf-8")
    path.write_bytes(typst.compile(str(source)))


def write_notebook(path, members, **changes):
    """Write a notebook as a run leaves it: three cells that have run."""
    output = nbformat.v4.new_output("stream", text=f"{members}\n")
    cells = [nbformat.v4.new_markdown_cell("# Un petit CLIP")]
    for count in (1, 2, 3):
        cell = nbformat.v4.new_code_cell(f"print({count})", execution_count=count)
        cell.outputs = [output] if count == 1 else []
        cells.append(cell)
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["clip_lib"] = library_mark()
    nbformat.write(notebook, path)
    return notebook


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with everything that a made-up team hands in."""
    folder = tmp_path_factory.mktemp("hand in")
    (folder / "equipe.toml").write_text(TEAM, encoding="utf-8")
    _, members = read_team(folder / "equipe.toml")
    words = "\n".join(" ".join(row) for row in members.to_numpy())
    write_report(folder / "rapport.pdf", words)
    write_notebook(folder / "run.ipynb", words)
    write_notebook(folder / "source.ipynb", "")
    write_pdf(folder / "run.ipynb", team=folder / "equipe.toml")
    return folder


@pytest.fixture
def hand_in(files, tmp_path):
    """The same, to be spoiled: each file is a copy."""
    for path in files.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return HandIn(
        *read_team(tmp_path / "equipe.toml"),
        depositors(tmp_path / "equipe.toml"),
        report=tmp_path / "rapport.pdf",
        notebook=tmp_path / "run.ipynb",
        notebook_pdf=tmp_path / "run.pdf",
        source=tmp_path / "source.ipynb",
    )


def broken(rules):
    return {rule.name: " ".join(rule.faults) for rule in rules if rule.faults}


def test_what_keeps_every_rule_is_packed(hand_in, tmp_path):
    made, rules = build_archive(hand_in, tmp_path / "out")
    assert broken(rules) == {}
    assert len(rules) == 10
    assert made == tmp_path / "out/07.zip"
    assert [path.name for path in made.parent.iterdir()] == ["07.zip"]
    with zipfile.ZipFile(made) as packed:
        names = packed.namelist()
        assert names[:3] == ["07.pdf", "07_ProjetClip.ipynb", "07_ProjetClip.pdf"]
        assert packed.read("07.pdf") == hand_in.report.read_bytes()
        assert packed.read("07_ProjetClip.ipynb") == hand_in.notebook.read_bytes()
        assert packed.read("07_ProjetClip.pdf") == hand_in.notebook_pdf.read_bytes()
        assert all(name.startswith("07_code/") for name in names[3:])
        for name in (
            "requirements.txt",
            "equipe.toml",
            "clip_lib/clip.py",
            "clip_lib/handin/paper/notebook.typ",
            "benchmarks/results/pipeline_folds.json",
        ):
            assert f"07_code/{name}" in names
        assert not [name for name in names if "__pycache__" in name]


def test_the_library_of_the_archive_is_found_by_its_notebook(hand_in, tmp_path):
    """The project's first cell finds it, and it finds the team beside it."""
    made, _ = build_archive(hand_in, tmp_path / "out")
    with zipfile.ZipFile(made) as packed:
        packed.extractall(tmp_path / "empty")
    notebook = nbformat.read(archive.ROOT / "1_ProjetClip.ipynb", as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code").source
    code = "\n".join(
        line for line in first.splitlines() if line.strip()[:1] not in "!%"
    )
    code = code.replace('Path("clip_lib").exists():', "False: pass")
    code += "\nfrom clip_lib import results, team"
    code += "\nprint(team.__file__)\nteam.read_team()"
    code += "\nresults.read_runs('pipeline_folds')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "empty",
        env={"PATH": "/usr/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "empty/07_code/clip_lib/team.py")


def team_of(hand_in, **columns):
    members = hand_in.members.assign(**columns)
    return dataclasses.replace(hand_in, members=members)


def spoil_cells(hand_in, change):
    """Change the notebook's cells, and make its PDF anew, as far as that goes."""
    notebook = nbformat.read(hand_in.notebook, as_version=4)
    change([cell for cell in notebook.cells if cell.cell_type == "code"], notebook)
    nbformat.write(notebook, hand_in.notebook)
    team = hand_in.notebook.with_name("equipe.toml")
    write_pdf(hand_in.notebook, hand_in.notebook_pdf, team=team, anyway=True)
    return hand_in


def _fail(cells, _):
    cells[1].outputs = [nbformat.v4.new_output("error", ename="ValueError")]


def _skip(cells, _):
    cells[2].execution_count = None


def _disorder(cells, _):
    cells[0].execution_count, cells[1].execution_count = 2, 1


def _age(_, notebook):
    notebook.metadata["clip_lib"] = "0" * 16


def report_of(pages):
    def spoil(hand_in):
        words = "\n".join(" ".join(row) for row in hand_in.members.to_numpy())
        write_report(hand_in.report, words, **pages)
        return hand_in

    return spoil


def without(attribute, content=None):
    def spoil(hand_in):
        path = getattr(hand_in, attribute)
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        return hand_in

    return spoil


def another_run(hand_in):
    notebook = nbformat.read(hand_in.notebook, as_version=4)
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="other")]
    nbformat.write(notebook, hand_in.notebook)
    return hand_in


def changed_source(hand_in):
    notebook = nbformat.read(hand_in.source, as_version=4)
    notebook.cells[0].source += " !"
    nbformat.write(notebook, hand_in.source)
    return hand_in


def other_report(hand_in):
    write_report(hand_in.report, "Nguyễn Anne-Sophie 22009012")
    return hand_in


IDENTITY = "the team is filled in"
FILES = "report, notebook and its PDF are there"
NAMES = "each file names every member: surname, first name, student number"
PAGES = "the report has at most 8 pages, and 2 of appendices"
RAN = "the notebook ran from top to bottom"
TODAY = "it is the notebook, and the library, of today"
SAME = "the PDF shows this very run"
BREAKS = {
    "no group": (
        lambda h: dataclasses.replace(h, group="<numéro du groupe>"),
        IDENTITY,
        "expected its number; write it into equipe.toml",
    ),
    "two depositors": (
        lambda h: dataclasses.replace(h, depositors=["A", "B"]),
        IDENTITY,
        "2 members hand it in: expected `depose = true` for one",
    ),
    "no depositor": (
        lambda h: dataclasses.replace(h, depositors=[]),
        IDENTITY,
        "0 members hand it in",
    ),
    "no report": (
        without("report"),
        FILES,
        "no such file. Run `python -m",
    ),
    "no notebook": (without("notebook"), FILES, "no such file. Run `make run`"),
    "no PDF": (without("notebook_pdf"), FILES, "Run `python -m clip_lib pdf`"),
    "a report that is none": (
        without("report", b"%PDF-1.7 and no more"),
        FILES,
        "rapport.pdf: not a readable PDF",
    ),
    "a notebook that is none": (
        without("notebook", b"{}"),
        FILES,
        "run.ipynb: not a readable notebook",
    ),
    "members missing": (
        other_report,
        NAMES,
        "lacks O'Connor-Lévêque, Zoé",
    ),
    "nine pages": (report_of({"body": 9}), PAGES, "9 pages of body: shorten it by 1"),
    "appendices": (
        report_of({"appendix": 4}),
        PAGES,
        "4 pages of appendix: shorten it by 2",
    ),
    "no bookmark": (
        report_of({"body": 10, "appendix": 0}),
        PAGES,
        "10 pages of body",
    ),
    "a failure": (lambda h: spoil_cells(h, _fail), RAN, "cell 2 failed (ValueError)"),
    "a cell left out": (
        lambda h: spoil_cells(h, _skip),
        RAN,
        "cell 3 of 3 did not run in its turn (its number is None)",
    ),
    "out of order": (lambda h: spoil_cells(h, _disorder), RAN, "cell 1 of 3 did not"),
    "older than the library": (
        lambda h: spoil_cells(h, _age),
        TODAY,
        "clip_lib was changed after",
    ),
    "older than its text": (changed_source, TODAY, "source.ipynb was changed after"),
    "PDF of another run": (another_run, SAME, "run.pdf is of another run"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_rule_is_named_and_nothing_is_packed(hand_in, tmp_path, name):
    spoil, rule, message = BREAKS[name]
    made, rules = build_archive(spoil(hand_in), tmp_path / "out")
    assert list(broken(rules)) == [rule] and message in broken(rules)[rule]
    assert made is None and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("Nom", ["<NOM 1>", "B", "C"], "member 1, Nom: '<NOM 1>'; write it into"),
        ("Prénom", ["A", " ", "C"], "member 2, Prénom: ' '"),
        ("Numéro d'étudiant", ["1", "2", "1"], "student number 1: of two members"),
    ],
)
def test_a_member_that_is_not_filled_in(hand_in, column, values, message):
    rules = check_files(team_of(hand_in, **{column: values}))
    assert message in broken(rules)[IDENTITY]


def test_names_are_found_across_lines_and_signs(hand_in):
    """A PDF breaks a compound name, or sets another apostrophe."""
    words = "O\u2019Connor- \n\nLévêque Zoé Ñ. 2200 1234 d\u2019Été & Fils_#1 Łukasz "
    words += "22005678 Nguyễn Anne-\n\nSophie 22009012"
    write_report(hand_in.report, words)
    assert broken(check_files(hand_in)) == {}


def test_a_notebook_run_in_jupyter_is_judged_by_its_time(hand_in):
    def forget(_, notebook):
        del notebook.metadata["clip_lib"]

    spoil_cells(hand_in, forget)
    assert broken(check_files(hand_in)) == {}
    import os

    os.utime(hand_in.notebook, (1, 1))
    assert list(broken(check_files(hand_in))) == [TODAY]


def test_force_packs_although_a_rule_is_broken(hand_in, tmp_path):
    spoiled = changed_source(hand_in)
    made, rules = build_archive(spoiled, tmp_path / "out", force=True)
    assert made.is_file() and list(broken(rules)) == [TODAY]
    hand_in.report.unlink()
    with pytest.raises(ValueError, match=r"can be made without .*rapport\.pdf"):
        build_archive(hand_in, tmp_path / "other", force=True)
    assert not (tmp_path / "other").exists()


def test_an_archive_that_is_there_stays_if_a_rule_is_broken(hand_in, tmp_path):
    (tmp_path / "07.zip").write_bytes(b"of yesterday")
    assert build_archive(changed_source(hand_in), tmp_path)[0] is None
    assert (tmp_path / "07.zip").read_bytes() == b"of yesterday"


DEMANDED = ("7.pdf", "7_ProjetClip.ipynb", "7_ProjetClip.pdf")


def pack(path, *names, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as packed:
        for name in (*DEMANDED, *names):
            packed.writestr(name, b"content")
    return path


NUMBER = "the group's number stands in each name"
PLAIN = "a plain zip that every system unpacks"


@pytest.mark.parametrize(
    ("name", "rule", "message"),
    [
        ("rapport.pdf", NUMBER, "expected a name that begins with 7. or 7_."),
        ("77_code/a.py", NUMBER, "77_code: expected a name"),
        ("7_code/../../a.py", PLAIN, "leads out of its folder"),
        ("7_code/été.py", PLAIN, "a name that some systems change"),
        ("7_code/a:b.py", PLAIN, "a name that some systems change"),
        ("7_code/a.", PLAIN, "a name that Windows does not take"),
        ("7_" + "a" * 200, PLAIN, "a name that Windows does not take"),
        ("7.PDF", PLAIN, "twice, upper and lower case"),
    ],
)
def test_an_archive_with_a_name_that_must_not_be(tmp_path, name, rule, message):
    assert broken(check_archive(pack(tmp_path / "7.zip"), "7")) == {}
    faults = broken(check_archive(pack(tmp_path / "7.zip", name), "7"))
    assert list(faults) == [rule] and message in faults[rule]


def test_an_archive_that_not_every_system_reads(tmp_path, monkeypatch):
    exotic = pack(tmp_path / "7.zip", kind=zipfile.ZIP_LZMA)
    assert "in a way Windows cannot read" in broken(check_archive(exotic, "7"))[PLAIN]
    link = zipfile.ZipInfo("7_link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(pack(tmp_path / "7.zip"), "a") as packed:
        packed.writestr(link, "7.pdf")
    assert "7_link: a link" in broken(check_archive(tmp_path / "7.zip", "7"))[PLAIN]
    pack(tmp_path / "7.zip")
    content = (tmp_path / "7.zip").read_bytes()
    (tmp_path / "7.zip").write_bytes(content.replace(b"content", b"cOntent", 1))
    found = broken(check_archive(pack(tmp_path / "8.zip"), "7"))
    assert "8.zip: expected 7.zip" in found[NUMBER]
    monkeypatch.setattr(archive_rules, "MEGABYTES", 0)
    (rule,) = broken(check_archive(pack(tmp_path / "7.zip"), "7"))
    assert rule.startswith("at most 0 MB")


def test_a_demanded_file_that_is_not_in_the_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "7.zip", "w") as packed:
        packed.writestr("7.pdf", b"")
    faults = broken(check_archive(tmp_path / "7.zip", "7"))[NUMBER]
    assert "7_ProjetClip.ipynb is missing. 7_ProjetClip.pdf is missing." in faults


@pytest.fixture
def submit(hand_in, monkeypatch, capsys, tmp_path):
    """Run the command on a made-up team's files; return its status and what it said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "source.ipynb").rename(tmp_path / NOTEBOOK)

    def call(*words):
        files = ["--report", hand_in.report, "--notebook", hand_in.notebook]
        options = [*files, "--output", tmp_path / "out", *words]
        status = main(["submit", *map(str, options)])
        return status, capsys.readouterr().out

    return call


def test_the_command_prints_a_line_a_rule(submit, hand_in, tmp_path):
    status, printed = submit()
    assert status == 0, printed
    lines = printed.splitlines()
    assert [line[:5] for line in lines[:10]] == ["yes  "] * 10
    assert (
        lines[-1]
        == f"{tmp_path / 'out/07.zip'}, for Zoé Ñ. O'Connor-Lévêque to put on Moodle."
    )
    changed_source(dataclasses.replace(hand_in, source=tmp_path / NOTEBOOK))
    status, printed = submit()
    assert status == 1 and f"no   {TODAY}\n      " in printed
    assert printed.endswith("No archive: 1 of 10 rules are broken.\n")
    found = json.loads(submit("--json", "--force")[1])
    assert found["archive"] == str(tmp_path / "out/07.zip")
    assert [one["rule"] for one in found["rules"] if one["faults"]] == [TODAY]


def test_the_team_says_who_hands_in(tmp_path):
    (tmp_path / "equipe.toml").write_text(TEAM, encoding="utf-8")
    assert depositors(tmp_path / "equipe.toml") == ["Zoé Ñ. O'Connor-Lévêque"]
    assert isinstance(read_team(tmp_path / "equipe.toml")[1], pd.DataFrame)
    assert depositors() == ["<Prénom 1> <NOM 1>"] and Path(archive.ROOT).is_dir()
