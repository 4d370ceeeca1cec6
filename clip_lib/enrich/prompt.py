"""What is asked: prompt.txt, filled in, and numbered captions; and the answers' lines.

A change of prompt.txt is a new question: earlier answers are then not used.
"""

import math
import re
from pathlib import Path

from clip_lib.retrieval.zero_shot import label_words

PROMPT_FILE = Path(__file__).with_name("prompt.txt")
CHARACTERS = 4
"""Of English text, about as many characters make a token."""
ANSWER_TOKENS = 30
"""About as many tokens has the line of one answer."""


def instructions(class_names, length: int) -> str:
    """Fill prompt.txt in.

    Args:
        class_names: Every label of the data.
        length: Most words of an answer.
    """
    labels = ", ".join(label_words(name) for name in class_names)
    text = PROMPT_FILE.read_text(encoding="utf-8")
    # Not format(): a label may hold braces.
    return text.replace("{length}", str(length)).replace("{labels}", labels)


def question(captions, refusals=None) -> str:
    """Number captions, with why an earlier answer was refused, if one was.

    Args:
        captions: Several captions, each on one line.
        refusals: caption -> reason.
    """
    lines = []
    for number, caption in enumerate(captions, 1):
        reason = (refusals or {}).get(caption)
        note = f" [refused: {reason}]" if reason else ""
        lines.append(f"{number}. {caption}{note}")
    return "\n".join(lines)


def answers_of(reply: str, count: int, cut: bool = False) -> list[str]:
    """Find the answer to each numbered caption; an empty one where there is none.

    Args:
        reply: What the language model wrote.
        count: Number of captions asked.
        cut: Whether it was stopped before its end: its last line is then not whole.
    """
    # Models that think aloud do it before they answer.
    text = re.sub(r"(?s)^\s*<think>.*?(</think>|\Z)", "", reply).strip()
    if count == 1 and not re.match(r"[*\s]*1\s*[.):]", text):
        return [""] if cut else [text]
    found: dict[int, list[str]] = {}
    lines, number = [], 0
    for line in text.splitlines():
        if match := re.match(r"[*\s]*(\d{1,4})\s*[.):]\**\s*(.*)", line):
            number, lines = int(match[1]), [match[2]]
            # A number that comes twice answers nothing: which of the two?
            found[number] = lines if number not in found else []
        elif line.strip():
            lines.append(line)
        else:
            lines = []
    if cut:
        found.pop(number, None)
    return [" ".join(found.get(place, [])).strip() for place in range(1, count + 1)]


def expected_tokens(text: str, captions, batch: int) -> tuple[int, int, int]:
    """Return about how many requests, tokens sent and received captions will take."""
    requests = math.ceil(len(captions) / batch)
    sent = requests * len(text) + sum(len(caption) + 4 for caption in captions)
    return requests, sent // CHARACTERS, ANSWER_TOKENS * len(captions)
