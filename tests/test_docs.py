"""What is written about the project stays true."""

import dataclasses
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
sys.path.insert(0, str(ROOT / "benchmarks"))

ORDER = [
    "quiet",
    "config",
    "atomic",
    "npz",
    "images",
    "download",
    "scenes",
    "source",
    "folds",
    "records",
    "data",
    "text",
    "check",
    "batches",
    "second_order",
    "encoders",
    "descriptors",
    "word_vectors",
    "start",
    "losses",
    "clip",
    "ranking",
    "bootstrap",
    "callbacks",
    "train",
    "index",
    "retrieval",
    "zero_shot",
    "readable",
    "folder_index",
    "answers",
    "evaluate",
    "results",
    "tables",
    "plots",
    "gallery",
    "explain",
    "explain_plots",
    "reliance",
    "reliance_plots",
    "cleaning",
    "contact_sheet",
    "reload",
    "team",
    "latex",
    "architecture",
    "report_numbers",
    "report_tables",
    "report_charts",
    "report_examples",
    "report",
    "report_claims",
    "typeset",
    "notebook",
    "printable",
    "notebook_pdf",
    "say",
    "ask",
    "ask_files",
    "page_words",
    "thumbnails",
    "cards",
    "page",
    "layout",
    "app",
    "commands",
    "options",
    "parser",
]

MODULES = sorted((ROOT / "clip_lib").rglob("*.py"))


def test_the_figures_in_readme_are_the_measured_ones():
    from tables import READMES, TABLES, with_tables

    texts = [path.read_text(encoding="utf-8") for path in READMES]
    for text in texts:
        assert with_tables(text) == text, "run: python benchmarks/tables.py"
    marked = re.findall(r"<!-- (\w+) -->", "".join(texts))
    assert sorted(set(marked) - {"end"}) == sorted(TABLES)
    assert marked.count("end") == len(TABLES)


def test_the_headline_is_of_this_recipe():
    from clip_lib.config import Config
    from clip_lib.results import read_result

    recipe = json.loads(json.dumps(dataclasses.asdict(Config())))
    for name in ("seed", "model_dir", "dataset_dir", "folds", "fold"):
        del recipe[name]
    for name in ("folds", "five", "untouched"):
        assert read_result(f"pipeline_{name}")["config"] == recipe


def test_the_tree_in_readme_is_the_tree():
    tree = re.search(r"```\n(1_ProjetClip.*?)```", README, re.DOTALL)[1]
    names = {line.split()[0] for line in tree.splitlines() if line.strip()}
    modules = {path.name for path in (ROOT / "clip_lib").glob("*.py")}
    assert modules <= names | {"__init__.py"}
    for name in names:
        assert list(ROOT.glob(f"{name}")) or list(ROOT.glob(f"*/{name}")), name


@pytest.mark.parametrize(
    "path", sorted((ROOT / "clip_lib").rglob("*.py")), ids=lambda path: path.name
)
def test_a_file_is_one_idea(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 220


def test_arrows_run_one_way():
    """A module imports only modules that stand before it in ORDER."""
    modules = {path.stem for path in (ROOT / "clip_lib").glob("*.py")}
    assert (modules | {"scenes"}) - {"__init__", "__main__"} == set(ORDER)
    for place, name in enumerate(ORDER):
        files = [path for path in MODULES if name in (path.stem, path.parent.name)]
        text = "\n".join(path.read_text(encoding="utf-8") for path in files)
        used = re.findall(r"^ *from clip_lib\.(\w+)[.\w]* import", text, re.MULTILINE)
        assert set(used) - {name} <= set(ORDER[:place]), f"{name} imports {used}"


def test_nothing_unsafe_is_used():
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        for word in (
            "import pickle",
            "allow_pickle=True",
            "Lambda(",
            "safe_mode=False",
        ):
            assert word not in text, f"{path.name}: {word}"
