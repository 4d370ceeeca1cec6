"""Answers to look at: small pictures in the terminal, and a page in one file."""

import base64
import shutil
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from clip_lib.atomic import replacing
from clip_lib.data.images import open_picture, small_jpeg
from clip_lib.errors import ClipError, printable

WIDE = 24
"""Characters that a picture takes in a line."""
_PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>body {{font: 1rem system-ui, sans-serif; margin: 2rem; color-scheme: light dark}}
main {{display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(14rem,
1fr))}} figure {{margin: 0; overflow-wrap: anywhere}} img {{width: 100%; height: 14rem;
object-fit: contain; background: #8882}}</style>
<h1>{title}</h1><p>{about}</p><main>{figures}</main>
"""


def blocks(pictures: list[str], titles: list[str]) -> str:
    """Draw picture files side by side, with half blocks in 24-bit colours.

    Every terminal of today shows them, over any connection; the protocols for real
    pixels (kitty, iTerm, sixel) each need a terminal of their own.
    """
    per_line = max(1, shutil.get_terminal_size().columns // (WIDE + 2))
    lines = []
    for start in range(0, len(pictures), per_line):
        drawn = [_block_lines(path) for path in pictures[start : start + per_line]]
        lines += ["  ".join(row) for row in zip(*drawn, strict=True)]
        names = [printable(name)[:WIDE] for name in titles[start : start + per_line]]
        lines += ["  ".join(name.ljust(WIDE) for name in names), ""]
    return "\n".join(lines)


def _block_lines(path: str) -> list[str]:
    try:
        picture = open_picture(path, enough=2 * WIDE)
    except ClipError:  # Gone or damaged since it was indexed: its title stays.
        return [" " * WIDE] * (WIDE // 2)
    picture.thumbnail((WIDE, WIDE))
    canvas = np.zeros((WIDE, WIDE, 3), int)
    top, left = ((WIDE - side) // 2 for side in picture.size[::-1])
    canvas[top : top + picture.height, left : left + picture.width] = picture
    lines = []
    for upper, lower in zip(canvas[::2], canvas[1::2], strict=True):
        cells = np.hstack([upper, lower])
        text = "".join(
            "\x1b[38;2;{};{};{};48;2;{};{};{}m▀".format(*cell) for cell in cells
        )
        lines.append(f"{text}\x1b[0m")
    return lines


def write_page(answers: pd.DataFrame, question: str, about: str, path) -> None:
    """Write the answers as one HTML file that holds small copies of the pictures.

    It is made to be sent: it names files, but not the folders that they lie in.
    """
    figures = []
    for answer in answers.to_dict("records"):
        picture = answer.get("paths") or answer["image_paths"]
        name, caption = Path(picture).name, answer.get("captions")
        try:
            data = base64.b64encode(small_jpeg(picture, 480)).decode()
            image = f'<img src="data:image/jpeg;base64,{data}" alt="">'
        except ClipError:
            image = "<p>This picture has moved or is gone.</p>"
        text = escape(f"{answer['rank']}. {caption or name}")
        small = escape(f"{name}, " * bool(caption) + f"score {answer['score']:.3f}")
        words = f"{text}<br><small>{small}</small>"
        figures.append(f"<figure>{image}<figcaption>{words}</figcaption></figure>")
    page = _PAGE.format(
        title=escape(question), about=escape(about), figures="".join(figures)
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
