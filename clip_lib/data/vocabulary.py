"""Captions to token ids: the vocabulary, and what it does not know.

SmallBERT's vocabulary is learned on the training captions alone. `vocab.txt` holds one
word a line and the line's number is the token's id: line 0 is padding (empty), line 1
is ``[UNK]``, the unknown word. DistilBERT brings its own, see word_pieces.py.
"""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np

from clip_lib.atomic import replacing
from clip_lib.config import Config
from clip_lib.errors import ClipError
from clip_lib.towers.word_pieces import WordPieces, checkpoint_folder

Vectorizer = keras.layers.TextVectorization | WordPieces
"""What turns texts into token ids, of SmallBERT or of DistilBERT."""


def learn_vocabulary(captions, config: Config) -> Vectorizer:
    """Learn the vocabulary of the training captions, or load the pretrained one.

    Args:
        captions: Iterable of strings, training split only.
        config: Gives ``text_encoder``, ``sequence_length`` and, for the one that is
            learned, ``vocab_size`` (most words kept); ``text_weights`` for
            DistilBERT's, ``pretrained_dir`` for that of our own pretrained weights.

    Returns:
        What turns strings (B,) into token ids (B, sequence_length), 0 = padding.

    Raises:
        ClipError: If DistilBERT's cannot be had, see `checkpoint_folder`, or ours, see
            `load_vocabulary`.
    """
    if config.text_encoder == "distilbert":
        folder = checkpoint_folder(config.text_weights)
        return WordPieces.from_checkpoint(folder, config.sequence_length)
    if config.pretrained:
        path = config.pretrained_path / config.vocabulary_file.name
        return load_vocabulary(path, config.sequence_length)
    vectorizer = keras.layers.TextVectorization(
        max_tokens=config.vocab_size, output_sequence_length=config.sequence_length
    )
    vectorizer.adapt(list(captions))
    return vectorizer


def save_vocabulary(vectorizer: Vectorizer, path) -> None:
    """Write vocab.txt, one word a line, line number = token id, or tokenizer.json."""
    if isinstance(vectorizer, WordPieces):
        return vectorizer.save(path)
    with replacing(path) as temporary:
        temporary.write_text("\n".join(vectorizer.get_vocabulary()), encoding="utf-8")


def load_vocabulary(path, sequence_length: int) -> Vectorizer:
    """Read vocab.txt back, or a tokenizer that ends in .json.

    Raises:
        ClipError: If there is no such file, or it is not a vocabulary.
    """
    path = Path(path)
    if not path.is_file():
        raise ClipError(f"{path}: no such vocabulary; it is saved beside the model.")
    if path.suffix == ".json":
        return WordPieces.load(path, sequence_length)
    try:
        words = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ClipError(f"{path}: not text in UTF-8 ({error}).") from error
    # An editor may have added a newline at the end; elsewhere each line is one word.
    words = words[:-1] if words[-1] == "" else words
    if words[:2] != ["", "[UNK]"] or len(words) < 3 or len(set(words)) < len(words):
        raise ClipError(
            f"{path}: not a vocabulary; expected an empty line, [UNK], then one word a "
            "line, each once."
        )
    return keras.layers.TextVectorization(
        vocabulary=words[2:], output_sequence_length=sequence_length
    )


def vocabulary_fingerprint(vectorizer: Vectorizer) -> str:
    """Return a name for these very words in this very order."""
    about = vectorizer.get_vocabulary(), getattr(vectorizer, "spelling", None)
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


def check_vocabulary(
    vectorizer: Vectorizer, path, model_file, known: int, fingerprint: str
) -> None:
    """Make sure that a model was trained with this very vocabulary.

    Args:
        vectorizer: The vocabulary of ``path``.
        path, model_file: Where the two come from, for the message.
        known: Number of tokens that the model knows.
        fingerprint: Of the model's vocabulary, or "" if it is not known.

    Raises:
        ClipError: If it is another, or in another order.
    """
    size = vectorizer.vocabulary_size()
    if size != known or fingerprint not in ("", vocabulary_fingerprint(vectorizer)):
        raise ClipError(
            f"{path}: {size} words, but {model_file} was trained with {known} "
            "others, or in another order; they are not of the same training."
        )


def encode(vectorizer: Vectorizer, captions) -> np.ndarray:
    """Turn captions into token ids.

    A text without a single word (only punctuation) becomes one [UNK]: the mean over no
    token at all would not be a number. DistilBERT's always has two, [CLS] and [SEP].

    Returns:
        int32 array (captions, sequence_length).
    """
    token_ids = np.array(vectorizer(list(captions)), dtype="int32")
    token_ids[~token_ids.any(axis=1), 0] = 1
    return token_ids


def word_tokens(vectorizer: Vectorizer, texts) -> list[np.ndarray]:
    """Return the token ids that stand for words.

    A mark of punctuation that stands alone is none, nor what marks start, end, padding.

    Returns:
        For each text its token ids, in order.
    """
    if not (texts := list(texts)):
        return []
    silent = getattr(vectorizer, "silent_ids", [0])
    token_ids = np.asarray(vectorizer(texts))
    return [row[~np.isin(row, silent)] for row in token_ids]


def known_tokens(vectorizer: Vectorizer, texts) -> list[np.ndarray]:
    """Say of each token of `word_tokens` whether the vocabulary knows it."""
    unknown = getattr(vectorizer, "unknown_id", 1)
    return [token_ids != unknown for token_ids in word_tokens(vectorizer, texts)]


def count_words(vectorizer: Vectorizer) -> int:
    """Return how many words, or pieces of words, the vocabulary knows."""
    marks = len(getattr(vectorizer, "silent_ids", [0])) + 1  # And [UNK].
    return vectorizer.vocabulary_size() - marks


def sort_words(vectorizer: Vectorizer, text: str) -> tuple[list[str], list[str]]:
    """Return the words of a text that the model knows, and those it never saw.

    A mark of punctuation that stands alone is neither: it says nothing.
    """
    words = text.split()
    tokens = list(zip(words, known_tokens(vectorizer, words), strict=True))
    known = [word for word, is_known in tokens if is_known.any()]
    unknown = [word for word, is_known in tokens if len(is_known) and not any(is_known)]
    return known, unknown


def check_query(vectorizer: Vectorizer, text: str) -> list[str]:
    """Return the words of a query that the model never saw; see `sort_words`.

    Raises:
        ClipError: If the query is empty, or holds no known word: every answer would
            be arbitrary.
    """
    if not text.strip():
        raise ClipError("Empty query: expected a few English words.")
    known, unknown = sort_words(vectorizer, text)
    if not known:
        raise ClipError(
            f"{text!r}: not one word is among the {count_words(vectorizer)} that "
            "the model learned, the ranking would mean nothing."
        )
    return unknown
