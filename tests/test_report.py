"""The report: every number comes from a measurement, every name survives."""

import dataclasses
import json
import re
import shutil
import types
import unittest.mock
from pathlib import Path

import keras
import numpy as np
import pytest
from team_project import NAMES, enter

from clip_lib.__main__ import main
from clip_lib.cli import hand_in
from clip_lib.config import Config
from clip_lib.errors import ClipError
from clip_lib.evaluation import results
from clip_lib.handin import compile_latex, report, stamp
from clip_lib.handin.document_text import Paper, absent, read_pdf, strangers
from clip_lib.handin.own_words import shipped_shares
from clip_lib.handin.page_layout import layout_faults
from clip_lib.handin.report import check_text
from clip_lib.handin.report_figures import model_sizes
from clip_lib.handin.report_numbers import benchmark_numbers, escape, number

COMPILES = bool(shutil.which("latexmk") and shutil.which("lualatex"))
needs_latex = pytest.mark.skipif(not COMPILES, reason="latexmk, lualatex: not here")


@pytest.fixture(scope="module")
def written(tmp_path_factory, run_config):
    """A copy of the report with its generated files, and the numbers."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("written") / "report"
    ignored = shutil.ignore_patterns("generated", "*.pdf", "preambule.tex")
    shutil.copytree(report.REPORT, folder, ignore=ignored)
    (folder / "generated").mkdir()
    (folder / "generated" / "old.pdf").touch()
    models = shutil.copytree(run_config.model_dir, folder / "models")
    config = dataclasses.replace(run_config, model_dir=str(models))
    config.save(config.config_file)
    # The environment may ask for others: the run's own settings are stated.
    elsewhere = dataclasses.replace(config, descriptors=99, text_encoder="distilbert")
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        return folder, report.write_generated(elsewhere, folder)


@pytest.fixture
def copy(written, tmp_path):
    """A copy of that folder, to spoil."""
    return Path(shutil.copytree(written[0], tmp_path / "report"))


def test_the_text_and_the_numbers_agree_and_none_is_typed(written):
    assert check_text(report.REPORT, written[1]) == []
    assert "À RÉÉCRIRE" in (report.REPORT / "rapport.tex").read_text("utf-8")
    for path in report.REPORT.glob("sections/*.tex"):
        typed = r"\d,\d|\d~?\\%|[ ~(]\d+[ ~]\w"
        assert re.findall(typed, path.read_text("utf-8")) == [], path.name


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
    new.texts, new.values = old.texts | new.texts, old.values | new.values
    faults = check_text(report.REPORT, new)
    assert faults and all("the text relies on" in fault for fault in faults)
    assert any(re.search(r"introduction\.tex:\d+: ", fault) for fault in faults)
    path.unlink()
    with pytest.raises(ClipError, match=r"pipeline_folds\.json: no such result"):
        benchmark_numbers()


def test_an_unknown_key_and_a_false_claim_are_named(written, copy):
    (copy / "rapport.tex").write_text(
        "% \\resultat{no}\n\\resultat{folds/image_to_text/recall@11}\n"
        "\\constat{folds/runs > 2*folds/pairs/test}\\constat{folds/runs ?}"
        "\\constat{folds/runs > nothing}\nSoit 10 % de tout, ou 10\\,\\% % oui.\n"
        "Et \\resultat{folds/runs} % des plis.",
        encoding="utf-8",
    )
    *found, digit, number_hidden = check_text(copy, written[1])
    assert "rapport.tex:4: an unescaped % hides what follows" in digit
    assert "rapport.tex:5: an unescaped %" in number_hidden
    unknown, false, *others = found
    key = "folds/image_to_text/recall@1"
    assert f"rapport.tex:2: no number is called '{key}1'; the nearest" in unknown
    assert "relies on folds/runs > 2*folds/pairs/test, but these are 5 and" in false
    assert "expected a claim" in others[0] and len(others) == 2
    assert "no number is called 'nothing'" in others[1]


def test_what_is_generated(written):
    folder, numbers = written
    text = "".join(path.read_text("utf-8") for path in folder.glob("sections/*.tex"))
    shown = re.findall(r"\\figuregeneree\{(\w+)\}", text)
    names = {path.stem for path in folder.glob("generated/*.pdf")}
    assert names == set(shown)  # Nothing is left of an earlier run.
    texts, values = numbers.texts, numbers.values
    assert texts["model/source"] == "photographies" and not texts["model/notice"]
    assert texts["config/descriptors"] == texts["model/sizes/descriptors"] == "8"
    assert texts["config/text_encoder"] == "smallbert"
    products = values["model/sizes/second_order"]
    assert products == (8 + 3) * (8 + 4) // 2
    assert values["model/sizes/trained_image"] == products * 32 + 32  # Frozen.
    key = "model/image_to_text/recall@10"
    assert values[f"{key}/low"] <= values[key] <= values[f"{key}/high"]


def test_a_pretrained_encoder_has_no_sizes_of_the_cnn():
    """What the text says of them is then an unknown key."""
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    clip = types.SimpleNamespace(image_encoder=other, text_encoder=other)
    assert set(model_sizes(clip).values()) == {4 * 2 + 2}  # Their weights alone.


def test_numbers_are_french_and_names_escaped():
    assert number(0.349) == "0{,}35" and number(13348928) == r"13\,348\,928"
    assert number(3e-4) == r"\ensuremath{3\times 10^{-4}}"
    assert number(60.5, 1) == "60{,}5" and number(np.float64(0.805)) == "0{,}81"
    assert number(-1.5) == r"\ensuremath{-}1{,}5" and number(-0.001, 2) == "0{,}00"
    assert escape("Fils_#1 {x} & 5 %") == r"Fils\_\#1 \{x\} \& 5 \%"
    assert escape("a -- b\nÉ E\u0301") == r"a -\coupe{}- b É É"


@needs_latex
def test_the_report_compiles_and_names_survive(written, tmp_path):
    folder, _ = written
    made_of = stamp.current(folder, folder / "models", "none.ipynb")
    stamp.write_stamp(folder, made_of, 0)
    paper, faults, warnings = compile_latex.compile_report(folder, tmp_path / "7.pdf")
    assert faults == [] and warnings == []
    assert 5 <= paper.body <= 8 and 0 < paper.appendix <= 2
    assert read_pdf(tmp_path / "7.pdf") == paper and "Groupe 7" in paper.text
    assert absent(paper.text, [value for row in NAMES for value in row]) == []
    assert set(made_of) == {"text", "numbers", "model"}
    assert stamp.read_stamp(paper.keywords) == made_of | {"faults": "0"}
    assert strangers(paper.text, list(NAMES)) == []
    assert layout_faults(tmp_path / "7.pdf") == []
    # If not: the shipped text has changed, `python -m clip_lib.handin.own_words`.
    assert min(shipped_shares(paper.text).values()) > 0.6
    assert "Zoé -- Ñusta" in paper.text and "Ł\\~^ 100 % $" in paper.text


@needs_latex
def test_what_is_refused_under_the_courses_template(copy, tmp_path):
    (copy / "template" / "cours.cls").write_text(
        "\\LoadClass{article}\\RequirePackage[margin=5mm]{geometry}", encoding="utf-8"
    )
    (copy / "template" / "preambule.tex").write_text(
        "\\documentclass[a4paper]{cours}\n\\usepackage[french]{babel}\n"
        "\\usepackage[T1]{fontenc}\\usepackage{graphicx}\\usepackage{hyperref}\n"
    )
    limits = copy / "sections" / "limites.tex"
    limits.write_text(r"\newpage a" * 9, encoding="utf-8")
    (copy / "sections" / "annexes.tex").write_text("李 \\ref{no}", encoding="utf-8")
    paper, faults, _ = compile_latex.compile_report(copy, tmp_path / "long.pdf")
    assert (tmp_path / "long.pdf").is_file() and 8 < paper.body < 16
    assert faults[0] == f"body of {paper.body} pages: the course allows 8."
    assert any("李 (U+674E)" in fault for fault in faults)
    assert "reference 'no' leads nowhere." in faults
    limits.write_text("a\n\\resultat{folds/none}\n", encoding="utf-8")
    with pytest.raises(ClipError, match=r"limites\.tex:2: .*folds/none.*\.$") as caught:
        compile_latex.compile_report(copy, tmp_path / "none.pdf")
    assert "\n" not in str(caught.value) and not (tmp_path / "none.pdf").exists()


def test_without_latex_or_a_model_it_says_what_to_do(copy, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClipError, match=r"latexmk and lualatex not found.*apt install"):
        compile_latex.compile_report(copy, tmp_path / "none.pdf")
    config = Config(model_dir=str(tmp_path))
    with pytest.raises(ClipError, match=r"config\.json: no such file; `.* ?run`"):
        report.write_generated(config, copy)


@pytest.fixture
def command(written, copy, monkeypatch):
    """The folder of a project whose numbers and figures are there."""
    write = unittest.mock.Mock(return_value=written[1])
    monkeypatch.setattr(report, "REPORT", copy)
    monkeypatch.setattr(report, "write_generated", write)
    enter(copy, monkeypatch)
    return write


def test_the_command_without_pdf(command, copy, capsys):
    assert main(["report", "--no-pdf", "--json", "--models", "elsewhere"]) == 0
    assert command.call_args.args[0].model_dir == "elsewhere"
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert answer["source"] == "photographies" and answer["faults"] == []
    assert "warning: report/template/preambule.tex: no such file" in said.err
    stamped = (copy / "generated/stamp.tex").read_text("utf-8")
    assert " faults-0}" in stamped and "model-" not in stamped
    (copy / "sections" / "limites.tex").write_text(r"\resultat{none}", "utf-8")
    assert main(["report", "--no-pdf"]) == 1
    assert "limites.tex:1: no number is called 'none'" in capsys.readouterr().err
    assert " faults-1}" in (copy / "generated/stamp.tex").read_text("utf-8")


def test_a_faulty_report_is_not_where_submit_looks(command, copy, monkeypatch, capsys):
    faults = ["body of 9 pages: the course allows 8."]

    def compile_report(folder, output):
        output.write_bytes(b"a PDF")
        return Paper("", 9 if faults else 8, 0, ""), faults, []

    monkeypatch.setattr(hand_in, "compile_report", compile_report)
    monkeypatch.setattr(hand_in, "require_latex", lambda: None)
    (copy / "rapport.pdf").write_bytes(b"an old one")
    assert main(["report"]) == 1
    said = capsys.readouterr()
    assert "draft.pdf: body 9 of 8 pages, appendix 0 of 2" in said.out
    assert "still as shipped: " in said.out and f"error: {faults[0]}" in said.err
    assert (copy / "draft.pdf").is_file() and not (copy / "rapport.pdf").exists()
    faults.clear()
    assert main(["report"]) == 0 and "rapport.pdf: body 8" in capsys.readouterr().out
    assert (copy / "rapport.pdf").read_bytes() == b"a PDF"
