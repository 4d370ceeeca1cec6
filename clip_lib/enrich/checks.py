"""Check that an answer is a longer caption of the same picture: words only, no network.

Its words are compared by their stems, so that *dogs* keeps *dog*.
"""

import re

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from clip_lib.data.vocabulary import clean

MIN_SHARE = 0.8
"""Smallest share of the caption's content words that an answer must keep."""

_MEANINGFUL = """
    no not without one two three four five six eight nine ten eleven twelve fifteen
    twenty forty fifty sixty hundred fire front back top bottom side
"""
STOP_WORDS = ENGLISH_STOP_WORDS - set(_MEANINGFUL.split())
"""Words that an answer may drop: scikit-learn's, less numbers, places, negations."""

_ENDING = re.compile(r"(?<=\w\w\w)(ie[sd]|y(s|ed|ing)?|e[sd]?|ing|(?<!s)s)$")
_PLAIN = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014", "''\"\",,")
"""Curly quotes and long dashes, and how people type them."""
_BOILERPLATE = re.compile(
    r"""^(sure|certainly|of\ course|okay|ok|absolutely)\s*[,!:.]
    | ^(here\ (is|are)|here's)\b
    | ^(output|answer|caption|longer\ caption|note|rewritten)\b[^.]{0,20}:
    | \b(as\ an\ ai|language\ model|let\ me\ know|i\ hope|i\ apologi[sz]e)\b
    | \b(i\ can(not|'t|\ not)|i\ am\ unable|i'm\ (unable|sorry)|i\ am\ sorry)\b
    | \b(original|longer|given|above|enriched)\ caption\b
    | ^sorry\b | https?:// | \[refused | [<>{}`\[\]|\\] | \*\* | \ufffd""",
    re.VERBOSE,
)


def stem(word: str) -> str:
    """Map the forms of a word to one key, roughly: dogs and dog, running and runs."""
    return re.sub(r"([bdgmnpt])\1$", r"\1", _ENDING.sub("", word))


def content_words(text: str) -> dict[str, str]:
    """Return the words that carry the meaning of a text, keyed by their `stem`."""
    kept = (word for word in clean(text).split() if len(word) > 1 or word.isdigit())
    return {stem(word): word for word in kept if word not in STOP_WORDS}


def tidy(answer: str) -> str:
    """Strip quotes, spaces and typographic marks from around a sentence."""
    text = " ".join(answer.translate(_PLAIN).split())
    while len(text) > 1 and text[0] == text[-1] and text[0] in "\"'*_":
        text = text[1:-1].strip()
    return text


def judge(caption: str, answer: str, foreign, length: int) -> tuple[str, str]:
    """Check one answer.

    Args:
        caption: The original.
        answer: What the language model made of it.
        foreign: Labels that the answer must not name, in lower case.
        length: Most words that the model reads, ``sequence_length``.

    Returns:
        The answer, tidied, and the first fault found, as "kind: detail"; no fault if
        the answer is accepted.
    """
    text = tidy(answer)
    words = clean(text).split()
    if not words:
        return text, "empty"
    found = _BOILERPLATE.search(text.lower())
    if found and not _BOILERPLATE.search(caption.lower()):
        return text, f"boilerplate: {found[0]!r}"
    if strange := next((mark for mark in text if not mark.isprintable()), ""):
        return text, f"boilerplate: {strange!r}"
    if len(words) > length:
        return text, f"too long: {len(words)} words, expected {length} at most"
    # By substring, as the course assigns labels: football is a ball.
    added = [word for word in foreign if word in text.lower()]
    if added:
        return text, f"other label: it adds {', '.join(added)}"
    wanted, kept = content_words(caption), content_words(text)
    lost = [word for key, word in wanted.items() if key not in kept]
    if len(wanted) - len(lost) < MIN_SHARE * len(wanted):
        return text, f"words lost: it lacks {', '.join(lost)}"
    if len(words) <= len(clean(caption).split()):
        return text, f"not longer: {len(words)} words"
    return text, ""
