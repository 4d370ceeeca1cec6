"""The notebook: its form, its committed outputs, its way through the archive.

`make prove` runs all of it where the archive is unpacked.
"""

import ast
import importlib
import re
import shutil
import zipfile
from pathlib import Path

import nbformat
import pytest
import typst
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from team_project import NAMES, enter

from clip_lib.__main__ import main
from clip_lib.errors import ClipError
from clip_lib.figures.listing import listing
from clip_lib.handin.document_text import EXERCISE, read_notebook, same_cells
from clip_lib.handin.notebook import (
    NOTEBOOK,
    execute_notebook,
    library_files,
    library_mark,
)
from clip_lib.models import contrastive_loss
from clip_lib.models.clip import build_clip
from clip_lib.models.saving import save_model
from clip_lib.models.smallbert import build_text_classifier
from clip_lib.training.pipeline import IMAGE_FILE, TEXT_FILE

ROOT = Path(__file__).parents[1]


def code_cells(path):
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def committed():
    """The code of the committed notebook, cell by cell."""
    return [cell.source for cell in code_cells(ROOT / NOTEBOOK)]


def test_the_notebook_tells_and_does_not_define(committed):
    assert len(committed) <= 45
    assert not re.findall(r"(?m)^\s*(?:def|class) .*", "\n".join(committed))


def test_what_the_notebook_imports_exists(committed):
    """A name that moved is found here, not after a minute of `make run`."""
    code = re.sub(r"(?m)^(\s*)[!%].*", r"\1pass", "\n".join(committed))
    imports = [node for node in ast.walk(ast.parse(code)) if hasattr(node, "module")]
    for node in imports:
        module = importlib.import_module(node.module)
        for name in (alias.name for alias in node.names):
            if not hasattr(module, name):
                importlib.import_module(f"{node.module}.{name}")


def test_the_code_shown_is_the_library_s():
    shown = listing(contrastive_loss, build_clip)
    code = shown.removeprefix("```python\n").removesuffix("```")
    names = [getattr(node, "name", "") for node in ast.parse(code).body]
    assert names[-1] == "build_clip" and "ContrastiveLoss" in names
    assert '"""' not in code and "# clip_lib/models/clip.py" in code


