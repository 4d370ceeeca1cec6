"""What every command says alike: JSON, warnings, and pictures left out."""

import json
import sys

import pandas as pd

from clip_lib.data.vocabulary import sort_words
from clip_lib.retrieval.answers import answer_records


def print_json(value) -> None:
    """Print answers, or any dict or list, as JSON."""
    if isinstance(value, pd.DataFrame):
        value = answer_records(value)
    print(json.dumps(value, indent=2, ensure_ascii=False))


def warn_of_words(clip, text: str) -> None:
    """Name on the standard error the words of a text that the model never saw."""
    if unknown := dict.fromkeys(sort_words(clip.vectorizer, text)[1]):
        message = f"words the model never saw: {', '.join(unknown)}"
        print(message, file=sys.stderr)


def list_faults(faults: list[str], word: str = "error") -> int:
    """Name pictures that could not be read; return the exit status: 1 if there are."""
    for fault in faults:
        print(f"{word}: {fault}", file=sys.stderr)
    return 1 if faults else 0
