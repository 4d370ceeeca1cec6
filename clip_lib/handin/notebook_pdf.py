"""Typeset an executed notebook: pandoc translates, Typst sets; both come as wheels.

What a screen hides or repeats is dropped before.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib
import nbformat
import pypandoc
import typst
from nbconvert.filters import strip_ansi
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

from clip_lib.atomic import replacing
from clip_lib.errors import ClipError
from clip_lib.handin.document_text import (
    execution_faults,
    notebook_text,
    read_notebook,
    run_mark,
)
from clip_lib.handin.team import read_team

_PAPER = Path(__file__).parent / "paper"
_MATH = re.compile(r"Could not convert TeX math (.*?), rendering as TeX", re.S)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# Of several forms of one output, the first that exists.
_FORMS = (
    *("image/svg+xml", "image/png", "image/jpeg", "image/gif"),
    *("text/markdown", "text/latex", "text/html", "text/plain"),
)
_WIDGET = "application/vnd.jupyter.widget-view+json"
# Code and dollars, left alone, or an environment without dollars, which Jupyter sets.
_FORMULA = re.compile(
    r"(```.*?```|~~~.*?~~~|`[^`]*`|\$\$.*?\$\$|\$[^$\n]+\$)"
    r"|\\begin\{(\w+\*?)\}.*?\\end\{\2\}",
    re.DOTALL,
)


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
        ClipError: If the notebook is missing, has not run or failed, or if a formula or
            a picture cannot be set (named).
    """
    notebook, pdf = Path(notebook), Path(pdf or Path(notebook).with_suffix(".pdf"))
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
        text = json.dumps(_printable(cells, notebook.stem))
        body = _translate(text, notebook, folder)
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


def _about(notebook, name: str) -> dict:
    """Return title and team, for notebook.typ."""
    group, members = read_team()
    rows = members.to_numpy().tolist()
    seen = notebook_text(notebook.cells[:8])
    shown = all(value in seen for row in rows for value in row)
    return {
        "title": _heading(notebook) or name,
        "authors": [f"{first} {last} ({card})" for last, first, card in rows],
        "keywords": ["HAI923", f"groupe {group}"],
        "running": ", ".join([f"Groupe {group}", *(row[0] for row in rows)]),
        "group": group,
        "headings": list(members.columns),
        "members": [] if shown else rows,
    }


def _translate(text: str, notebook: Path, folder: Path) -> str:
    """Return the notebook as Typst; its pictures go into the folder."""
    # Not one of the system, of any version: the one that the wheel brings.
    pandoc = Path(pypandoc.__file__).with_name("files") / "pandoc"
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


def _printable(notebook, title: str) -> nbformat.NotebookNode:
    """Clean the outputs of a notebook, each left in one form; drop empty cells.

    Chunks of one stream are joined; overwritten lines (progress bars) and terminal
    colours are dropped. What is folded on the screen is shown.

    Args:
        notebook: The notebook; it is changed.
        title: Heading put above a notebook that does not begin with one.

    Returns:
        The same notebook.
    """
    if _heading(notebook) is None:
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(f"# {title}"))
    notebook.cells = [_as_text(cell) for cell in notebook.cells if cell.source.strip()]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in code:
        cell.outputs = list(filter(None, map(_one_form, cell.outputs)))
        # Before control characters go: it reads the carriage returns of progress bars.
        CoalesceStreamsPreprocessor().preprocess_cell(cell, {}, 0)
        cell.outputs = list(filter(None, map(_plain, cell.outputs)))
    return notebook


def _heading(notebook) -> str | None:
    """Return the title that the first cell begins with, without its Markdown."""
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown":
        return None
    found = re.match(r"\s*#\s+(.+)", first.source)
    return re.sub(r"[*_`$]", "", found[1]).strip() if found else None


def _as_text(cell):
    """Turn Markdown into raw text for notebook.lua, which reads it as Jupyter does."""
    if cell.cell_type != "markdown":
        return cell
    source = _FORMULA.sub(lambda m: m[1] or f"$${m[0]}$$", cell.source)
    for name, forms in cell.get("attachments", {}).items():
        kind, data = next(iter(forms.items()))
        source = source.replace(f"attachment:{name}", f"data:{kind};base64,{data}")
    text = {"raw_mimetype": "text/markdown"}
    return nbformat.v4.new_raw_cell(source, metadata=text)


def _one_form(output):
    """Keep the best form of an output; None for a widget: paper does not move."""
    if output.output_type not in ("display_data", "execute_result"):
        return output
    data = output.data
    if _WIDGET in data:
        return None
    html, plain = data.get("text/html", ""), data.get("text/plain", "")
    if "<table" not in html and "core.display.HTML object" not in plain:
        # Keras and rich draw their tables with characters, in <pre>.
        data.pop("text/html", None)
        if "<pre" in html:
            return nbformat.v4.new_output("stream", name="stdout", text=plain)
    form = next((form for form in _FORMS if form in data), None)
    output.data = {form: data[form]} if form else {}
    return output if form else None


def _plain(output):
    """Drop what only a terminal understands; None if no text is left."""

    def cleaned(text):
        return _CONTROL.sub("", strip_ansi(text))

    if output.output_type == "stream":
        output.text = cleaned(output.text)
        return output if output.text.strip() else None
    if output.output_type == "error":
        output.traceback = [cleaned(line) for line in output.traceback]
    elif "text/plain" in output.data:
        output.data["text/plain"] = cleaned(output.data["text/plain"])
    return output
