"""Answers as a person reads them, and as a program does."""

import json

import pandas as pd

from clip_lib.retrieval.search import Search

QUERIES = ("A big dog in the woods", "A group of cyclists", "A boat on the water")
"""What a demonstration asks: the course's two examples, and the fourth label."""

# An answer is one thing; the index files call their columns by the plural.
_SINGULAR = {
    "paths": "path",
    "captions": "caption",
    "image_paths": "image_path",
    "labels": "label",
    "splits": "split",
}
_NOT_SHOWN = ["size", "mtime_ns"]
_FORMATS = {"score": "{:.3f}", "margin": "{:.3f}", "probability": "{:.1%}"}


def answer_records(answers: pd.DataFrame) -> list[dict]:
    """Return answers as objects for JSON.

    Args:
        answers: What `Index.search` returned.

    Returns:
        A dict an answer, best first: rank, score, margin (None after the gallery's last
        item), probability; then ``path`` for a picture, or ``caption`` and the
        ``image_path`` of its picture for a text; and, where known, label and split.
    """
    answers = answers.drop(columns=_NOT_SHOWN, errors="ignore")
    # Through pandas' JSON, which makes plain numbers and None of NumPy's.
    return json.loads(answers.rename(columns=_SINGULAR).to_json(orient="records"))


def answer_lines(answers: pd.DataFrame) -> str:
    """Lay answers out for reading: a heading, then a line an answer."""
    answers = answers.drop(columns=_NOT_SHOWN, errors="ignore")
    shown = {}
    for name, column in answers.rename(columns=_SINGULAR).items():
        if name in _FORMATS:
            form = _FORMATS[name].format
            shown[name] = ["" if pd.isna(value) else form(value) for value in column]
        elif name == "rank":
            shown[name] = column
        else:
            # Words stand to the left, and their heading above them.
            words = column.astype(str)
            width = max(map(len, [name, *words]))
            shown[name.ljust(width)] = words.str.ljust(width)
    lines = pd.DataFrame(shown).to_string(index=False).splitlines()
    return "\n".join(line.rstrip() for line in lines)


def with_captions(answers: pd.DataFrame, search: Search) -> pd.DataFrame:
    """Add to pictures the first caption of each, where the text index has one."""
    if search.texts is None or "image_paths" not in search.texts.items:
        return answers
    texts = search.texts.items.drop_duplicates("image_paths").set_index("image_paths")
    return answers.assign(captions=answers["paths"].map(texts["captions"]).fillna(""))


def gallery_words(search: Search, split: str, noun: str = "pictures") -> str:
    """Say what is searched: how many, which part, what they are."""
    index = search.texts if noun == "captions" else search.images
    about = [index.source] if search.texts is None else [split, index.source]
    return f"{len(index.part(split).items)} {noun} ({', '.join(filter(None, about))})"
