"""What is written about the project stays true."""

import ast
import dataclasses
import graphlib
import json
import re
import shlex
import sys
from pathlib import Path

from clip_lib.cli.parser import parse
from clip_lib.config import Config
from clip_lib.evaluation.results import RESULTS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = sorted((ROOT / "clip_lib").rglob("*.py"))
ROOMS = re.findall(
    r"\w+",
    "silence_tensorflow errors atomic config scenes data models training retrieval "
    "evaluation figures towers enrich handin web cli __main__",
)
"""Each may import those before it, but not one that stands beside it here:"""
BESIDE = {"training", "retrieval"}, {"enrich", "handin", "web"}

sys.path.insert(0, str(ROOT / "benchmarks"))


def imported(path) -> set[str]:
    """Return the modules of ours that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("clip_lib.")}


def test_imports_run_one_way():
    graph = {}
    for path in MODULES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        graph[name.removesuffix(".__init__")] = imported(path)
    for name, names in graph.items():
        room = name.partition(".")[2].partition(".")[0] or "__main__"
        others = {other.split(".")[1] for other in names} - {room, "__version__"}
        beside = set().union(*(rooms for rooms in BESIDE if room in rooms))
        wrong = others - (set(ROOMS[: ROOMS.index(room)]) - beside)
        assert not wrong, f"{name} imports {wrong}"
        # The modules themselves, of which some names are members.
        names |= {other.rpartition(".")[0] for other in names}
        graph[name] = names & set(graph) - {name}
    graphlib.TopologicalSorter(graph).prepare()  # Raises for a circle.


def test_the_tree_in_readme_is_the_tree():
    tree = re.search(r"```\n(1_ProjetClip.*?)```", README, re.DOTALL)[1]
    found, parents = set(), []
    for line in tree.splitlines():
        name = line.split()[0]
        parents[(len(line) - len(line.lstrip())) // 2 :] = [name.rstrip("/")]
        found.add(path := "/".join(parents))
        assert (ROOT / path).is_dir() if name.endswith("/") else (ROOT / path).is_file()
    rooms = {path.relative_to(ROOT).parts[1] for path in MODULES} - {"__init__.py"}
    assert {f"clip_lib/{room}" for room in rooms} <= found


def test_the_commands_in_readme_exist():
    lines = "".join(README.split("```")[1::2]).replace("\\\n", " ").splitlines()
    commands = [line.split("clip_lib ")[1] for line in lines if "-m clip_lib " in line]
    assert len(commands) > 10
    for command in commands:
        words = shlex.split(re.split("[<`]", command)[0], comments=True)
        parse(words)  # Exits if there is no such command or option.
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)
    used = re.findall(r"(?:^|`|[A-Z_]+=\S* )make ([a-z-]+)", README, re.MULTILINE)
    assert len(used) > 5 and set(used) <= set(targets)
    scripts = re.findall(r"benchmarks/(\w+\.py)", README + makefile)
    scripts += re.findall(r"`(\w+\.py)", (ROOT / "benchmarks/README.md").read_text())
    assert all((ROOT / "benchmarks" / name).is_file() for name in scripts)


def test_the_numbers_in_readme_are_the_measured_ones():
    from tables import READMES, TABLES, with_tables

    texts = [path.read_text(encoding="utf-8") for path in READMES]
    for text in texts:
        assert with_tables(text)[0] == text, "run: python benchmarks/tables.py"
    marked = re.findall(r"<!-- (\w+) -->", "".join(texts))
    assert sorted(set(marked) - {"end"}) == sorted(TABLES)
    assert marked.count("end") == len(TABLES)


def test_results_are_of_today_s_recipe():
    """Those that name a commit; a newer setting must change nothing by default."""

    recipe = json.loads(json.dumps(dataclasses.asdict(Config())))
    for name in ("pipeline_folds", "pipeline_five", "pipeline_untouched", "ablation"):
        result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        if "commit" in result:
            assert result["config"].items() <= recipe.items()


def test_nothing_unsafe_is_used():
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        for word in ("pickle.load", "allow_pickle=True", "Lambda(", "safe_mode=False"):
            assert word not in text, f"{path.name}: {word}"
