"""What the course demands: each rule broken in turn, an archive that breaks none."""

import functools
import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import nbformat
import pypdf
import pytest
import typst
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from team_project import DEPOSITOR, NAMES, enter

from clip_lib.__main__ import main
from clip_lib.config import Config
from clip_lib.errors import ClipError
from clip_lib.handin import archive, own_words, rules, stamp
from clip_lib.handin.document_text import EXERCISE, absent, read_notebook, run_mark
from clip_lib.handin.notebook import NOTEBOOK, library_mark
from clip_lib.handin.team import read_team

PAPER = """
#set document(keywords: sys.inputs.keywords)
#set page(paper: sys.inputs.paper, margin: eval(sys.inputs.margin))
#set text(size: eval(sys.inputs.size))
#sys.inputs.team
#for page in range(int(sys.inputs.body) - 1) [#pagebreak() #page]
#for page in range(int(sys.inputs.appendix)) [
  #pagebreak() #if page == 0 [= #sys.inputs.mark] else [suite]
]
"""
ROOT = Path(__file__).parents[1]
REPORT, PDF = Path("report/rapport.pdf"), Path("models/1_ProjetClip.pdf")
TEXT, TEMPLATE = Path("report/sections/limites.tex"), Path(rules.TEMPLATE)
RUN, MODEL = Path("models") / NOTEBOOK, Path("models/myclip_with_smallbert.keras")
SOURCES = (
    *("clip_lib/figures/curves.py", "clip_lib/handin/paper/notebook.typ"),
    *("benchmarks/results/page.json", "LICENSE"),
)
WEIGHTS = "models/pretrained/vocab.txt"
WHO = "\n".join(map(" ".join, NAMES))
# None of this is another group, or a student number.
OTHERS = "de l'équipe.\n3 Protocole, par groupe (32 images), le 20261215"
TEAM_IN_REPORT = f"Groupe 7\n{OTHERS}\n{WHO}"


def write_paper(path, text, body=1, appendix=0, mark="Annexes", keywords="", **form):
    """Write a PDF with so many pages, and what a team would print on the first."""
    words = {"team": text, "mark": mark, "keywords": keywords}
    words |= {"body": str(body), "appendix": str(appendix)}
    words |= {"paper": "a4", "margin": "2cm", "size": "10pt"} | form
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(typst.compile(PAPER.encode(), format="pdf", sys_inputs=words))


def write_report(text=TEAM_IN_REPORT, body=8, appendix=2, mark="Annexes", **form):
    """Write the report's PDF, stamped with what lies there."""
    made_of = stamp.current("report", "models", RUN)
    words = " ".join(f"{part}-{digest}" for part, digest in made_of.items())
    keywords = form.pop("keywords", f"{words} faults-0")
    write_paper(REPORT, text, body, appendix, mark, keywords, **form)


