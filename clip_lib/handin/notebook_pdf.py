"""Typeset an executed notebook: pandoc translates, Typst sets; both come as wheels."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from clip_lib.atomic import replacing
from clip_lib.errors import ClipError
from clip_lib.handin.clean_outputs import heading, printable
from clip_lib.handin.document_text import (
    execution_faults,
    notebook_text,
    read_notebook,
    run_mark,
)
from clip_lib.handin.team import read_team

_PAPER = Path(__file__).parent / "paper"
_MATH = re.compile(r"Could not convert TeX math (.*?), rendering as TeX", re.S)


def write_pdf(notebook, pdf=None) -> Path:
    """Set an executed notebook on A4 pages.

    The title, the members and the group are in the PDF's properties; title, group and
    surnames head each page but the first. The members are printed below the title,
    unless the notebook's first cells show them.

    Args:
        notebook: The executed notebook.
        pdf: The file to write; by default beside the notebook.

    Returns:
        The path written.

    Raises:
        ClipError: If the notebook is missing, has not run or failed; if a formula or
            a picture cannot be set (named); if a wheel is missing.
    """
    notebook, pdf = Path(notebook), Path(pdf or Path(notebook).with_suffix(".pdf"))
    pandoc = _find_pandoc()
    import matplotlib
    import typst

    cells = read_notebook(notebook)
    if faults := execution_faults(cells, in_order=False):
        raise ClipError(f"{notebook}: {faults[0]}; run all cells.")
    about = _about(cells, notebook.stem)
    about["keywords"].append(run_mark(cells))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        folder = Path(folder)
        for file in _PAPER.iterdir():
            shutil.copy(file, folder)
        (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
        text = json.dumps(printable(cells, notebook.stem))
        body = _translate(pandoc, text, notebook, folder)
        main = folder / "main.typ"
        head = '#import "notebook.typ": *\n#show: paper\n\n'
        main.write_text(head + body, encoding="utf-8")
        # With DejaVu Sans, for the characters that Typst's fonts lack.
        fonts = [Path(matplotlib.get_data_path(), "fonts/ttf")]
        try:
            made = typst.compile(str(main), font_paths=fonts, format="pdf")
        except typst.TypstError as error:
            raise ClipError(f"{notebook}: Typst: {error.message}.") from error
    with replacing(pdf) as temporary:
        temporary.write_bytes(made)
    return pdf


def _find_pandoc() -> str:
    """Return the path of pandoc, once both wheels are known to be there."""
    try:
        import pypandoc
        import typst  # noqa: F401
    except ImportError as error:
        lacks = f"{error.name} is missing: pip install -r requirements.txt"
        raise ClipError(lacks) from error
    # Not one of the system, of any version: the one that the wheel brings.
    pandoc = shutil.which("pandoc", path=Path(pypandoc.__file__).parent / "files")
    if pandoc is None:
        raise ClipError("pypandoc_binary is missing: pip install -r requirements.txt")
    return pandoc


def _about(notebook, name: str) -> dict:
    """Return title and team, for notebook.typ."""
    group, members = read_team()
    rows = members.to_numpy().tolist()
    seen = notebook_text(notebook.cells[:8])
    shown = all(value in seen for row in rows for value in row)
    return {
        "title": heading(notebook) or name,
        "authors": [f"{first} {last} ({card})" for last, first, card in rows],
        "keywords": ["HAI923", f"groupe {group}"],
        "running": ", ".join([f"Groupe {group}", *(row[0] for row in rows)]),
        "group": group,
        "headings": list(members.columns),
        "members": [] if shown else rows,
    }


def _translate(pandoc: str, text: str, notebook: Path, folder: Path) -> str:
    """Return the notebook as Typst; its pictures go into the folder."""
    options = (
        *("--from=ipynb", "--to=typst-smart", "--ipynb-output=all"),
        *("--lua-filter=notebook.lua", "--syntax-highlighting=idiomatic"),
        *("--wrap=preserve", "--eol=lf"),
        f"--resource-path={notebook.parent.resolve()}",
    )
    done = subprocess.run(
        [pandoc, *options], input=text.encode(), capture_output=True, cwd=folder
    )
    said = done.stderr.decode(errors="replace").strip()
    if formula := _MATH.search(said):
        raise ClipError(f"{notebook}: the formula {formula[1]} cannot be set.")
    if done.returncode:
        raise ClipError(f"{notebook}: {said}.")
    if said:
        print(f"warning: {said}", file=sys.stderr)
    return done.stdout.decode()
