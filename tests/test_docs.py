"""What is written about the project stays true."""

import ast
import dataclasses
import graphlib
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from clip_lib import __version__
from clip_lib.__main__ import main
from clip_lib.cli.parser import parse
from clip_lib.config import Config
from clip_lib.evaluation.results import RESULTS
from clip_lib.retrieval.photo_folder import open_folder

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
GUIDES = "".join(path.read_text(encoding="utf-8") for path in PAGES[1:])
OTHERS = ("benchmarks", "models", "models/pretrained", "report/template", "data/flickr")
MODULES = sorted((ROOT / "clip_lib").rglob("*.py"))
ROOMS = re.findall(
    r"\w+",
    "errors silence_tensorflow atomic config scenes data models training "
    "retrieval evaluation figures towers enrich handin web cli __main__",
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


def test_the_tree_is_the_tree():
    page = (ROOT / "docs/tree.md").read_text(encoding="utf-8")
    tree = re.search(r"```\n(1_ProjetClip.*?)```", page, re.DOTALL)[1]
    found, parents = set(), []
    for line in tree.splitlines():
        name = line.split()[0]
        parents[(len(line) - len(line.lstrip())) // 2 :] = [name.rstrip("/")]
        found.add(path := "/".join(parents))
        assert (ROOT / path).is_dir() if name.endswith("/") else (ROOT / path).is_file()
    rooms = {path.relative_to(ROOT).parts[1] for path in MODULES} - {"__init__.py"}
    assert {f"clip_lib/{room}" for room in rooms} <= found


def headings(path) -> set[str]:
    """Return the anchors of a page, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"(?m)^#+ (.*)", text)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in titles}


def test_every_link_leads_somewhere():
    pages = [*PAGES, *(ROOT / folder / "README.md" for folder in OTHERS)]
    count = 0
    for page in pages:
        text = re.sub(
            r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL
        )
        links = re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", text)
        for link in filter(None, map("".join, links)):
            if re.match("https?:", link):
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name) if name else page
            assert target.exists(), f"{page}: {link}"
            assert not anchor or anchor in headings(target), f"{page}: {link}"
            count += 1
    assert count > 60
    # README names every page.
    assert all(f"(docs/{path.name})" in README for path in PAGES[1:])


def test_no_measured_number_is_typed():
    """Those of the pages are in blocks that benchmarks/tables.py fills."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for hidden in (r"<!-- \w+ -->.*?<!-- end -->", r"```.*?```", r"`[^`]*`"):
            text = re.sub(hidden, "", text, flags=re.DOTALL)
        # Links, headings of versions, versions, an address and thousands are none.
        text = re.sub(r"\]\([^)]*\)|(?m:^## .*)|127\.0\.0\.1", "", text)
        versions = (
            r"(Python|Keras|TensorFlow|rclip) \d+\.\d+((,| or| ou| to) \d+\.\d+)*"
        )
        text = re.sub(versions + r"|\b\d{1,3}(,\d{3})+\b", "", text)
        typed = re.findall(r"(?<![\w.,])\d*[.,]\d+\b", text)
        assert not typed, f"{page.name}: {typed}"


def test_the_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"(?m)^version: (.*)$", citation)[1] == __version__
    changes = (ROOT / "docs/CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {__version__}\n" in changes


def test_the_commands_in_the_pages_exist():
    lines = (
        "".join((README + GUIDES).split("```")[1::2]).replace("\\\n", " ").splitlines()
    )
    commands = [line.split("clip_lib ")[1] for line in lines if "-m clip_lib " in line]
    assert len(commands) > 10
    for command in commands:
        words = shlex.split(re.split("[<`]", command)[0], comments=True)
        parse(words)  # Exits if there is no such command or option.
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)
    used = re.findall(
        r"(?:^|`|[A-Z_]+=\S* )make ([a-z-]+)", README + GUIDES, re.MULTILINE
    )
    assert len(used) > 5 and set(used) <= set(targets)
    scripts = re.findall(r"benchmarks/(\w+\.py)", README + GUIDES + makefile)
    scripts += re.findall(r"`(\w+\.py)", (ROOT / "benchmarks/README.md").read_text())
    assert all((ROOT / "benchmarks" / name).is_file() for name in scripts)


def test_what_the_oral_opens_exists():
    text = (ROOT / "docs/oral.md").read_text(encoding="utf-8")
    sections = text.split("\n## ")[1:]
    assert len(sections) > 15
    for section in sections:
        named = re.findall(r"`(\w[\w/]+\.py)`, `([\w.]+)`", section)
        assert named, section
        for file, name in named:
            body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
            for part in name.split("."):
                found = [node for node in body if getattr(node, "name", "") == part]
                assert found, f"docs/oral.md: {name} is not in {file}"
                body = found[0].body


def test_another_engine_gives_the_same_answers(
    run_config, tiny_folder, tmp_path, monkeypatch, capsys
):
    """By the example of docs/engines.md, as it stands there."""
    pytest.importorskip("faiss", reason="pip install faiss-cpu")
    text = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    model = str(run_config.clip_file)
    example = re.sub('"models/.*?"', repr(model), example).replace("dog - snow", "dog")
    monkeypatch.chdir(tmp_path)
    index = ["index", str(tiny_folder), "--model", model, "--export"]
    assert main([*index, "photos.npy"]) == 0
    names = {}
    exec(example, names)
    search = open_folder(names["clip"], tiny_folder)
    expected = search.images_for("dog", 5, "all")
    found = names["items"].loc[names["ids"][0]]
    assert found["paths"].tolist() == expected["paths"].tolist()
    assert names["scores"][0] == pytest.approx(expected["score"], abs=1e-6)
    capsys.readouterr()
    assert main([*index, "photos.txt"]) == 1
    assert "expected a name ending in .npy" in capsys.readouterr().err


def test_the_numbers_in_the_pages_are_the_measured_ones():
    from tables import PAGES as WRITTEN
    from tables import TABLES, with_tables

    texts = [path.read_text(encoding="utf-8") for path in WRITTEN]
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