def small_notebook(path, *sources):
    cells = [new_markdown_cell("## A heading"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_the_unpacked_notebook_finds_its_library(tmp_path, committed, monkeypatch):
    """Its first cells, run there, print the team of the archive's own equipe.toml."""
    project, unpacked = tmp_path / "project", tmp_path / "vide à moi"
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "clip_lib", project / "clip_lib", ignore=skipped)
    enter(project, monkeypatch)
    Path("r.pdf").write_bytes(typst.compile(b"A report.", format="pdf"))
    small_notebook(
        project / "n.ipynb", *committed[:2], "import clip_lib; clip_lib.__file__"
    )
    options = ["--report", "r.pdf", "--notebook", "n.ipynb", "--pdf", "r.pdf"]
    assert main(["submit", "--waive", "all", *options]) == 0
    with zipfile.ZipFile("7.zip") as archive:
        archive.extractall(unpacked)
    notebook = execute_notebook(unpacked / "7_ProjetClip.ipynb")
    outputs = [str(cell.outputs) for cell in code_cells(notebook)]
    assert "Groupe 7" in outputs[1] and NAMES[1][0] in outputs[1]
    assert str(unpacked / "7_code") in outputs[2]


def test_the_solutions_of_the_exercises_run(
    run_config, tiny_config, vectorizer, started_image_classifier, tmp_path, monkeypatch
):
    """On a small run: each asserts what it says."""
    folder = tmp_path / "models"
    shutil.copytree(run_config.model_dir, folder)
    save_model(started_image_classifier, folder / IMAGE_FILE)
    words = vectorizer.vocabulary_size()
    save_model(build_text_classifier(tiny_config, words, 4), folder / TEXT_FILE)
    monkeypatch.setenv("CLIP_MODEL_DIR", str(folder))
    solutions = ROOT / "docs" / "exercices.ipynb"
    ran = code_cells(execute_notebook(solutions, tmp_path / "ran.ipynb"))[1:]
    assert all(cell.outputs and "assert " in cell.source for cell in ran)
    told = "\n".join(c.source for c in nbformat.read(ROOT / NOTEBOOK, 4).cells)
    solved = "\n".join(c.source for c in nbformat.read(solutions, 4).cells)
    for chapter in range(1, 6):
        part = told.split(f"### Exercices du chapitre {chapter}")[1].split("###")[0]
        asked = re.findall(r"(?m)^\d\. \*\*(.*?)\.\*\*", part)
        assert len(asked) == 3
        answered = solved.split(f"## Chapitre {chapter}")[1].split("\n## ")[0]
        titles = re.findall(r"### \d\. (.*?)\n", answered)
        assert len(titles) == 3


def test_run_executes_then_asks(run_config, tmp_path, monkeypatch, capsys):
    enter(tmp_path, monkeypatch)
    monkeypatch.setattr("clip_lib.cli.train.QUERIES", ("A dog on the grass",))
    small_notebook(tmp_path / NOTEBOOK, "print('one')")
    output = tmp_path / "out/run.ipynb"
    options = ["--models", run_config.model_dir, "--output", str(output)]
    assert main(["run", *options]) == 0
    said = capsys.readouterr().out
    assert "[cell 1/1 (A heading)]\none" in said and "A dog on the grass" in said
    assert said.endswith(f"Notebook: {output}\nModels and indexes: {options[1]}/\n")
    mark = nbformat.read(output, as_version=4).metadata["clip_lib"]
    assert mark == library_mark()


def test_exercises_are_not_handed_in(tmp_path):
    source = small_notebook(tmp_path / "a.ipynb", "1 + 1")
    asked = new_markdown_cell("### Exercices", metadata={"tags": [EXERCISE]})
    notebook = nbformat.read(source, as_version=4)
    notebook.cells.append(asked)
    nbformat.write(notebook, source)
    ran = execute_notebook(source, tmp_path / "ran.ipynb")
    assert "Exercices" not in ran.read_text(encoding="utf-8")
    assert same_cells(ran, source)
    # In place they stay.
    assert "Exercices" in execute_notebook(source).read_text(encoding="utf-8")
    # Those of the committed one are tagged.
    told, all_cells = (read_notebook(ROOT / NOTEBOOK, kept).cells for kept in (0, 1))
    assert len(all_cells) - len(told) == 5
    assert not any("Exercices du chapitre" in cell.source for cell in told)


def test_a_failing_cell_is_named_and_the_notebook_is_left_alone(tmp_path):
    source = small_notebook(tmp_path / "a.ipynb", "x = 1", "raise ValueError('no dog')")
    before = source.read_bytes()
    with pytest.raises(ClipError, match=r"cell 2/2 \(A heading\): ValueError: no dog"):
        execute_notebook(source)
    assert source.read_bytes() == before
    assert code_cells(tmp_path / "a.partial.ipynb")[0].execution_count == 1
    with pytest.raises(ClipError, match=r"none\.ipynb: no such notebook"):
        execute_notebook(tmp_path / "none.ipynb")


def test_the_mark_of_the_library(tmp_path, monkeypatch, committed):
    """It covers what the notebook shows, and no system's line ends change it."""
    files = library_files()
    shown = set(re.findall(r"read_result\(\"(\w+)\"", "\n".join(committed)))
    assert shown == {path.stem for path in files if path.suffix == ".json"}
    assert set(ROOT.glob("clip_lib/**/*.py")) <= set(files)
    assert ROOT / "clip_lib/scenes/stories.toml" in files
    before, copies = library_mark(), []
    for path in files:
        copies.append(tmp_path / path.parent.name / path.name)
        copies[-1].parent.mkdir(exist_ok=True)
        copies[-1].write_text(path.read_text("utf-8"), "utf-8", newline="\r\n")
    monkeypatch.setattr("clip_lib.handin.notebook.library_files", lambda: copies[::-1])
    assert library_mark() == before
    copies[0].write_text("# changed", "utf-8")
    assert library_mark() != before