def write_run(
    counts=(1, 2), said="", error=False, mark=True, kind="text/plain", team="", **code
):
    """Write the notebook, as it was and as it ran, its PDF, and the report of it."""
    cells = [new_markdown_cell("# Un petit CLIP"), new_code_cell("1 + 1")]
    cells += [new_code_cell(""), new_code_cell(code.get("code", "membres"))]
    notebook = new_notebook(cells=cells)
    nbformat.write(notebook, NOTEBOOK)
    group, members = read_team()
    text = f"Groupe {group}\n{team or members.to_string()}\n{said}"
    cells[1].execution_count, cells[3].execution_count = counts
    shown = [new_output("stream", text="2")] if code.get("shown", True) else []
    cells[1].outputs = [new_output("error", ename="Zero")] if error else shown
    cells[3].outputs = [new_output("display_data", {kind: text})]
    notebook.metadata |= {"clip_lib": library_mark()} if mark else {}
    RUN.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, RUN)
    write_paper(PDF, text, keywords=run_mark(read_notebook(RUN)))
    write_report()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project of a team with hard names, where nothing is wrong."""
    root = tmp_path_factory.mktemp("made") / "project"
    for name in (*SOURCES, WEIGHTS, TEXT, TEMPLATE, MODEL):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("é", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        write_run()
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
    write_run(team=WHO.replace("22009999", "22001234"))
    write_report(TEAM_IN_REPORT.replace("22009999", "22001234"))


def three_members():
    text = Path("equipe.toml").read_text("utf-8")
    cut = text.rindex("[[membres]]")
    Path("equipe.toml").write_text(text[:cut], "utf-8")
    write_run()
    write_report("\n".join(TEAM_IN_REPORT.splitlines()[:-1]))


def write_old_unmarked_run():
    write_run(mark=False)
    os.utime(RUN, (0, 0))


def lock():
    writer = pypdf.PdfWriter(clone_from=REPORT)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(REPORT)


def scan():
    writer = pypdf.PdfWriter(clone_from=REPORT)
    for page in writer.pages:
        writer.remove_objects_from_page(page, pypdf.ObjectDeletionFlag.TEXT)
    writer.write(REPORT)


def cut(path, bytes_left):
    path.write_bytes(path.read_bytes()[:bytes_left])


def change_keywords(old, new):
    keywords = pypdf.PdfReader(REPORT).metadata.keywords
    write_report(keywords=keywords.replace(old, new))


def no_template():
    TEMPLATE.unlink()
    write_report()


def source(name):
    Path(f"clip_lib/{name}.py").touch()


def shipped():
    section = own_words.prose(own_words.SECTIONS / "limites.tex")
    write_report(f"{TEAM_IN_REPORT}\n{section}", 1)


def settings(config):
    return "\n".join(f"{n:17} = {v!r}" for n, v in vars(config).items())


SWAPPED = WHO.replace("22009999", "?").replace("22001234", "22009999")
SWAPPED = SWAPPED.replace("?", "22001234")
FIFTH = f"{WHO}\nPersonne Paul 22007777"
MISSPELT = WHO.replace("Nguyễn", "Nguyn").replace("Li ", "Lison ")
A5, SMALL = {"paper": "a5"}, {"size": "8pt"}
NARROW, WIDE = {"margin": "5mm"}, {"margin": "(left: -9mm, rest: 2cm)"}
FAULTS = (
    # Rule, fault, its arguments, what is said of it.
    (
        "team",
        team,
        "Anh",
        "<Prénom 3>",
        "ligne 13 : prenom « <Prénom 3> » du membre 3 : à",
    ),
    (
        "team",
        team,
        "Anh",
        " ",
        "ligne 13 : prenom «  » du membre 3 : à remplir ; ex",
    ),
    (
        "team",
        team,
        "22005555",
        "???",
        "ligne 18 : carte « ??? » du membre 4 : à remplir",
    ),
    ("team", team, "= 7", "= '07'", "ligne 1 : « 07 » n'est pas un numéro de groupe"),
    ("team", team, "= 7", "= '<numéro>'", "« <numéro> » n'est pas un numéro de groupe"),
    ("team", one_number_twice, "d'étudiant 22001234 est aussi celui d'un autre membre"),
    (
        "team",
        team,
        "= true",
        "= 'oui'",
        "qui dépose sur Moodle ? ici personne ; il fau",
    ),
    ("team", team, "9999'", "9999'\ndepose = true", f"? ici {DEPOSITOR} et Anh Nguyễn"),
    (
        "team",
        three_members,
        "équipe de 3, quand le cours en demande 4 : dites pourquoi",
    ),
    ("files", REPORT.unlink, "rapport.pdf: no such file: `"),
    ("files", cut, REPORT, 5000, "rapport.pdf: not a readable PDF ("),
    ("files", lock, "rapport.pdf: encrypted; save it without password: `"),
    ("files", scan, "rapport.pdf: no text in this PDF, only a picture: `"),
    ("files", RUN.unlink, "1_ProjetClip.ipynb: no such notebook"),
    ("files", cut, RUN, 300, "1_ProjetClip.ipynb: not a notebook: `"),
    ("files", PDF.unlink, "1_ProjetClip.pdf: no such file: `"),
    ("names", write_report, MISSPELT, "the report lacks Nguyễn: `"),
    ("names", write_report, MISSPELT, "the report lacks Li: `"),
    # The letters of an encoded picture are no name.
    ("names", write_run, {"kind": "image/png"}, "the notebook lacks O'Connor-"),
    ("names", team, "9999", "9998", "the report lacks 22009998: `"),
    ("names", team, "9999", "9998", "the notebook lacks 22009998: `"),
    ("names", team, "9999", "9998", "the notebook's PDF lacks 22009998: `"),
    ("names", write_report, f"{WHO}1", "the report lacks 22005555: `"),
    ("names", write_report, SWAPPED, "the report shows 22001234 beside Anh Nguyễn: `"),
    ("names", write_run, {"team": SWAPPED}, "the notebook shows 22001234 beside Anh N"),
    ("names", write_report, FIFTH, "the report names 22007777, a student number of no"),
    ("names", write_run, {"team": FIFTH}, "the notebook names 22007777, a student num"),
    ("group", write_report, f"Groupe n° 6 {WHO}", "the report is of group 6: `"),
    ("group", write_report, f"Groupe : 6 {WHO}", "the report is of group 6: `"),
    ("group", write_report, f"Groupe no 6 {WHO}", "the report is of group 6: `"),
    ("group", write_report, f"Équipe 6 {WHO}", "the report is of group 6: `"),
    ("group", write_report, f"Groupe 7 {WHO} Groupe 6", "the report is of group 6: `"),
    ("photographs", write_run, {"said": "SCÈNES DESSINÉES /x"}, "ran on the drawn sce"),
    ("settings", write_run, {"said": settings(Config.quick(seed=3))}, "the quick pres"),
    ("own-words", shipped, "most 33% of it is left in any section: limites 100%, "),
    ("leftovers", write_report, f"{WHO} TODO", "the report still says TODO: complete"),
    ("leftovers", write_report, f"{WHO} la figure ?? et [?]", "still says ??, [?]: co"),
    ("leftovers", write_report, f"{WHO} Lorem ipsum", "still says Lorem ipsum: comple"),
    ("leftovers", write_run, {"said": "VOTRE-COMPTE"}, "the notebook still says VOTRE"),
    ("stamp", change, TEXT, "é", "è", "the report's text has changed since the report"),
    ("stamp", change, MODEL, "é", "è", "the saved model has changed since the report:"),
    ("stamp", write_report, {"keywords": ""}, "carries no stamp; one made"),
    (
        "stamp",
        change_keywords,
        "faults-0",
        "faults-2",
        "text and numbers disagree in 2 pl",
    ),
    ("pages", write_report, WHO, 9, "body of 9 pages: the course allows 8."),
    ("pages", write_report, WHO, 8, 4, "appendix of 4 pages: the course allows 2."),
    ("pages", write_report, WHO, 8, 2, "Suite", "10 pages: the course allows 8, and"),
    ("layout", write_report, A5, "page 1 is 148 x 210 mm: expected A4, 210 x 297 mm."),
    (
        "layout",
        write_report,
        SMALL,
        "most letters are of 8 points: expected at least 10.",
    ),
    ("layout", write_report, NARROW, "page 1 has text 5 mm from the left edge: exp"),
    ("layout", write_report, WIDE, "page 1 has text over the left edge: expected"),
    ("template", no_template, "report/template/preambule.tex: no such file; see r"),
    ("outputs", write_run, (1, 5), "cell 2 of 2 ran as number 5: `"),
    ("outputs", write_run, (None, 1), "cell 1 of 2 has not run: `"),
    ("outputs", write_run, {"error": True}, "cell 1 failed (Zero): `"),
    (
        "outputs",
        write_run,
        {"shown": False},
        "cell 1 of 2 shows no result (if it has none, end",
    ),
    ("today", change, NOTEBOOK, "membres", "membres.T", "1_ProjetClip.ipynb has chang"),
    (
        "today",
        change,
        RUN,
        library_mark(),
        "0123",
        "clip_lib has changed since the run: `",
    ),
    ("today", write_old_unmarked_run, "clip_lib has changed since the run: `"),
    ("same-run", change, RUN, "Groupe 7", "Groupe 7 encore", "Clip.pdf is of another"),
    ("same-run", change_keywords, "run-", "run-1", "rapport.pdf is of another run: `"),
    ("archive", source, "modèle", "7_code/clip_lib/modèle.py: some systems change thi"),
    ("archive", source, "a:b", "7_code/clip_lib/a:b.py: some systems change this name"),
)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_breaks_its_rule_alone(project, capsys, fault):
    rule, spoil, *arguments, sentence = fault
    options = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
    spoil(*arguments, **options)
    assert main(["submit", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    found = {one["rule"]: one["faults"] for one in answer["rules"] if one["faults"]}
    assert list(found) == [rule], found
    assert any(sentence in one for one in found[rule]), found[rule]
    assert all(one.endswith(".") and "\n" not in one for one in found[rule])
    assert answer["archive"] is None and not list(project.glob("*.zip"))
    if rule not in ("files", "team"):  # There may be nothing to pack, or no name.
        assert main(["submit", "--waive", rule]) == 0


def test_every_rule_has_its_fault_and_its_line_in_the_list():
    names = [rule.name for rule in rules.RULES]
    assert {rule for rule, *_ in FAULTS} | {"size"} == set(names)  # That one: below.
    text = (ROOT / "docs" / "hand_in.md").read_text("utf-8")
    listed = re.findall(r"^\| `(\S+)` \| (.+?) \|", text, re.MULTILINE)
    assert listed == [(rule.name, rule.title) for rule in rules.RULES]


def test_nothing_of_the_library_is_left_out():
    files = {path for path in ROOT.glob("clip_lib/**/*.*") if path.suffix != ".pyc"}
    assert files <= {path for pattern in archive.CODE for path in ROOT.glob(pattern)}


def test_nothing_wrong_makes_the_archive(project, capsys):
    os.utime(REPORT, (0, 0))  # Older than zip knows.
    assert main(["pdf"]) == 0
    capsys.readouterr()
    assert main(["submit"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    shown = [f"yes     {rule.name:13}{rule.title}" for rule in rules.RULES]
    assert lines[: len(shown)] == shown
    assert "7.zip (0.0 MB)" in lines and said.err == ""
    assert f"{DEPOSITOR} dépose 7.zip sur Moodle" in lines[-1]
    assert "le groupe 7 est inscrit" in said.out and "vidéo" in said.out
    with zipfile.ZipFile("7.zip") as made:
        assert made.namelist() == [
            *("7.pdf", "7_ProjetClip.ipynb", "7_ProjetClip.pdf"),
            *(f"7_code/{name}" for name in sorted([*SOURCES, "equipe.toml"])),
            "7_code/LISEZMOI.txt",
        ]
        for name, path in zip(made.namelist(), (REPORT, RUN, PDF), strict=False):
            assert made.read(name) == path.read_bytes()
        assert "Nguyễn Anh 22009999" in made.read("7_code/LISEZMOI.txt").decode()


def test_exercises_are_not_packed(project):
    """Not those of a notebook that ran in Jupyter either; its run is the same."""
    notebook = nbformat.read(RUN, as_version=4)
    asked = new_markdown_cell("### Exercices", metadata={"tags": [EXERCISE]})
    notebook.cells.insert(1, asked)
    nbformat.write(notebook, RUN)
    assert main(["submit"]) == 0
    with zipfile.ZipFile("7.zip") as made:
        assert b"Exercices" not in made.read("7_ProjetClip.ipynb")
    assert main(["submit", "--check", "7.zip"]) == 0


def test_only_what_git_tracks_and_the_notebook_uses_is_packed(project, capsys):
    write_run(code="list_options(membres)")
    Path("models/pretrained/photos.npz").touch()  # An index of somebody's photos.
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    for name in ("clip_lib/copie.py", "clip_lib/.DS_Store", "notes.txt"):
        Path(name).touch()
    assert main(["submit"]) == 1
    said = capsys.readouterr().out
    assert "clip_lib/copie.py: not packed, because git does not track it" in said
    assert main(["submit", "--waive", "archive"]) == 0
    said = capsys.readouterr().out
    assert "0.0 MB of models/pretrained go along, because a cell of the" in said
    with zipfile.ZipFile("7.zip") as made:
        packed = {name.removeprefix("7_code/") for name in made.namelist()[3:-1]}
    assert packed == {*SOURCES, WEIGHTS, "equipe.toml"}


def test_an_archive_is_examined_as_it_will_be_handed_in(project, capsys):
    assert main(["submit"]) == main(["submit", "--check", "7.zip"]) == 0
    team("9999", "9998")
    assert main(["submit", "--check", "7.zip"]) == 1
    said = capsys.readouterr().out
    assert "no      names" in said and "1 rule is broken, of 17." in said
    team("9998", "9999")
    with zipfile.ZipFile("7.zip", "a") as made:
        made.writestr("__MACOSX/._7.pdf", "")
        made.writestr("7_code/.DS_Store", "")
        made.writestr("autre.pdf", "")
    shutil.copy("7.zip", "6.zip")
    before = Path("6.zip").read_bytes()
    assert main(["submit", "--check", "6.zip", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    (broken,) = (one for one in answer["rules"] if one["faults"])
    assert broken["rule"] == "archive" and len(broken["faults"]) == 4
    assert "6.zip: the archive of group 7 is 7.zip." in broken["faults"]
    assert "autre.pdf: does not belong in the archive." in broken["faults"]
    assert Path("6.zip").read_bytes() == before
    shutil.make_archive("vide", "zip", "report")
    assert main(["submit", "--check", "vide.zip"]) == 1
    assert "7.pdf is not in the archive." in capsys.readouterr().out
    assert main(["submit", "--check", "equipe.toml"]) == 1
    assert "equipe.toml: not a zip." in capsys.readouterr().err


def test_files_of_elsewhere(project, capsys, monkeypatch):
    """A report of an online LaTeX, a notebook of Jupyter: under any name."""
    monkeypatch.setenv("HOME", str(project))
    monkeypatch.setenv("USERPROFILE", str(project))
    write_run(mark=False)
    REPORT.rename("Main (1).PDF")
    RUN.rename("à moi.ipynb")
    PDF.rename("à moi.pdf")
    options = ["--report", "~/Main (1).PDF", "--notebook", "à moi.ipynb"]
    assert main(["submit", *options, "--output", "deep/er"]) == 0
    assert zipfile.is_zipfile("deep/er/7.zip")


def test_waiving_and_what_it_cannot_make(project, capsys):
    Path("7.zip").write_bytes(b"the last one")
    write_report(body=9)
    assert main(["submit", "--waive", "template"]) == 1
    said = capsys.readouterr().out
    assert "no      pages" in said and "1 rule is broken, of 17." in said
    assert "7.zip is an earlier one: do not hand it in." in said
    assert main(["submit", "--waive", "pages"]) == 0
    said = capsys.readouterr().out
    assert "waived  pages" in said and "        body of 9 pages" in said
    assert "the earlier 7.zip is now 7.zip.old." in said
    assert zipfile.is_zipfile("7.zip")
    assert Path("7.zip.old").read_bytes() == b"the last one"
    assert main(["submit", "--waive", "all"]) == 0  # The same: nothing to keep.
    assert Path("7.zip.old").read_bytes() == b"the last one"
    assert main(["submit", "--waive", "page"]) == 1
    assert "--waive page: expected team, files, names" in capsys.readouterr().err
    REPORT.unlink()
    assert main(["submit", "--waive", "all"]) == 1
    assert "rapport.pdf.\n" in capsys.readouterr().err  # There is nothing to pack.


def test_what_is_known_early(project, capsys, monkeypatch):
    """Of a notebook that ran, what is wrong with it; else what is to be filled in."""
    REPORT.unlink()
    early = ["submit", "--early", "--report", "main.pdf", "--json"]

    def broken():
        main(early)
        found = json.loads(capsys.readouterr().out)["rules"]
        return [one["rule"] for one in found if one["faults"]]

    assert broken() == [] and main(early) == 0
    capsys.readouterr()
    write_run(said="SCÈNES DESSINÉES", team="autres")
    assert broken() == ["names", "photographs"]
    RUN.unlink()
    assert broken() == []
    TEMPLATE.unlink()
    team("Anh", "<Prénom 3>")
    change(NOTEBOOK, "membres", "VOTRE-COMPTE")
    assert broken() == ["team", "leftovers", "template"] and main(early) == 1
    monkeypatch.setenv("PATH", "")
    assert main(["submit", "--early"]) == 1
    assert "latexmk and lualatex not found" in capsys.readouterr().err


def test_a_command_that_works_for_the_reader(monkeypatch):
    """`make`, where it is and has made this environment; else this very Python."""
    monkeypatch.setattr(rules.shutil, "which", lambda name: "/usr/bin/make")
    monkeypatch.setattr(rules.sys, "prefix", str(ROOT / ".venv"))
    assert rules.command("run") == "`make run`"
    monkeypatch.setattr(rules.sys, "prefix", "/usr")
    monkeypatch.setattr(rules.sys, "executable", "/usr/bin/python3")
    assert rules.command("pdf") == "`/usr/bin/python3 -m clip_lib pdf`"


def test_an_archive_that_is_too_heavy(project, monkeypatch, capsys):
    monkeypatch.setattr(rules, "MEGABYTES", 0.001)
    assert main(["submit"]) == 1
    said = capsys.readouterr().out
    assert (
        "no      size" in said and "0.0 MB: lighten the figures of the report" in said
    )


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
