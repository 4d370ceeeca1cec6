"""The report: every number comes from a measure, every name survives, pages count."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import keras
import pandas as pd
import pypdf
import pytest
from conftest import LABELS

from clip_lib.__main__ import main
from clip_lib.evaluation import results
from clip_lib.handin import compile_latex as typeset
from clip_lib.handin import report, report_tables
from clip_lib.handin.architecture import architecture_figure
from clip_lib.handin.document_text import read_pdf
from clip_lib.handin.latex import decimal_commas, escape, number
from clip_lib.handin.model_summary import architecture_sizes
from clip_lib.handin.report_claims import check_text
from clip_lib.handin.report_numbers import benchmark_numbers
from clip_lib.handin.team import read_team
from clip_lib.models.encoders import build_text_classifier
from clip_lib.retrieval.search import Clip

NAMES = (
    ("O'Connor-Lévêque", "Zoé -- Ñusta", "22001234"),
    ("d'Été & Fils_#1 {x}", "Ł\\~^ 100 % $", "0042"),
    ("Nguyễn", "Łukasz", "22009999"),
    ("d\u2019Œuvre-Ÿ", "E\u0301lodie", "22005555"),
)
TEAM = "groupe = 7\n" + "".join(
    f"[[membres]]\nnom = '''{last}'''\nprenom = '''{first}'''\ncarte = '{card}'\n"
    for last, first, card in NAMES
)
COMPILES = bool(shutil.which("latexmk") and shutil.which("lualatex"))
needs_latex = pytest.mark.skipif(not COMPILES, reason="latexmk, lualatex: not here")


@pytest.fixture(scope="module")
def models(tmp_path_factory, run_config, vectorizer, started_image_classifier):
    """What the notebook leaves, both classifiers included."""
    folder = tmp_path_factory.mktemp("report") / "models"
    shutil.copytree(run_config.model_dir, folder)
    words = vectorizer.vocabulary_size()
    texts = build_text_classifier(run_config, words, len(LABELS))
    started_image_classifier.save(folder / "image_classifier.keras")
    texts.save(folder / "text_classifier.keras")
    return dataclasses.replace(run_config, model_dir=str(folder))


@pytest.fixture(scope="module")
def written(tmp_path_factory, models):
    """A copy of the report with its generated files, and the numbers."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("written") / "report"
    ignored = shutil.ignore_patterns("generated", "*.pdf", "preambule.tex")
    shutil.copytree(report.REPORT, folder, ignore=ignored)
    team = folder / "equipe.toml"
    team.write_text(TEAM, encoding="utf-8")
    left_over = folder / "generated" / "figures" / "old.pdf"
    left_over.parent.mkdir(parents=True)
    left_over.touch()
    return folder, report.write_generated(models, folder, team)


@pytest.fixture
def copy(written, tmp_path):
    """A copy of that folder, to spoil."""
    return Path(shutil.copytree(written[0], tmp_path / "report"))


def prose():
    """Each line of the text without its comments: (file and number, line)."""
    for path in (report.REPORT / "rapport.tex", *report.REPORT.glob("sections/*.tex")):
        text = path.read_text("utf-8")
        before, _, text = text.rpartition("\\begin{document}")
        for place, line in enumerate(text.splitlines(), before.count("\n") + 1):
            yield f"{path.name}:{place}", re.sub(r"(?<!\\)%.*", "", line)


def typed_numbers(line: str) -> list[str]:
    """Find the numbers of a line that a macro should have printed."""
    for harmless in (
        r"\\(resultat|constat|figuregeneree|tableaugenere|label|ref|cite)\{[^{}]*\}",
        r"generated/figures/\w+\.pdf",
        r"[RP]@\d+|HAI923",  # Names.
        r"\\\\\[\w+\]|\\setlength.*|\{99\}",  # Layout.
        r"\$[01]\$|\\frac\{1\}\{2B\}|\\frac\{1\}\{P\}|\(1-\\\w+\)",  # Formulas.
    ):
        line = re.sub(harmless, "", line)
    return re.findall(r"\d[\d.,]*(?:\s*\\?%)?", line)


def test_the_text_and_the_numbers_agree(written):
    assert check_text(report.REPORT, written[1]) == []


def test_no_number_is_typed():
    lines = [(place, line) for place, line in prose() if "\\bibitem" not in line]
    assert len(lines) > 200
    found = {place: typed_numbers(line) for place, line in lines}
    assert {place: numbers for place, numbers in found.items() if numbers} == {}


@pytest.mark.parametrize(
    "line", [r"un rappel de 0,34", r"soit 34~\% des images", "90 paires", "224 x 224"]
)
def test_a_typed_number_would_be_found(line):
    assert typed_numbers(line)


def test_the_text_says_that_it_is_to_be_rewritten():
    text = (report.REPORT / "rapport.tex").read_text("utf-8")
    assert "À RÉÉCRIRE" in text[: text.index("\\documentclass")]
    readme = (report.REPORT.parent / "README.md").read_text("utf-8")
    assert "forbids" in readme and "rewrite" in readme


