"""Prepare an executed notebook for paper: drop what a screen hides or repeats."""

import re

import nbformat

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


def printable(notebook, title: str) -> nbformat.NotebookNode:
    """Clean the outputs of a notebook, each left in one form; drop empty cells.

    Chunks of one stream are joined; overwritten lines (progress bars) and terminal
    colours are dropped. What is folded on the screen is shown.

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
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in code:
        cell.outputs = list(filter(None, map(_one_form, cell.outputs)))
        # Before control characters go: it reads the carriage returns of progress bars.
        CoalesceStreamsPreprocessor().preprocess_cell(cell, {}, 0)
        cell.outputs = list(filter(None, map(_plain, cell.outputs)))
    return notebook


def heading(notebook) -> str | None:
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
