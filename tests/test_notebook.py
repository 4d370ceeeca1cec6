"""The notebook: its form, its committed outputs, its way through the archive.

`make prove` runs all of it where the archive is unpacked.
"""

import ast
import importlib
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import nbformat
import pytest
import typst
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from team_project import NAMES, enter

from clip_lib.__main__ import main
from clip_lib.errors import ClipError
from clip_lib.handin.notebook import (
    NOTEBOOK,
    ON_TOP,
    execute_notebook,
    library_files,
    library_mark,
)

ROOT = Path(__file__).parents[1]


def code_cells(path):
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def committed():
    return code_cells(ROOT / NOTEBOOK)


def as_committed(name):
    """Whether git says so; where git cannot tell, the file is taken as committed."""
    command = ["git", "diff", "--quiet", "HEAD", "--", name]
    return subprocess.run(command, cwd=ROOT, capture_output=True).returncode != 1


def test_the_notebook_tells_and_does_not_define(committed):
    assert len(committed) <= 45
    text = "\n".join(cell.source for cell in committed)
    assert not re.findall(r"^\s*(?:def|class) .*", text, re.MULTILINE)


def test_what_the_notebook_imports_exists(committed):
    """A name that moved is found here, not after a minute of `make run`."""
    text = "\n".join(cell.source for cell in committed)
    code = re.sub(r"(?m)^(\s*)[!%].*", r"\1pass", text)
    imports = [node for node in ast.walk(ast.parse(code)) if hasattr(node, "module")]
    assert len(imports) > 20
    for node in imports:
        module = importlib.import_module(node.module)
        for name in (alias.name for alias in node.names):
            if not hasattr(module, name):
                importlib.import_module(f"{node.module}.{name}")


def test_the_committed_outputs_are_of_one_run_on_drawn_scenes(committed):
    if not as_committed(NOTEBOOK):
        pytest.skip("the notebook was run here since: only the committed one counts")
    counts = [cell.execution_count for cell in committed]
    assert counts == list(range(1, len(committed) + 1))
    for output in (output for cell in committed for output in cell.outputs):
        # Bars and notices go there; what Python or TensorFlow complains of may not.
        text = output.get("text", "") if output.get("name") == "stderr" else ""
        assert output.output_type != "error" and "arning" not in text, text
    text = (ROOT / NOTEBOOK).read_text(encoding="utf-8")
    assert "SCÈNES DESSINÉES" in text and "PHOTOS" not in text
    assert sum("image/jpeg" in str(cell.outputs) for cell in committed) >= 9
    assert len(text) < 3_000_000


def small_notebook(path, *sources):
    cells = [new_markdown_cell("## A heading"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_the_notebook_finds_its_library_where_the_archive_is_unpacked(
    tmp_path, committed, monkeypatch, capsys
):
    """Its first cells, run there, print the team of the archive's own equipe.toml."""
    project, unpacked = tmp_path / "project", tmp_path / "vide à moi"
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "clip_lib", project / "clip_lib", ignore=skipped)
    enter(project, monkeypatch)
    first = [cell.source for cell in committed[:2]]
    Path("r.pdf").write_bytes(typst.compile(b"A report.", format="pdf"))
    small_notebook(project / "n.ipynb", *first, "import clip_lib; clip_lib.__file__")
    options = ["--report", "r.pdf", "--notebook", "n.ipynb", "--pdf", "r.pdf"]
    assert main(["submit", "--force", *options]) == 1
    with zipfile.ZipFile("7.zip") as archive:
        archive.extractall(unpacked)
    notebook = execute_notebook(unpacked / "7_ProjetClip.ipynb")
    outputs = [str(cell.outputs) for cell in code_cells(notebook)]
    assert "Groupe 7" in outputs[1] and NAMES[1][0] in outputs[1]
    assert str(unpacked / "7_code") in outputs[2]


def test_run_executes_then_asks(run_config, tmp_path, monkeypatch, capsys):
    enter(tmp_path, monkeypatch)
    small_notebook(tmp_path / NOTEBOOK, "print('one')")
    before = (tmp_path / NOTEBOOK).read_bytes()
    output = tmp_path / "out/run.ipynb"
    options = ["--models", run_config.model_dir, "--output", str(output)]
    assert main(["run", *options]) == 0
    said = capsys.readouterr().out
    assert "[cell 1/1 (A heading)]\none" in said and "A group of cyclists" in said
    assert said.endswith(f"Notebook: {output}\nModels and indexes: {options[1]}/\n")
    notebook = nbformat.read(output, as_version=4)
    assert notebook.metadata["clip_lib"] == library_mark()
    assert (tmp_path / NOTEBOOK).read_bytes() == before
    assert not list(output.parent.glob("*.partial.ipynb"))


def test_a_failing_cell_is_named_and_the_notebook_is_left_alone(tmp_path):
    source = small_notebook(tmp_path / "a.ipynb", "x = 1", "raise ValueError('no dog')")
    before = source.read_bytes()
    failed = r"cell 2/2 \(A heading\): ValueError: no dog"
    with pytest.raises(ClipError, match=failed):
        execute_notebook(source)
    assert source.read_bytes() == before
    assert code_cells(tmp_path / "a.partial.ipynb")[0].execution_count == 1
    with pytest.raises(ClipError, match=r"none\.ipynb: no such notebook"):
        execute_notebook(tmp_path / "none.ipynb")


def test_the_mark_of_the_library(tmp_path, monkeypatch, committed):
    """It covers what the notebook shows, and no system's line ends change it."""
    files = library_files()
    text = "".join(cell.source for cell in committed)
    shown = set(re.findall(r"read_(?:runs|result)\(\"(\w+)\"", text))
    assert shown == {path.stem for path in files if path.suffix == ".json"}
    rooms = {path.parent for path in ROOT.glob("clip_lib/*/*.py")}
    assert rooms - {ROOT / "clip_lib" / room for room in ON_TOP} <= {
        path.parent for path in files
    }
    before, copies = library_mark(), []
    for path in files:
        copies.append(tmp_path / path.parent.name / path.name)
        copies[-1].parent.mkdir(exist_ok=True)
        copies[-1].write_text(path.read_text("utf-8"), "utf-8", newline="\r\n")
    monkeypatch.setattr("clip_lib.handin.notebook.library_files", lambda: copies[::-1])
    assert library_mark() == before
    copies[0].write_text("# changed", "utf-8")
    assert library_mark() != before
