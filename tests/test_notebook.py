"""The notebook: its form, its committed outputs, and a whole quick run."""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
import typst

from clip_lib.__main__ import main
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


TEAM = """groupe = 7
[[membres]]
nom = "d'Été & Fils_#1"
prenom = "Łukasz"
carte = "00425678"
depose = true
[[membres]]
nom = "Nguyễn"
prenom = "Zoé Ñusta"
carte = "22005555"
"""
PROJECT = ("clip_lib/**/*.*", "benchmarks/results/*", "*.toml", "*.txt", "*.ipynb")


@pytest.fixture
def project(tmp_path):
    """A copy of the project, handed in by a team."""
    root = tmp_path / "project"
    for path in (path for pattern in PROJECT for path in ROOT.glob(pattern)):
        target = root / path.relative_to(ROOT)
        if path.is_file() and path.suffix != ".pyc":
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    (root / "equipe.toml").write_text(TEAM, encoding="utf-8")
    return root


def ran(folder, *command, status=0, **variables):
    """Run Python in a folder, where nothing but that folder may lead to clip_lib."""
    process = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | variables | {"PYTHONPATH": "", "CLIP_MODEL_DIR": ""},
        capture_output=True,
        text=True,
    )
    said = process.stdout + process.stderr
    assert process.returncode == status, said[-3000:]
    return said


def test_the_notebook_runs_where_the_archive_is_unpacked(project, tmp_path):
    """The whole circle: zip, unpack, run there as a teacher does, hand that run in."""
    report = "#set page(width: auto)\n" + TEAM.replace("#", "\\#").replace("_", "\\_")
    (project / "r.pdf").write_bytes(typst.compile(report.encode(), format="pdf"))
    ran(project, "-m", "clip_lib", "pdf", NOTEBOOK, "-o", "n.pdf")
    options = ["--report", "r.pdf", "--notebook", NOTEBOOK, "--pdf", "n.pdf"]
    said = ran(project, "-m", "clip_lib", "submit", "--force", *options, status=1)
    assert "lacks d'Été & Fils_#1" in said  # The committed one has no names.

    unpacked = tmp_path / "vide à moi"
    with zipfile.ZipFile(project / "7.zip") as archive:
        archive.extractall(unpacked)
    notebook = unpacked / "7_ProjetClip.ipynb"
    command = ["-m", "jupyter", "nbconvert", "--execute", "--inplace", "--to=notebook"]
    variables = {"CLIP_PRESET": "quick", "CLIP_DATA_DIR": "scenes"}
    ran(unpacked, *command, notebook.name, **variables)
    cells = code_cells(notebook)
    check_run(cells)
    assert "Nguyễn" in str(cells[1].outputs) and "SCÈNES" in str(cells[4].outputs)
    assert {path.name for path in unpacked.iterdir()} == {
        *("7.pdf", "7_ProjetClip.ipynb", "7_ProjetClip.pdf", "7_code"),
        *("data", "models"),
    }
    models = unpacked / "models"
    expected = (ROOT / "models/README.md").read_text(encoding="utf-8")
    left = {file.name for file in models.iterdir()}
    assert all(f"`{name}`" in expected for name in left), left
    assert len(left) == 10
    figures = json.loads((models / "results.json").read_text(encoding="utf-8"))
    assert 0 <= figures["image_accuracy"] <= 1

    options[3] = str(notebook)
    ran(project, "-m", "clip_lib", "pdf", str(notebook), "-o", "n.pdf")
    said = ran(project, "-m", "clip_lib", "submit", *options)
    assert "for Łukasz d'Été & Fils_#1 to put on Moodle" in said


def test_run_executes_then_asks(run_config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")
    small_notebook(tmp_path / NOTEBOOK, "print('one')")
    before = (tmp_path / NOTEBOOK).read_bytes()
    output = tmp_path / "out/run.ipynb"
    options = ["--models", run_config.model_dir, "--output", str(output)]
    assert main(["run", *options]) == 0
    said = capsys.readouterr().out
    assert "[cell 1/1] A heading" in said and "A group of cyclists" in said
    assert said.endswith(f"Notebook: {output}\nModels and indexes: {options[1]}/\n")
    assert nbformat.read(output, as_version=4).metadata["clip_lib"] == library_mark()
    assert (tmp_path / NOTEBOOK).read_bytes() == before
    assert not list(output.parent.glob("*.partial.ipynb"))


def test_the_mark_of_the_library(tmp_path, monkeypatch):
    """It covers what the notebook shows, and no system's line ends change it."""
    names = {path.relative_to(ROOT).as_posix() for path in library_files()}
    assert {"clip_lib/training/fit.py", "clip_lib/scenes/sketches.py"} <= names
    text = "".join(cell.source for cell in code_cells(ROOT / NOTEBOOK))
    shown = set(re.findall(r"read_(?:runs|result)\(\"(\w+)\"", text))
    results = {name for name in names if name.endswith(".json")}
    assert results == {f"benchmarks/results/{name}.json" for name in shown}
    used = set(re.findall(r"from clip_lib\.(\w+)\.(\w+) import", text))
    used -= {(room, module) for room, module in used if room in ON_TOP}
    assert {f"clip_lib/{room}/{module}.py" for room, module in used} <= names
    before = library_mark()
    copies = []
    for path in library_files():
        copies.append(tmp_path / path.parent.name / path.name)
        copies[-1].parent.mkdir(exist_ok=True)
        lines = path.read_bytes().replace(b"\r\n", b"\n")
        copies[-1].write_bytes(lines.replace(b"\n", b"\r\n"))
    monkeypatch.setattr("clip_lib.handin.notebook.library_files", lambda: copies[::-1])
    assert library_mark() == before
    with copies[0].open("a", encoding="utf-8") as file:
        file.write("# changed")
    assert library_mark() != before


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
