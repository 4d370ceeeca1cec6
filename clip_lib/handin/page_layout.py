"""Measure the pages of a PDF: the paper, the margins, the size of its letters."""

import collections
import contextlib
import ctypes
import math

from pypdfium2 import PdfDocument, raw

A4 = (210, 297)
MARGINS = {"left": 15, "right": 15, "top": 8, "bottom": 8}
"""Least distance in millimetres from letters to each edge, page numbers included."""
LETTERS = 9.5
"""Least size of most letters, in points: the 10 pt of LaTeX are 9.96 of a PDF's."""
_MILLIMETRE = 72 / 25.4


def layout_faults(path) -> list[str]:
    """Return what is wrong with the form of a readable PDF, a sentence for each.

    The first page with a fault of a kind stands for the others.
    """
    faults, sizes = {}, collections.Counter()
    with contextlib.closing(PdfDocument(path)) as document:
        for number, page in enumerate(document, 1):
            left, bottom, right, top = page.get_mediabox()
            paper = ((right - left) / _MILLIMETRE, (top - bottom) / _MILLIMETRE)
            if max(abs(a - b) for a, b in zip(paper, A4, strict=True)) > 1:
                shown = f"page {number} is {paper[0]:.0f} x {paper[1]:.0f} mm"
                faults.setdefault("paper", f"{shown}: expected A4, 210 x 297 mm.")
            boxes = list(_letters(page.get_textpage(), sizes))
            if not boxes:
                continue
            lefts, bottoms, rights, tops = zip(*boxes, strict=True)
            for side, free in (
                ("left", min(lefts) - left),
                ("right", right - max(rights)),
                ("top", top - max(tops)),
                ("bottom", min(bottoms) - bottom),
            ):
                free, least = free / _MILLIMETRE, MARGINS[side]
                if free < least:
                    place = f"{free:.0f} mm from the {side} edge"
                    place = place if free > 0 else f"over the {side} edge"
                    fault = (
                        f"page {number} has text {place}: expected at least {least} mm."
                    )
                    faults.setdefault(side, fault)
    size = sizes.most_common(1)[0][0] if sizes else LETTERS
    if size < LETTERS:
        faults["size"] = f"most letters are of {size:g} points: expected at least 10."
    return list(faults.values())


def _letters(text, sizes: collections.Counter):
    """Yield the box of each visible letter; count their sizes in points."""
    matrix = raw.FS_MATRIX()
    for index in range(text.count_chars()):
        if chr(raw.FPDFText_GetUnicode(text, index)).isspace():
            continue
        box = text.get_charbox(index)
        if box[0] < box[2] and box[1] < box[3]:
            raw.FPDFText_GetMatrix(text, index, ctypes.byref(matrix))
            size = raw.FPDFText_GetFontSize(text, index)
            sizes[round(size * math.hypot(matrix.b, matrix.d), 1)] += 1
            yield box
