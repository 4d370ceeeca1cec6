"""The words of a caption: those that the model reads, and those that mean something."""

import re
import string

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

_STAY = """
    no not without one two three four five six eight nine ten eleven twelve fifteen
    twenty forty fifty sixty hundred fire front back top bottom side
"""
EMPTY_WORDS = ENGLISH_STOP_WORDS - set(_STAY.split())
"""Words that a sentence may lose: scikit-learn's, less numbers, places, negations."""


def model_words(text: str) -> list[str]:
    """Return the words as the model reads them: each is one token of its sequence."""
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return bare.split()


def stem(word: str) -> str:
    """Bring the forms of a word together: dogs and dog, running and runs.

    A rough cut, meant for comparing words with one another and not for reading.
    """
    if word.endswith(("ies", "ied")) and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    for ending in ("ing", "ed"):
        start = word.removesuffix(ending)
        # Neither "red" nor "string" is a verb with an ending.
        if start != word and len(start) > 1 and re.search("[aeiouy]", start):
            word = start
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiousl":
                word = word[:-1]
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def content_words(text: str) -> dict[str, str]:
    """Return the words that carry the meaning of a text, by their `stem`."""
    words = re.findall(r"[^\W_]+", text.lower())
    kept = (word for word in words if len(word) > 1 or word.isdigit())
    return {stem(word): word for word in kept if word not in EMPTY_WORDS}


def lost_words(caption: str, answer: str) -> list[str]:
    """Return the content words of a caption that an answer no longer has."""
    found = content_words(answer)
    return [word for key, word in content_words(caption).items() if key not in found]


def kept_share(caption: str, answer: str) -> float:
    """Return the share of a caption's content words that an answer still has."""
    words = len(content_words(caption))
    return 1 - len(lost_words(caption, answer)) / words if words else 1.0
