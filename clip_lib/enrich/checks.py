"""Is an answer a longer caption of the same picture? Pure functions, no network."""

import dataclasses
import re

from clip_lib.enrich.words import kept_share, lost_words, model_words
from clip_lib.retrieval.zero_shot import label_words

MIN_SHARE = 0.8
"""Smallest share of the caption's content words that an answer must keep."""

_PLAIN = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014", "''\"\",,")
"""Curly quotes and long dashes, which the model would read as parts of words."""
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


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the checks say of an answer.

    Attributes:
        text: The answer, tidied.
        kind: Why it is refused, in two words at most; empty if it is accepted.
        detail: What exactly is wrong.
        share: Share of the caption's content words that it keeps.
    """

    text: str
    kind: str = ""
    detail: str = ""
    share: float = 0.0

    @property
    def accepted(self) -> bool:
        """Whether the answer may stand beside the caption."""
        return not self.kind

    @property
    def reason(self) -> str:
        """Why it is refused, in one line."""
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


def tidy(answer: str) -> str:
    """Take off what is around a sentence: quotes, spaces, typographic marks."""
    text = " ".join(answer.translate(_PLAIN).split())
    while len(text) > 1 and text[0] == text[-1] and text[0] in "\"'*_":
        text = text[1:-1].strip()
    return text


def foreign_labels(caption: str, labels, class_names) -> tuple[str, ...]:
    """Return the labels that no answer to a caption may name.

    Args:
        caption: The original; what it names already is not added.
        labels: Labels of its pictures; if they are several, each is foreign to another.
        class_names: Every label of the data.
    """
    own = set(labels) if len(set(labels)) == 1 else set()
    return tuple(
        name
        for name in class_names
        if name not in own and label_words(name).lower() not in caption.lower()
    )


def judge(caption: str, answer: str, foreign, length: int) -> Verdict:
    """Check one answer.

    Args:
        caption: The original.
        answer: What the language model made of it.
        foreign: Labels that it must not name; see `foreign_labels`.
        length: Most words that the model reads, ``sequence_length``.

    Returns:
        The first thing wrong with it, or nothing.
    """
    text = tidy(answer)
    words = model_words(text)
    if not words:
        return Verdict(text, "empty")
    share = kept_share(caption, text)
    found = _BOILERPLATE.search(text.lower())
    if found and not _BOILERPLATE.search(caption.lower()):
        return Verdict(text, "boilerplate", repr(found[0]), share)
    if strange := next((mark for mark in text if not mark.isprintable()), ""):
        return Verdict(text, "boilerplate", repr(strange), share)
    if len(words) > length:
        detail = f"{len(words)} words, expected {length} at most"
        return Verdict(text, "too long", detail, share)
    # As the course gives labels out: by substring, football is a ball.
    added = [name for name in foreign if label_words(name).lower() in text.lower()]
    if added:
        return Verdict(text, "other label", f"it adds {', '.join(added)}", share)
    if share < MIN_SHARE:
        lost = ", ".join(lost_words(caption, text))
        return Verdict(text, "words lost", f"it lacks {lost}", share)
    if len(words) <= len(model_words(caption)):
        return Verdict(text, "not longer", f"{len(words)} words", share)
    return Verdict(text, share=share)
