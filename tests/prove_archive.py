"""Hand in as a made-up team would, then run what was handed in where nothing else is.

    python tests/prove_archive.py          some six minutes, needs PyPI

A copy of the project gets a team of hard names; its notebook runs (quick preset, drawn
scenes), report, PDF and archive are made; the archive is unpacked in an empty folder,
its requirements are installed into a new environment, and its notebook runs there.
Without LaTeX, a page with the team's names stands for the report.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEAM = """groupe = "7"
[[membres]]
nom = "O'Connor-Lévêque"
prenom = "Zoé Ñ."
carte = "22001234"
depose = true
[[membres]]
nom = "d'Été & Fils_#1"
prenom = "Łukasz"
carte = "22005678"
[[membres]]
nom = "Nguyễn"
prenom = "Anne-Sophie"
carte = "22009012"
"""
EXECUTE = """
import nbclient, nbformat
notebook = nbformat.read("7_ProjetClip.ipynb", as_version=4)
nbclient.NotebookClient(notebook, timeout=None, kernel_name="python3").execute()
cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
print(len(cells), "cells ran")
"""


def call(*command, cwd, **environment) -> None:
    """Run a command to its end, without what this environment would lend it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    kept |= {"CLIP_QUICK": "1", "CLIP_DATA_DIR": "scenes", **environment}
    kept.pop("CLIP_MODEL_DIR", None)
    subprocess.run([*map(str, command)], cwd=cwd, env=kept, check=True)


def copy_project(folder: Path) -> None:
    """Copy what git knows, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def stand_in_report(path: Path, folder: Path) -> None:
    """Write a page with the team's names, where there is no LaTeX."""
    import typst

    names = TEAM.replace('"', "").replace("#", "\\#").replace("_", "\\_")
    (folder / "report.typ").write_text(names, encoding="utf-8")
    path.write_bytes(typst.compile(str(folder / "report.typ")))


def main() -> None:
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begin:4.0f} s] {text}", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        project, empty = Path(scratch, "project"), Path(scratch, "empty")
        copy_project(project)
        (project / "equipe.toml").write_text(TEAM, encoding="utf-8")
        clip = (sys.executable, "-m", "clip_lib")
        say("the notebook runs")
        call(*clip, "run", "--quick", "--models", "models", cwd=project)
        if shutil.which("latexmk") and shutil.which("lualatex"):
            say("the report")
            call(*clip, "report", cwd=project)
        else:
            say("no LaTeX: a page stands for the report")
            stand_in_report(project / "report/rapport.pdf", Path(scratch))
        call(*clip, "pdf", cwd=project)
        say("the archive")
        call(*clip, "submit", "--output", scratch, cwd=project)
        shutil.rmtree(project)
        with zipfile.ZipFile(Path(scratch, "7.zip")) as archive:
            archive.extractall(empty)
        say("a new environment")
        venv.create(Path(scratch, "new"), symlinks=os.name != "nt")
        scripts = "Scripts" if os.name == "nt" else "bin"
        python = Path(scratch, "new", scripts, "python")
        pip = (sys.executable, "-m", "pip") if _has_pip() else ("python3", "-m", "pip")
        requirements = empty / "7_code/requirements.txt"
        call(
            *(*pip, "--disable-pip-version-check", "--python", python),
            *("install", "-q", "-r", requirements),
            cwd=empty,
        )
        say("the notebook of the archive runs")
        call(python, "-c", EXECUTE, cwd=empty)
        say("done")


def _has_pip() -> bool:
    command = [sys.executable, "-m", "pip", "--version"]
    return subprocess.run(command, capture_output=True).returncode == 0


if __name__ == "__main__":
    main()
