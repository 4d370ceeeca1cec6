"""Read a PDF or a notebook as its reader sees it, and look for names in it."""

import ast
import contextlib
import dataclasses
import hashlib
import html
import json
import re
import unicodedata
from pathlib import Path

import nbformat
from pypdfium2 import PdfDocument, PdfiumError

from clip_lib.errors import ClipError

MOST_PAGES = {"body": 8, "appendix": 2}
"""Pages that the course allows a report."""
EXERCISE = "exercice"
LONG = 6
"""Letters from which a name cannot appear in a text by chance."""
BESIDE = 160
"""Characters within which a number stands beside a name."""
_ACCENTS = ("Mn", "Lm", "Sk")
# What nbformat raises, depending on how JSON differs from a notebook.
_NOT_A_NOTEBOOK = (ValueError, LookupError, AttributeError, TypeError)
_NOT_A_NOTEBOOK += (nbformat.ValidationError,)


@dataclasses.dataclass(frozen=True)
class Paper:
    """A PDF.

    Attributes:
        text: Its text.
        body, appendix: Number of pages before the bookmark "Annexe" and from it on.
        keywords: The keywords among its properties.
    """

    text: str
    body: int
    appendix: int
    keywords: str

    def too_long(self) -> list[str]:
        """Return a sentence for each part that has more pages than allowed."""
        hint = ", and \\annexes, which begins appendices, left no bookmark in this PDF"
        return [
            f"{part} of {pages} pages: the course allows {MOST_PAGES[part]}"
            f"{'' if self.appendix else hint}."
            for part, pages in (("body", self.body), ("appendix", self.appendix))
            if pages > MOST_PAGES[part]
        ]


def read_pdf(path) -> Paper:
    """Read a PDF with PDFium, as browsers do.

    Raises:
        ClipError: If there is no such file, or it is not a PDF, damaged or encrypted.
    """
    if not Path(path).is_file():
        raise ClipError(f"{path}: no such file.")
    try:
        with contextlib.closing(PdfDocument(path)) as document:
            # Of the readers tried, PDFium alone reads a letter that the font composed.
            texts = [page.get_textpage().get_text_range() for page in document]
            body = min(_appendices(document), default=len(texts))
            keywords = document.get_metadata_value("Keywords")
    except PdfiumError as error:
        if "password" in str(error).lower():
            raise ClipError(f"{path}: encrypted; save it without password.") from error
        raise ClipError(f"{path}: not a readable PDF ({error}).") from error
    return Paper("\n".join(texts), body, len(texts) - body, keywords)


def _appendices(document):
    """Yield the number of pages before each bookmark that is called Annexe."""
    for bookmark in document.get_toc():
        target = bookmark.get_dest()
        before = target.get_index() if target else None
        if before is not None and letters(bookmark.get_title()).startswith("annexe"):
            yield before


def read_notebook(path, exercises: bool = False) -> nbformat.NotebookNode:
    """Read a notebook as format 4; every code cell has outputs and a count.

    Args:
        path: The file.
        exercises: Whether to keep the cells tagged `EXERCISE`. They are for whoever
            learns from it, and are not handed in.

    Raises:
        ClipError: If there is no such file, or it is not a notebook.
    """
    if not Path(path).is_file():
        raise ClipError(f"{path}: no such notebook.")
    try:
        notebook = nbformat.read(path, as_version=4)
        notebook.cells = [
            cell
            for cell in notebook.cells
            if exercises or EXERCISE not in cell.metadata.get("tags", ())
        ]
        for cell in notebook.cells:
            cell.source = str(cell.source)
            if cell.cell_type == "code":
                cell.setdefault("outputs", [])
                cell.setdefault("execution_count", None)
    except _NOT_A_NOTEBOOK as error:
        raise ClipError(f"{path}: not a notebook.") from error
    return notebook


def notebook_text(cells) -> str:
    """Return the text of a notebook's cells: Markdown, code and textual outputs."""
    parts = []
    for cell in cells:
        parts.append(cell.source)
        parts += map(_output_text, cell.get("outputs", []))
    return "\n".join(parts)


def outputs_text(cells) -> str:
    """Return the text of the outputs alone."""
    return "\n".join(_output_text(out) for c in cells for out in c.get("outputs", []))


def _output_text(output) -> str:
    # The letters of an encoded picture would contain any short name.
    forms = {k: v for k, v in output.get("data", {}).items() if k.startswith("text/")}
    if table := forms.pop("text/html", ""):
        # Without its plain twin, which a narrow screen cuts into blocks of columns.
        forms.pop("text/plain", None)
        forms["text/html"] = html.unescape(re.sub(r"<[^<>]*>", " ", str(table)))
    return "\n".join([output.get("text", ""), *map(str, forms.values())])


