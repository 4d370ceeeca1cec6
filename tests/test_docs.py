"""What is written about the project stays true."""

import ast
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
    "images",
    "download",
    "scenes",
    "source",
    "records",
    "folds",
    "split",
    "data",
    "word_pieces",
    "text",
    "check",
    "batches",
    "features",
    "pairs",
    "augment",
    "second_order",
    "encoders",
    "backbones",
    "distilbert",
    "descriptors",
    "word_vectors",
    "replicas",
    "losses",
    "saved",
    "pretrained",
    "start",
    "inside",
    "clip",
    "learner",
    "ranking",
    "bootstrap",
    "callbacks",
    "optimizer",
    "workers",
    "strategy",
    "epochs",
    "resume",
    "fitting",
    "train",
    "index",
    "retrieval",
    "recipe",
    "zero_shot",
    "readable",
    "folder_index",
    "answers",
    "evaluate",
    "options",
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
    "notebook",
    "enrich.words",
    "enrich.checks",
    "enrich.prompt",
    "enrich.cache",
    "enrich.pace",
    "enrich.endpoint",
    "enrich.workers",
    "enrich.asking",
    "enrich.report",
    "enrich.folder",
    "enrich.key",
    "handin.latex",
    "handin.halves",
    "handin.architecture",
    "handin.report_numbers",
    "handin.report_tables",
    "handin.report_charts",
    "handin.report_examples",
    "handin.report",
    "handin.report_claims",
    "handin.typeset",
    "handin.reading",
    "handin.printable",
    "handin.notebook_pdf",
    "handin.rules",
    "handin.file_rules",
    "handin.archive_rules",
    "handin.archive",
    "web.words",
    "web.thumbnails",
    "web.cards",
    "web.page",
    "web.layout",
    "web.guard",
    "web.app",
    "cli.say",
    "cli.add",
    "cli.ask",
    "cli.own_files",
    "cli.enrich_options",
    "cli.enrich",
    "cli.hand_in",
    "cli.commands",
    "cli.train",
    "cli.parser",
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
    from clip_lib.evaluation.results import read_result

    recipe = json.loads(json.dumps(dataclasses.asdict(Config())))
    for name in ("seed", "model_dir", "dataset_dir", "strategy"):
        del recipe[name]
    # Came after some of the measurements, and change nothing unless they are set.
    own = {"text_encoder": "smallbert", "image_encoder": "cnn"}
    later = {"strategy", "pretrained", "pretrained_dir", "text_weights"}
    later |= {"image_weights", "fine_tune_epochs", "fine_tune_learning_rate"}
    later |= {"locked_texts"}
    for name in ("folds", "five", "untouched"):
        measured = own | read_result(f"pipeline_{name}")["config"]
        assert recipe.keys() - measured.keys() <= later
        assert {name: recipe[name] for name in measured} == measured


def test_the_tree_in_readme_is_the_tree():
    tree = re.search(r"```\n(1_ProjetClip.*?)```", README, re.DOTALL)[1]
    names = {line.split()[0] for line in tree.splitlines() if line.strip()}
    modules = {path.name for path in MODULES if path.parent.name != "scenes"}
    assert modules <= names | {"__init__.py"}
    for name in names:
        assert any(list(ROOT.glob(f"{place}{name}")) for place in ("", "*/", "*/*/")), (
            name
        )


@pytest.mark.parametrize(
    "path", sorted((ROOT / "clip_lib").rglob("*.py")), ids=lambda path: path.name
)
def test_a_file_is_one_idea(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 220


def module_name(path) -> str:
    """Name a module without ``clip_lib.``; the drawn scenes are one."""
    name = ".".join(path.relative_to(ROOT / "clip_lib").with_suffix("").parts)
    return "scenes" if name.startswith("scenes.") else name


def imported(path) -> set[str]:
    """Return the modules of ours that a module imports, wherever in it."""
    names = {module_name(path) for path in MODULES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "clip_lib"
        ):
            package = node.module.removeprefix("clip_lib").lstrip(".")
            for alias in node.names:
                inner = f"{package}.{alias.name}".lstrip(".")
                found.add(inner if inner in names else package)
    return {"scenes" if name.startswith("scenes") else name for name in found}


def test_arrows_run_one_way():
    """A module imports only modules that stand before it in ORDER."""
    kept = [path for path in MODULES if not path.name.startswith("__")]
    assert {module_name(path) for path in kept} == set(ORDER)
    for path in kept:
        name = module_name(path)
        before = set(ORDER[: ORDER.index(name)]) | (
            {name} if name == "scenes" else set()
        )
        assert imported(path) <= before, f"{name} imports {imported(path) - before}"


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
