"""An executed notebook made ready for paper: what a screen hides or repeats is gone."""

import hashlib
import json
import re

import nbformat

from clip_lib.errors import ClipError
from clip_lib.handin.document_text import read_notebook

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# Of several forms of one output, the first that there is.
_FORMS = (
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "image/gif",
    "text/markdown",
    "text/latex",
    "text/html",
    "text/plain",
)
_WIDGET = "application/vnd.jupyter.widget-view+json"
# Code and dollars, left alone, or an environment without dollars, which Jupyter sets.
_FORMULA = re.compile(
    r"(```.*?```|~~~.*?~~~|`[^`]*`|\$\$.*?\$\$|\$[^$\n]+\$)"
    r"|\\begin\{(\w+\*?)\}.*?\\end\{\2\}",
    re.DOTALL,
)


def read_executed(path, anyway=False) -> nbformat.NotebookNode:
    """Read a notebook whose cells have all run.

    Args:
        path: The notebook, ``.ipynb``.
        anyway: Whether to accept cells that have not run or failed.

    Returns:
        The notebook, in format 4.

    Raises:
        ClipError: If it is missing or no notebook, or, unless ``anyway``, a cell has
            not run or failed (the first one is named).
    """
    notebook = read_notebook(path)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(cells, 1):
        if anyway or not cell.source.strip():
            continue
        if cell.execution_count is None:
            raise ClipError(
                f"{path}: cell {number} of {len(cells)} has not run; run them all."
            )
        for output in cell.outputs:
            if output.output_type == "error":
                raise ClipError(
                    f"{path}: cell {number} failed: {output.ename}: {output.evalue}"
                )
    return notebook


def same_cells(one, other) -> bool:
    """Whether two notebook files hold the same text and code, outputs aside."""
    first, second = (read_notebook(path).cells for path in (one, other))
    return [cell.source for cell in first] == [cell.source for cell in second]


def run_mark(path) -> str:
    """Name one run of a notebook: its cells and what they answered."""
    cells = read_notebook(path).cells
    answers = [[cell.source, cell.get("outputs")] for cell in cells]
    digest = hashlib.sha256(json.dumps(answers, sort_keys=True).encode())
    return "run " + digest.hexdigest()[:16]


def printable(notebook, title: str) -> nbformat.NotebookNode:
    """Clean a notebook's outputs, each left in one form; empty cells are left out.

    Chunks of one stream are joined, lines that were written over (progress bars) and
    colours of the terminal left out. What is folded on the screen is shown.

    Args:
        notebook: The notebook; it is changed.
        title: Heading put above a notebook that does not begin with one.

    Returns:
        The same notebook.
    """
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    if heading(notebook) is None:
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(f"# {title}"))
    notebook.cells = [_as_text(cell) for cell in notebook.cells if cell.source.strip()]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in map(_one_form, cell.outputs) if o is not None]
    notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in map(_plain, cell.outputs) if o is not None]
    return notebook


def heading(notebook) -> str | None:
    """Return the title that the first cell begins with, without its Markdown."""
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown":
        return None
    found = re.match(r"\s*#\s+(.+)", first.source)
    return re.sub(r"[*_`$]", "", found[1]).strip() if found else None


def _as_text(cell):
    """Leave the Markdown to notebook.lua, which reads it as Jupyter does."""
    if cell.cell_type != "markdown":
        return cell
    source = _FORMULA.sub(lambda m: m[1] or f"$${m[0]}$$", cell.source)
    for name, forms in cell.get("attachments", {}).items():
        kind, data = next(iter(forms.items()))
        source = source.replace(f"attachment:{name}", f"data:{kind};base64,{data}")
    text = {"raw_mimetype": "text/markdown"}
    return nbformat.v4.new_raw_cell(source, metadata=text)


def _one_form(output):
    """Keep the best form of an output, or nothing of a widget: paper does not move."""
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
    """Take what only a terminal understands out of an output's text."""
    from nbconvert.filters import strip_ansi

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
