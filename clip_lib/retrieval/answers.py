"""Format answers, for people and for programs."""

import json

import pandas as pd

from clip_lib.errors import printable
from clip_lib.retrieval.search import Search

QUERIES = ("A big dog in the woods", "A group of cyclists", "A boat on the water")
"""Queries of a demonstration: the course's two examples, and the fourth label."""

_NOT_SHOWN = ["size", "mtime_ns", "content", "taken"]
_FORMATS = {
    "score": "{:.3f}".format,
    "margin": "{:.3f}".format,
    "probability": "{:.1%}".format,
}


def _shown(answers: pd.DataFrame) -> pd.DataFrame:
    # An answer is one item; the index files name their columns in the plural.
    answers = answers.drop(columns=_NOT_SHOWN, errors="ignore")
    return answers.rename(columns=lambda name: name.removesuffix("s"))


def answer_records(answers: pd.DataFrame) -> list[dict]:
    """Return the answers of `Index.search` as objects for JSON, best first.

    Each has rank, score, margin (None after the gallery's last item), probability; then
    ``path`` for a picture, or ``caption`` and the ``image_path`` of its picture for a
    text; and, where known, label and split.
    """
    # Through pandas' JSON, which turns NumPy's numbers into plain ones and NaN to None.
    return json.loads(_shown(answers).to_json(orient="records"))


def answer_lines(answers: pd.DataFrame) -> str:
    """Format answers as text: a heading, then one line per answer."""
    answers = _shown(answers)
    return table_text(answers)


def table_text(table: pd.DataFrame) -> str:
    """Format a table for a terminal; no text in it can command the terminal."""
    texts = table.select_dtypes(exclude=["number", "bool"]).columns
    for name in texts:  # Words are aligned on the left, below their heading.
        words = table[name].map(printable)
        width = max(map(len, [name, *words]))
        table = table.assign(**{name: words.str.ljust(width)})
        table = table.rename(columns={name: name.ljust(width)})
    lines = table.to_string(index=False, formatters=_FORMATS, na_rep="")
    return "\n".join(map(str.rstrip, lines.splitlines()))


def with_captions(answers: pd.DataFrame, search: Search) -> pd.DataFrame:
    """Add the first caption of each picture, where the text index has one."""
    if search.texts is None or "image_paths" not in search.texts.items:
        return answers
    texts = search.texts.items.drop_duplicates("image_paths").set_index("image_paths")
    return answers.assign(captions=answers["paths"].map(texts["captions"]).fillna(""))


def gallery_words(search: Search, split: str, noun: str = "pictures") -> str:
    """Describe a gallery: the number of items, the split, the source."""
    index = search.texts if noun == "captions" else search.images
    about = [split, index.source] if "splits" in index.items else [index.source]
    return f"{len(index.part(split).items)} {noun} ({', '.join(filter(None, about))})"
