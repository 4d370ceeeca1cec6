"""What a reader sees in a PDF or a notebook."""

import contextlib
import dataclasses
import re
import unicodedata
from pathlib import Path

import nbformat

from clip_lib.errors import ClipError

LONG = 6
"""Letters from which a name cannot stand in a text by chance."""
_ACCENTS = ("Mn", "Lm", "Sk")


@dataclasses.dataclass(frozen=True)
class Paper:
    """A PDF.

    Attributes:
        text: What is written on it.
        body, appendix: Its pages, before the bookmark called Annexe and from there on.
        keywords: Those of its properties.
    """

    text: str
    body: int
    appendix: int
    keywords: str


def read_pdf(path) -> Paper:
    """Read a PDF as a browser does.

    Raises:
        ClipError: If there is no such file, it is no PDF, damaged or locked.
    """
    from pypdfium2 import PdfDocument, PdfiumError

    if not Path(path).is_file():
        raise ClipError(f"{path}: no such file.")
    try:
        with contextlib.closing(PdfDocument(path)) as document:
            # PDFium alone reads a letter that the font made of two.
            texts = [page.get_textpage().get_text_range() for page in document]
            body = min(_appendices(document), default=len(texts))
            keywords = document.get_metadata_value("Keywords")
    except PdfiumError as error:
        if "password" in str(error).lower():
            raise ClipError(f"{path}: locked; save it without a password.") from error
        raise ClipError(f"{path}: not a readable PDF ({error}).") from error
    if not texts:
        raise ClipError(f"{path}: a PDF without a page.")
    return Paper("\n".join(texts), body, len(texts) - body, keywords)


def _appendices(document):
    """Yield how many pages stand before each bookmark that is called Annexe."""
    for mark in document.get_toc():
        target = mark.get_dest()
        before = target.get_index() if target else None
        if before is not None and squeeze(mark.get_title()).startswith("annexe"):
            yield before


def read_notebook(path) -> nbformat.NotebookNode:
    """Read a notebook, in format 4, whose code cells have outputs and a number.

    Raises:
        ClipError: If there is no such file, or it is no notebook.
    """
    if not Path(path).is_file():
        raise ClipError(f"{path}: no such notebook.")
    try:
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            cell.source = str(cell.source)
            if cell.cell_type == "code":
                cell.setdefault("outputs", [])
                cell.setdefault("execution_count", None)
    except (
        *(ValueError, LookupError, AttributeError, TypeError),
        nbformat.ValidationError,
    ) as error:
        raise ClipError(f"{path}: not a notebook.") from error
    return notebook


def notebook_text(notebook) -> str:
    """Return what is written in a notebook: text, code, and answers in letters."""
    parts = []
    for cell in notebook.cells:
        parts.append(cell.source)
        for output in cell.get("outputs", []):
            parts.append(output.get("text", ""))
            forms = output.get("data", {}).items()
            # The letters of an encoded picture would hold any short name.
            parts += [str(form) for kind, form in forms if kind.startswith("text/")]
    return "\n".join(parts)


def squeeze(text) -> str:
    """Reduce a text to its letters, without accents, and digits.

    A line breaks within names, LaTeX may set an accent as a sign of its own, an
    apostrophe may be straight or curly.
    """
    return re.sub(r"[\W_]", "", _fold(text))


def _fold(text) -> str:
    for _ in range(2):  # Lower case may come with new accents.
        text = unicodedata.normalize("NFKD", str(text)).casefold()
    text = "".join(sign for sign in text if unicodedata.category(sign) not in _ACCENTS)
    return text.replace("\N{LATIN SMALL LETTER DOTLESS I}", "i")


def absent(text: str, values) -> list[str]:
    """Return which of some names and numbers cannot be read in a text.

    A long one may be broken anywhere; a short one, which other words may hold, must
    stand alone.
    """
    folded, letters = _fold(text), squeeze(text)
    return [value for value in values if not _said(value, folded, letters)]


def _said(value: str, folded: str, letters: str) -> bool:
    parts = re.findall(r"[^\W_]+", _fold(value))
    if not parts:
        return False
    if sum(map(len, parts)) >= LONG and "".join(parts) in letters:
        return True
    # A PDF may leave no space between two columns, a name and a number.
    kinds = ["\\d" if end.isdigit() else "[^\\W\\d_]" for end in (parts[0], parts[-1])]
    name = r"[\W_]*".join(parts)
    return bool(re.search(rf"(?<!{kinds[0]}){name}(?!{kinds[1]})", folded))