def test_a_changed_result_changes_the_report(written, tmp_path, monkeypatch):
    folder = tmp_path / "results"
    shutil.copytree(results.RESULTS, folder)
    monkeypatch.setattr(results, "RESULTS", folder)
    path = folder / "pipeline_folds.json"
    found = json.loads(path.read_text("utf-8"))
    for run in found["runs"]:
        run["clip"]["image_to_text"]["recall@10"] = 0.0123
    path.write_text(json.dumps(found), encoding="utf-8")
    old, new = written[1], benchmark_numbers()
    key = "folds/image_to_text/recall@10"
    assert old.texts[key] != new.texts[key] == r"0{,}01~\ensuremath{\pm}~0{,}00"
    assert rf"\definir{{{key}}}{{{new.texts[key]}}}" in new.to_latex()
    assert "0{,}01~\\ensuremath{\\pm}~0{,}00" in report_tables.results_tabular()
    new.texts = old.texts  # Those of the model are still known.
    faults = check_text(report.REPORT, new)
    assert faults and all("the text relies on" in fault for fault in faults)
    assert any(re.search(r"introduction\.tex:\d+: ", fault) for fault in faults)


def test_an_unknown_key_and_a_false_claim_are_named(written, copy):
    (copy / "rapport.tex").write_text(
        "% \\resultat{no}\n\\resultat{folds/image_to_text/recall@11}\n"
        "\\constat{folds/runs > 2*folds/pairs/test}\\constat{folds/runs ?}"
        "\\constat{folds/runs > nothing}",
        encoding="utf-8",
    )
    faults = check_text(copy, written[1])
    assert len(faults) == 4
    assert (
        "rapport.tex:2: no number is called 'folds/image_to_text/recall@11'"
        in faults[0]
    )
    assert "nearest is 'folds/image_to_text/recall@1" in faults[0]
    assert "relies on folds/runs > 2*folds/pairs/test, but these are 5" in faults[1]
    assert "expected a claim" in faults[2]
    assert "no number is called 'nothing'" in faults[3]


def test_what_is_generated(written):
    folder = written[0] / "generated"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*.*")}
    assert {"numbers.tex", "team.tex", "tables/results.tex"} <= names
    text = "".join(line for _, line in prose())
    for name in re.findall(r"\\figuregeneree\{(\w+)\}", text):
        if name != "confusion_3":  # Only where the model knows the labels' words.
            assert f"figures/{name}.pdf" in names
    for name in re.findall(r"\\tableaugenere\{(\w+)\}", text):
        assert f"tables/{name}.tex" in names
    assert "figures/old.pdf" not in names
    numbers = written[1].texts
    assert numbers["model/source"] == "photographies" and not numbers["model/notice"]


def test_the_architecture_is_that_of_the_model(models):
    clip = Clip.load(models.model_path("myclip_with_smallbert.keras"))
    sizes = architecture_sizes(clip)
    assert sizes["descriptors"] == models.descriptors == 8
    assert sizes["second_order"] == (8 + 3) * (8 + 4) // 2
    assert sizes["embed_dim"] == 32 and sizes["blocks"] == 1
    assert sizes["trained_image"] == sizes["second_order"] * 32 + 32  # Locked.
    figure = architecture_figure(clip, len(LABELS))
    shown = "\n".join(text.get_text() for text in figure.axes[0].texts)
    for words in (
        "64 \u00d7 64",
        "8 descripteurs",
        "66 nombres",
        "1 bloc Transformer",
        "largeur 32",
    ):
        assert words in shown


def test_numbers_are_french():
    assert number(0.349) == "0{,}35" and number(13348928) == r"13\,348\,928"
    assert number(3e-4) == r"\ensuremath{3\times 10^{-4}}"
    assert number(-1.5) == r"\ensuremath{-}1{,}50" and number(60.5) == "60{,}5"
    assert decimal_commas("18.00 ± 2.15") == r"18{,}00~\ensuremath{\pm}~2{,}15"


def test_names_are_escaped():
    assert escape("Fils_#1 {x} & 5 %") == r"Fils\_\#1 \{x\} \& 5 \%"
    assert escape("a -- b\nÉ E\u0301") == r"a -\coupe{}- b É É"
    group, members = "7", pd.DataFrame(NAMES)
    text = report.team_latex(group, members)
    assert r"O\textquotesingle{}Connor-Lévêque" in text and "Nguyễn" in text


@needs_latex
def test_the_report_compiles_and_names_survive(written, tmp_path):
    folder, _ = written
    made = typeset.typeset(folder, tmp_path / "7.pdf")
    assert made.faults == [] and made.warnings == []
    pdf = pypdf.PdfReader(made.path)
    assert made.body + made.appendix == len(pdf.pages)
    assert made.body <= 8 and 0 < made.appendix <= 2
    # The bookmark that a PDF of an online LaTeX has as well says the same.
    paper = read_pdf(made.path)
    assert (paper.body, paper.appendix) == (made.body, made.appendix)
    assert "ablation complète" in pdf.pages[made.body].extract_text()
    page = pdf.pages[0].extract_text()
    _, members = read_team(folder / "equipe.toml")
    for last, first, card in members.to_numpy():
        first = first.replace("E\u0301", "É")
        for word in (last, first, card):
            assert word in page, word
            assert word in pdf.metadata.author, word
    assert "Groupe 7" in page and "groupe 7" in pdf.metadata.title
    assert not list(folder.glob("*.aux"))


