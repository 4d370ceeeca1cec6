"""The notebook: its form, its committed outputs, and a whole quick run."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from clip_lib.notebook import NOTEBOOK, execute_notebook

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


def check_run(cells):
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error"
            # Bars and notices go there; what Python or TensorFlow complains of may not.
            text = output.get("text", "") if output.get("name") == "stderr" else ""
            assert "arning" not in text and "rror" not in text, text


def test_the_notebook_tells_and_does_not_define(committed):
    assert 35 <= len(committed) <= 45
    assert statistics.median(len(c.source.splitlines()) for c in committed) < 7
    for cell in committed:
        for line in cell.source.splitlines():
            assert not line.strip().startswith(("def ", "class ")), line


def test_the_committed_outputs_are_of_one_run_on_drawn_scenes(committed):
    if not as_committed(NOTEBOOK):
        pytest.skip(
            "the notebook was run here since; only the committed one is checked"
        )
    check_run(committed)
    text = (ROOT / NOTEBOOK).read_text(encoding="utf-8")
    assert "SCÈNES DESSINÉES" in text
    assert "PHOTOS" not in text
    assert sum("image/jpeg" in str(c.outputs) for c in committed) >= 9
    assert len(text) < 3_000_000


def test_the_whole_notebook_runs_quick_on_drawn_scenes(tmp_path):
    output, models = tmp_path / "run.ipynb", tmp_path / "models"
    before = (ROOT / NOTEBOOK).read_bytes()
    process = subprocess.run(
        [
            *(sys.executable, "-m", "clip_lib", "run", "--quick", "--data", "scenes"),
            *("--models", str(models), "--output", str(output)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]
    cells = code_cells(output)
    check_run(cells)
    assert f"[cell {len(cells)}/{len(cells)}]" in process.stdout
    assert "A group of cyclists" in process.stdout  # The queries were answered.
    expected = (ROOT / "models/README.md").read_text(encoding="utf-8")
    left = {file.name for file in models.iterdir()}
    assert all(f"`{name}`" in expected for name in left), left
    assert len(left) == 10
    figures = json.loads((models / "results.json").read_text(encoding="utf-8"))
    assert 0 <= figures["image_accuracy"] <= 1
    assert (ROOT / NOTEBOOK).read_bytes() == before
    assert not list(tmp_path.glob("*.partial.ipynb"))


def small_notebook(path, *sources):
    cells = [nbformat.v4.new_markdown_cell("## A heading")]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def test_progress_is_shown_cell_by_cell(tmp_path, capsys):
    source = small_notebook(tmp_path / "a.ipynb", "print('one')", "1 + 1")
    assert execute_notebook(source) == source
    printed = capsys.readouterr().out
    assert "[cell 1/2] A heading" in printed and "one" in printed
    assert [cell.execution_count for cell in code_cells(source)] == [1, 2]


def test_a_failing_cell_is_named_and_the_notebook_is_left_alone(tmp_path):
    source = small_notebook(tmp_path / "a.ipynb", "x = 1", "raise ValueError('no dog')")
    before = source.read_bytes()
    with pytest.raises(ValueError, match=r"cell 2 \(A heading\): ValueError: no dog"):
        execute_notebook(source)
    assert source.read_bytes() == before
    assert code_cells(tmp_path / "a.partial.ipynb")[0].execution_count == 1


def test_a_missing_notebook_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.ipynb: no such notebook"):
        execute_notebook(tmp_path / "none.ipynb")


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell is needed")
def test_an_unfit_python_gets_one_sentence(tmp_path):
    """`make` refuses a Python without TensorFlow before it installs anything."""
    fake = tmp_path / "python3.8"
    fake.write_text(
        "#!/bin/sh\n"
        f"exec {sys.executable} -c "
        "\"import sys; sys.version_info = (3, 8, 1, 'final', 0); exec(sys.argv[2])\" "
        '"$@"\n'
    )
    fake.chmod(0o755)
    for name in ("Makefile", "requirements.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    process = subprocess.run(
        ["make", f"PYTHON={fake}", ".venv/installed"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert process.returncode != 0
    assert "Python 3.8: TensorFlow" in process.stderr
    assert "3.11, 3.12 or 3.13" in process.stderr
    assert not (tmp_path / ".venv").exists()
