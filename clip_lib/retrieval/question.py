"""Questions that combine terms, "dog + snow - person", and whether any answer fits.

Terms are joined by a plus or a minus with blanks around it. A term is a text or, where
the caller allows it, the path of a picture. ``0.5*snow`` weighs it; what stands between
double quotes is text, whatever it holds.
"""

import contextlib
import functools
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from clip_lib.data.images import SUFFIXES
from clip_lib.data.vocabulary import FUNCTION_WORDS
from clip_lib.errors import ClipError
from clip_lib.retrieval.index import Index, in_cache

EXCLUDED = 0.75
"""Weight of an excluded term, chosen with benchmarks/exclusion.py. Projecting the term
out of the question leaves three times as many unwanted pictures."""
NONSENSE, LEVEL = 200, 0.9
"""Nonsense questions, and the share of them that a question must beat to fit."""

_SMALL = "(?:(?:an?|any|the|in|on|at|with) )*"
_NEGATION = rf"(?i)(?<!\S)(?:(?:not|without|no) {_SMALL}(\w+)|-(\w+))"


class Term(NamedTuple):
    """One term of a query; an excluded term has a negative weight."""

    text: str
    weight: float
    is_picture: bool = False


def is_picture(text: str) -> bool:
    """Return whether a term is the path of a picture, be it there or not."""
    # os.path: pathlib refuses to look for a file named like a text of many words.
    return os.path.isfile(text) or Path(text).suffix.lower() in SUFFIXES


def read_question(question: str, pictures: bool = False) -> list[Term]:
    """Split a question into its terms.

    Args:
        question: One term, or several joined by " + " and " - ".
        pictures: Whether a term may be the path of a picture. Not for strangers: they
            would read any file.

    Raises:
        ClipError: If a term is missing, has an odd weight, or all are excluded.
    """
    if pictures and os.path.isfile(question):
        return [Term(question, 1.0, True)]
    sign, found, words = 1, [], []
    for word in [*re.findall(r'(?:"[^"]*"|\S)+', question), "+"]:
        if word not in ("+", "-"):
            words.append(word)
            continue
        if words:
            found.append(_term(" ".join(words), sign, pictures))
        elif found:
            raise ClipError(
                f"{question!r}: a sign without a term; expected signs between terms, "
                "as in 'dog + snow - person'."
            )
        sign, words = (1 if word == "+" else -1), []
    if found and all(term.weight < 0 for term in found):
        raise ClipError(
            f"{question!r}: every term is excluded; expected at least one term to "
            "search for, as in 'dog - snow'."
        )
    return found or [Term("", 1.0)]


def _term(text: str, sign: int, pictures: bool) -> Term:
    weight = 1.0
    if weighed := re.fullmatch(r"(\d*\.?\d+) ?\* ?(.+)", text, re.DOTALL):
        weight, text = float(weighed[1]), weighed[2]
        if not 0 < weight <= 100:
            raise ClipError(f"{weighed[0]!r}: expected a weight above 0, at most 100.")
    if quoted := re.fullmatch('"([^"]*)"', text):
        return Term(quoted[1], sign * weight)
    return Term(text, sign * weight, pictures and is_picture(text))


def embed_question(clip, question: str, pictures: bool = False) -> np.ndarray:
    """Return the unit vector (D,) of a question; a score with it stays a cosine.

    It is the weighted sum of the terms' unit vectors, scaled to unit length. The weight
    of an excluded term is multiplied by `EXCLUDED`.

    Args:
        clip: The `Clip`.
        question, pictures: See `read_question`.

    Raises:
        ClipError: If the question cannot be read, see `read_question`, or one of its
            terms cannot, see `Clip.embed_text` and `open_picture`.
    """
    return _embed(clip, read_question(question, pictures), question)


def _embed(clip, terms: list[Term], question: str) -> np.ndarray:
    total = np.zeros(clip.width, "float32")
    for text, weight, is_path in terms:
        vector = clip.embed_image(text) if is_path else clip.embed_text(text)
        total += weight * (1 if weight > 0 else EXCLUDED) * vector
    length = np.linalg.norm(total)
    if length < 1e-3:
        raise ClipError(f"{question!r}: its terms cancel each other out.")
    return total / length


def texts_of(question: str, pictures: bool = False) -> list[str]:
    """Return the texts of a question, without signs, weights and pictures."""
    terms = read_question(question, pictures)
    return [term.text for term in terms if not term.is_picture]


def negations(question: str) -> list[tuple[str, str]]:
    """Find what a person means to leave out, but a CLIP would look for.

    Returns:
        Each phrase and its word ("not on the grass", "grass"); none between quotes.
    """
    unquoted = re.sub('"[^"]*"', '""', question)
    found = re.finditer(_NEGATION, unquoted)
    return [(each[0], each[1] or each[2]) for each in found]


def fits(search, question: str, gallery: str = "test", pictures=False) -> bool:
    """Return whether a gallery's best answer is better than those of nonsense.

    Nonsense is `NONSENSE` questions of four words each, drawn from the words that the
    model knows: the level is thus that of the model and of the gallery.
    benchmarks/exclusion.py measures both kinds of errors. Where something is left out,
    what is asked for must fit; a question with a picture always does.

    Args:
        search: The `Search`.
        question, gallery, pictures: As for the search.
    """
    terms = read_question(question, pictures)
    if any(term.is_picture for term in terms):
        return True
    wanted = _embed(search.clip, [term for term in terms if term.weight > 0], question)
    best = np.max(search.images.part(gallery).embeds @ wanted)
    return bool(best > _nonsense_level(search, gallery))


@functools.lru_cache(maxsize=16)
def _nonsense_level(search, gallery: str) -> float:
    embeds, nonsense = search.images.part(gallery).embeds, _nonsense(search.clip).T
    best = np.full(NONSENSE, -1.0)
    for start in range(0, len(embeds), 10_000):  # The gallery may be large.
        scores = embeds[start : start + 10_000] @ nonsense
        best = np.maximum(best, scores.max(axis=0))
    return float(np.quantile(best, LEVEL))


@functools.lru_cache(maxsize=4)
def _nonsense(clip) -> np.ndarray:
    # Kept in the cache: it takes a second, and each command would embed it again.
    path = in_cache(f"nonsense_{NONSENSE}_{clip.fingerprint}.npz")
    with contextlib.suppress(ClipError):  # Not there yet, or damaged.
        return Index.load(path).embeds
    words = [word for word in clip.vectorizer.get_vocabulary() if word.isalpha()]
    words = [word for word in words if word not in FUNCTION_WORDS]
    drawn = np.random.default_rng(0).choice(words, (NONSENSE, 4))
    texts = [" ".join(four) for four in drawn]
    index = Index(clip.embed_texts(texts), pd.DataFrame({"captions": texts}))
    # A cache that cannot be written costs time only.
    with contextlib.suppress(OSError):
        index.save(path)
    return index.embeds