@needs_latex
def test_too_many_pages_are_refused_and_kept(copy, tmp_path):
    (copy / "sections" / "limites.tex").write_text(r"\newpage a" * 9, encoding="utf-8")
    (copy / "sections" / "annexes.tex").write_text("李 \\ref{no}", encoding="utf-8")
    made = typeset.typeset(copy, tmp_path / "long.pdf")
    assert made.path.is_file() and made.body > 8
    assert made.faults[0] == f"body of {made.body} pages: the course allows 8."
    assert any("李 (U+674E)" in fault for fault in made.faults)
    assert "reference 'no' leads nowhere." in made.faults


@needs_latex
def test_an_error_of_latex_is_one_sentence(copy, tmp_path):
    path = copy / "sections" / "limites.tex"
    path.write_text("a\n\\resultat{folds/none}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"limites\.tex:2: .*folds/none") as caught:
        typeset.typeset(copy, tmp_path / "none.pdf")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "none.pdf").exists()


@needs_latex
def test_the_template_of_the_course_is_picked_up(copy, tmp_path):
    (copy / "template" / "cours.cls").write_text(
        "\\LoadClass{article}\\RequirePackage[margin=5mm]{geometry}", encoding="utf-8"
    )
    (copy / "template" / "preambule.tex").write_text(
        "\\documentclass[a4paper]{cours}\n\\usepackage[utf8]{inputenc}\n"
        "\\usepackage[T1]{fontenc}\n\\usepackage[french]{babel}\n"
        "\\usepackage{graphicx}\n\\usepackage{hyperref}\n",
        encoding="utf-8",
    )
    made = typeset.typeset(copy, tmp_path / "cours.pdf")
    assert made.body < 8  # Hardly any margin.
    paper = read_pdf(made.path)
    assert (paper.body, paper.appendix) == (made.body, made.appendix)
    assert "Nguyễn" in pypdf.PdfReader(made.path).pages[0].extract_text()


def test_pages_and_errors_are_read_from_the_log():
    log = "Output written on /tmp/x/rapport.pdf (10 pages, 5 bytes)."
    assert typeset._pages(log, "\\gdef\\pagesducorps{8}") == (8, 2)
    assert typeset._pages(log, "") == (10, 0)
    assert typeset._too_long(8, 2) == []
    assert typeset._too_long(8, 3) == ["appendix of 3 pages: the course allows 2."]
    log = "x.tex:3: LaTeX Error: File `booktabs.sty' not found."
    assert "LaTeX lacks booktabs.sty" in typeset._first_error(log, "report")
    log = "./a.tex:12: Undefined control sequence.\nl.12 le \\truc\n      ici"
    sentence = typeset._first_error(log, "report")
    assert sentence.startswith(f"{Path('report', 'a.tex')}:12: Undefined control")
    assert "truc" in sentence


def test_without_latex_it_says_what_to_install(copy, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"latexmk and lualatex not found.*apt install"
    ):
        typeset.typeset(copy, tmp_path / "none.pdf")


def test_a_missing_model_or_result_is_named(models, copy, tmp_path, monkeypatch):
    config = dataclasses.replace(models, model_dir=str(tmp_path))
    with pytest.raises(ValueError, match=r"no such model; `make run` trains one"):
        report.write_generated(config, copy, copy / "equipe.toml")
    config = dataclasses.replace(models, model_dir=str(tmp_path / "models"))
    shutil.copytree(models.model_dir, config.model_dir)
    config.model_path("text_classifier.keras").unlink()
    with pytest.raises(ValueError, match=r"text_classifier\.keras: no such model"):
        report.write_generated(config, copy, copy / "equipe.toml")
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    with pytest.raises(ValueError, match=r"pipeline_folds\.json: no such result"):
        benchmark_numbers()


def test_the_command_without_pdf(written, copy, monkeypatch, capsys):
    def write(config, folder, say):
        assert (config.model_dir, folder) == ("elsewhere", copy)
        say("figure recalls")
        return written[1]

    monkeypatch.setattr(report, "REPORT", copy)
    monkeypatch.setattr(report, "write_generated", write)
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")
    assert main(["report", "--no-pdf", "--json", "--models", "elsewhere"]) == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert answer["source"] == "photographies" and answer["faults"] == []
    assert "figure recalls" in said.err
    (copy / "sections" / "limites.tex").write_text(r"\resultat{none}", "utf-8")
    assert main(["report", "--json"]) == 1  # Before LaTeX is even asked.
    assert "limites.tex:1: no number is called 'none'" in capsys.readouterr().err
    assert not (copy / "rapport.pdf").exists()