def execution_faults(notebook, in_order: bool = True) -> list[str]:
    """Return what is wrong with a run: each failed cell, the first one not run.

    Args:
        notebook: The notebook, see `read_notebook`.
        in_order: Whether the cells must have run once each, from top to bottom.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    cells = [cell for cell in cells if cell.source.strip()]
    faults = [
        f"cell {place} failed ({output.get('ename')})"
        for place, cell in enumerate(cells, 1)
        for output in cell.outputs
        if output.output_type == "error"
    ]
    nothing = not any(cell.outputs for cell in cells)
    for place, cell in enumerate(cells, 1):
        if in_order and not cell.outputs and _should_show(cell.source, nothing):
            what = "shows no result (if it has none, end it with ;)"
            faults.append(f"cell {place} of {len(cells)} {what}")
    for place, cell in enumerate(cells, 1):
        count = cell.execution_count
        if count is None or (in_order and count != place):
            when = "has not run" if count is None else f"ran as number {count}"
            return [*faults, f"cell {place} of {len(cells)} {when}"]
    return faults if cells or not in_order else ["it has no code"]


def _should_show(source: str, calls_too: bool) -> bool:
    """Whether code prints, draws or ends in a value: not so if it ends in ``;``.

    A call in the end may show something or not: ``calls_too`` takes it for a value.
    """
    try:
        lines = ast.parse(source).body
    except SyntaxError:  # Commands of Jupyter.
        return False
    if not lines or source.rstrip().endswith(";"):
        return False
    calls = [line.value for line in lines if isinstance(line, ast.Expr)]
    names = [getattr(getattr(call, "func", None), "id", "") for call in calls]
    stored = [line.targets[0] for line in lines if isinstance(line, ast.Assign)]
    drawn = any(getattr(target, "id", "") == "figure" for target in stored)
    valued = isinstance(lines[-1], ast.Expr) and (
        calls_too or not isinstance(lines[-1].value, ast.Call)
    )
    return "print" in names or drawn or valued


def same_cells(one, other) -> bool:
    """Whether two notebook files have the same text and code, outputs aside."""
    first, second = (read_notebook(path).cells for path in (one, other))
    return [cell.source for cell in first] == [cell.source for cell in second]


def run_mark(notebook) -> str:
    """Return a mark of one run of a notebook: of its cells and their outputs."""
    answers = [[cell.source, cell.get("outputs")] for cell in notebook.cells]
    digest = hashlib.sha256(json.dumps(answers, sort_keys=True).encode())
    return "run " + digest.hexdigest()[:16]


def letters(text) -> str:
    """Reduce a text to its letters, without accents, and its digits.

    Names break across lines, LaTeX may print an accent as a character of its own, and
    an apostrophe may be straight or curly.
    """
    return re.sub(r"[\W_]", "", _fold(text))


def _fold(text) -> str:
    for _ in range(2):  # Lower case may come with new accents.
        text = unicodedata.normalize("NFKD", str(text)).casefold()
    text = "".join(sign for sign in text if unicodedata.category(sign) not in _ACCENTS)
    return text.replace("\N{LATIN SMALL LETTER DOTLESS I}", "i")


def absent(text: str, values) -> list[str]:
    """Return the names and numbers that a text does not contain.

    A long one may be broken anywhere; a short one, which other words may contain, must
    be a word of its own.
    """
    folded, squeezed = _fold(text), letters(text)
    return [value for value in values if not _contains(folded, squeezed, value)]


def _contains(folded: str, squeezed: str, value: str) -> bool:
    parts = re.findall(r"[^\W_]+", _fold(value))
    if not parts:
        return False
    name = "".join(parts)
    if name.isdigit():
        return bool(re.search(_number(name), folded))
    if len(name) >= LONG and name in squeezed:
        return True
    # A PDF may leave no space between two columns, a name and a number.
    kinds = ["\\d" if end.isdigit() else "[^\\W\\d_]" for end in (parts[0], parts[-1])]
    name = r"[\W_]*".join(parts)
    return bool(re.search(rf"(?<!{kinds[0]}){name}(?!{kinds[1]})", folded))


def _number(digits: str) -> str:
    """Return the pattern of a number that is a whole one, as 2200 1234 may be."""
    spaced = r"\s?".join(map(re.escape, digits))
    return rf"(?<!\d){spaced}(?!\d)"


def strangers(text: str, members: list[tuple[str, str, str]]) -> list[str]:
    """Return the student numbers beside another's name, or of nobody in the team.

    Args:
        text: Text of a file.
        members: Surname, first name and number of each.

    Returns:
        A sentence without subject for each; none for numbers that are nowhere.
    """
    folded = _fold(text)
    found = sorted(
        (*match.span(), member)
        for member in members
        for match in re.finditer(_number(_fold(member[2])), folded)
    )
    faults, step = {}, -1
    for index, (start, end, member) in enumerate(found):
        before = found[index - 1][1] if index else 0
        after = found[index + 1][0] if index + 1 < len(found) else len(folded)
        near = {
            -1: folded[max(before, start - BESIDE) : start],
            1: folded[end : min(after, end + BESIDE)],
        }
        # Names come first, unless a list has begun with a number.
        for side in (step if start - before < BESIDE else -1, -1, 1):
            names = [one for one in members if not absent(near[side], one[:2])]
            if names and member not in names:
                faults[member] = f"{names[0][1]} {names[0][0]}"
            if names:
                step = side
                break
    cards = [member[2] for member in members]
    # Of a year alike: the length alone would be that of a date.
    kinds = {(len(c), c[:2]) for c in cards if c.isdigit() and len(c) > LONG}
    others = [
        f"names {other[0]}, a student number of nobody in the team"
        for other in re.finditer(r"(?<![\d.,-])\d+(?![\d-]|[.,]\d)", folded)
        if (len(other[0]), other[0][:2]) in kinds
        and other[0] not in cards
        and any(abs(other.start() - start) < BESIDE for start, *_ in found)
    ]
    return [f"shows {m[2]} beside {who}" for m, who in faults.items()] + others
