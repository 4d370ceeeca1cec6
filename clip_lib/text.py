"""Captions to token ids: the vocabulary, and what it does not know.

The vocabulary is learned on the training captions alone. `vocab.txt` holds one word a
line and the line's number is the token's id: line 0 is padding (empty), line 1 is
``[UNK]``, the unknown word.
"""

from pathlib import Path

import keras
import numpy as np

from clip_lib.atomic import replacing
from clip_lib.config import Config


def learn_vocabulary(captions, config: Config) -> keras.layers.TextVectorization:
    """Learn the vocabulary of the training captions.

    Args:
        captions: Iterable of strings, training split only.
        config: Gives ``vocab_size`` (most words kept) and ``sequence_length``.

    Returns:
        A layer from strings (B,) to token ids (B, sequence_length), 0 = padding.
    """
    vectorizer = keras.layers.TextVectorization(
        max_tokens=config.vocab_size, output_sequence_length=config.sequence_length
    )
    vectorizer.adapt(list(captions))
    return vectorizer


def save_vocabulary(vectorizer: keras.layers.TextVectorization, path) -> None:
    """Write vocab.txt: one word a line, line number = token id."""
    with replacing(path) as temporary:
        temporary.write_text("\n".join(vectorizer.get_vocabulary()), encoding="utf-8")


def load_vocabulary(path, sequence_length: int) -> keras.layers.TextVectorization:
    """Read vocab.txt back.

    Raises:
        ValueError: If there is no such file, or it is not a vocabulary.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such vocabulary; it is saved beside the model.")
    try:
        words = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8 ({error}).") from error
    # An editor may have added a newline at the end; elsewhere each line is one word.
    words = words[:-1] if words[-1] == "" else words
    if words[:2] != ["", "[UNK]"] or len(words) < 3 or len(set(words)) < len(words):
        raise ValueError(
            f"{path}: not a vocabulary; expected an empty line, [UNK], then one word a "
            "line, each once."
        )
    return keras.layers.TextVectorization(
        vocabulary=words[2:], output_sequence_length=sequence_length
    )


def encode(vectorizer: keras.layers.TextVectorization, captions) -> np.ndarray:
    """Turn captions into token ids.

    A text without a single word (only punctuation) becomes one [UNK]: the mean over no
    token at all would not be a number.

    Returns:
        int32 array (captions, sequence_length).
    """
    token_ids = np.array(vectorizer(list(captions)), dtype="int32")
    token_ids[~token_ids.any(axis=1), 0] = 1
    return token_ids


def sort_words(
    vectorizer: keras.layers.TextVectorization, text: str
) -> tuple[list[str], list[str]]:
    """Return the words of a text that the model knows, and those it never saw.

    A mark of punctuation that stands alone is neither: the model does not read it.
    """
    words = text.split()
    highest = np.asarray(vectorizer(words)).max(axis=1) if words else []
    known = [word for word, token in zip(words, highest, strict=True) if token > 1]
    unknown = [word for word, token in zip(words, highest, strict=True) if token == 1]
    return known, unknown


def check_query(vectorizer: keras.layers.TextVectorization, text: str) -> list[str]:
    """Return the words of a query that the model never saw; see `sort_words`.

    Raises:
        ValueError: If the query is empty, or holds no known word: every answer would
            be arbitrary.
    """
    if not text.strip():
        raise ValueError("Empty query: expected a few English words.")
    known, unknown = sort_words(vectorizer, text)
    if not known:
        raise ValueError(
            f"{text!r}: not one word is among the {vectorizer.vocabulary_size()} that "
            "the model learned, the ranking would mean nothing."
        )
    return unknown
