"""What a reader sees in a PDF or a notebook."""

import contextlib
import unicodedata
from pathlib import Path

import nbformat
from pypdfium2 import PdfDocument, PdfiumError


def read_text(path) -> str:
    """Return what a reader sees in a PDF or a notebook.

    Raises:
        ValueError: If there is no such file, or it is not what its name says.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file.")
    try:
        if path.suffix == ".pdf":
            # Not pypdf, which misreads letters made of two signs: the ễ of Nguyễn.
            with contextlib.closing(PdfDocument(path)) as document:
                pages = [page.get_textpage().get_text_range() for page in document]
            return "\n".join(pages)
        parts = []
        for cell in nbformat.read(path, as_version=4).cells:
            parts.append(cell.source)
            for output in cell.get("outputs", []):
                parts.append(output.get("text", ""))
                parts += map(str, output.get("data", {}).values())
        return "\n".join(parts)
    except (
        nbformat.ValidationError,
        PdfiumError,
        ValueError,
        LookupError,
        AttributeError,
        OSError,
    ) as error:
        kind = "PDF" if path.suffix == ".pdf" else "notebook"
        raise ValueError(f"{path}: not a readable {kind} ({error}).") from error


def squeeze(text: str) -> str:
    """Reduce a text to its letters and digits: lines break within names."""
    whole = unicodedata.normalize("NFKC", str(text)).casefold()
    return "".join(letter for letter in whole if letter.isalnum())
