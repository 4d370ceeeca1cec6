"""Captions to token ids: SmallBERT's vocabulary, and the words that it does not know.

It is learned from the training captions alone. ``vocab.txt`` holds one word a line, and
the number of the line is the token id: line 0 is padding (empty), line 1 ``[UNK]``, the
unknown word. Other text encoders bring a tokenizer of their own, see `READERS`.
"""

from clip_lib import silence_tensorflow  # noqa: F401

# isort: split
import functools
import hashlib
import json
import re
import unicodedata
from pathlib import Path

import keras
import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from clip_lib.atomic import replacing
from clip_lib.config import Config
from clip_lib.errors import ClipError

Vectorizer = keras.layers.TextVectorization
"""Texts (B,) to token ids (B, length). A tokenizer that stands in for it is called and
asked for its vocabulary alike, and has ``save(path)``, ``unknown_id`` (else 1),
``silent_ids`` of what is no word (else padding) and ``spelling`` (of capitals)."""
READERS = {}
"""Readers of other vocabulary files, by file name: (path, sequence_length) to a
tokenizer. Its module adds its own when it is imported."""


def clean(text: str) -> str:
    """Return the words of a text in lower case, without punctuation and accents.

    Hyphens and slashes separate words, a possessive ``'s`` is dropped:
    ``The woman's black/white “dog”…`` becomes ``the woman black white dog``.
    """
    text = unicodedata.normalize("NFKD", text.lower()).replace("\u2019", "'")
    text = re.sub(r"'s\b|['\u0300-\u036f]", "", text)
    return " ".join(re.findall(r"[^\W_]+", text))


@functools.lru_cache(maxsize=8)
def _words_of(vectorizer: Vectorizer) -> frozenset[str]:
    return frozenset(vectorizer.get_vocabulary())


def _prepared(vectorizer: Vectorizer, texts) -> list[str]:
    """Clean texts; replace a word that is unknown by its known singular or plural."""
    if not isinstance(vectorizer, Vectorizer):
        return list(texts)  # A tokenizer has its own rules.
    known = _words_of(vectorizer)

    def known_form(word: str) -> str:
        stems = [word + "s", word + "es", word.removesuffix("s")]
        stems += [word.removesuffix("es"), re.sub("ies$", "y", word)]
        return next((form for form in (word, *stems) if form in known), word)

    return [" ".join(map(known_form, clean(text).split())) for text in texts]


def learn_vocabulary(captions, config: Config) -> Vectorizer:
    """Learn SmallBERT's vocabulary.

    Args:
        captions: Iterable of strings, training split only.
        config: Gives ``sequence_length`` and ``vocab_size`` (most words kept).
    """
    vectorizer = Vectorizer(
        max_tokens=config.vocab_size, output_sequence_length=config.sequence_length
    )
    vectorizer.adapt([clean(caption) for caption in captions])
    return vectorizer


def save_vocabulary(vectorizer: Vectorizer, path) -> None:
    """Write a vocabulary: vocab.txt, or what another tokenizer's `save` writes."""
    if not isinstance(vectorizer, Vectorizer):
        return vectorizer.save(path)
    with replacing(path) as temporary:
        temporary.write_text("\n".join(vectorizer.get_vocabulary()), encoding="utf-8")


def load_vocabulary(path, sequence_length: int) -> Vectorizer:
    """Read back what `save_vocabulary` wrote; ClipError if it is no vocabulary."""
    path = Path(path)
    if not path.is_file():
        raise ClipError(f"{path}: no such vocabulary; it is saved beside the model.")
    if path.name in READERS:
        return READERS[path.name](path, sequence_length)
    if path.suffix == ".json":
        raise ClipError(
            f"{path}: no reader for this tokenizer; import clip_lib.towers first."
        )
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
    return Vectorizer(vocabulary=words[2:], output_sequence_length=sequence_length)


def vocabulary_fingerprint(vectorizer: Vectorizer) -> str:
    """Return a hash of the words in their order."""
    about = vectorizer.get_vocabulary(), getattr(vectorizer, "spelling", None)
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


def check_vocabulary(
    vectorizer: Vectorizer, path, model_file, known: int, fingerprint: str
) -> None:
    """Raise ClipError unless ``model_file`` was trained with the words of ``path``.

    The model knows ``known`` tokens, of a vocabulary with this fingerprint, or "".
    """
    size = vectorizer.vocabulary_size()
    if size != known or fingerprint not in ("", vocabulary_fingerprint(vectorizer)):
        raise ClipError(
            f"{path}: {size} words, but {model_file} was trained with {known} "
            "others, or in another order; they are not of the same training."
        )


def encode(vectorizer: Vectorizer, captions) -> np.ndarray:
    """Turn captions into token ids, int32 (captions, sequence_length).

    A text without a single word (only punctuation) becomes one [UNK]: the mean over no
    token at all would not be a number.
    """
    token_ids = np.array(vectorizer(_prepared(vectorizer, captions)), dtype="int32")
    token_ids[~token_ids.any(axis=1), 0] = 1
    return token_ids


def word_tokens(vectorizer: Vectorizer, texts) -> list[np.ndarray]:
    """Return the token ids of each text that stand for words, in order.

    Lone punctuation does not, nor do the marks of start, end and padding.
    """
    if not (texts := _prepared(vectorizer, texts)):
        return []
    silent = getattr(vectorizer, "silent_ids", [0])
    token_ids = np.asarray(vectorizer(texts))
    return [row[~np.isin(row, silent)] for row in token_ids]


def known_tokens(vectorizer: Vectorizer, texts) -> list[np.ndarray]:
    """Tell for each token of `word_tokens` whether the vocabulary knows it."""
    unknown = getattr(vectorizer, "unknown_id", 1)
    return [token_ids != unknown for token_ids in word_tokens(vectorizer, texts)]


def count_words(vectorizer: Vectorizer) -> int:
    """Return how many words, or pieces of words, the vocabulary knows."""
    marks = len(getattr(vectorizer, "silent_ids", [0])) + 1  # And [UNK].
    return vectorizer.vocabulary_size() - marks


def sort_words(vectorizer: Vectorizer, text: str) -> tuple[list[str], list[str]]:
    """Return the words of a text that the model knows, and those it never saw.

    Lone punctuation is in neither list.
    """
    words = clean(text).split() if isinstance(vectorizer, Vectorizer) else text.split()
    tokens = list(zip(words, known_tokens(vectorizer, words), strict=True))
    known = [word for word, is_known in tokens if is_known.any()]
    unknown = [word for word, is_known in tokens if len(is_known) and not any(is_known)]
    return known, unknown


def check_query(vectorizer: Vectorizer, text: str) -> None:
    """Raise ClipError for a query without a known word that means something.

    Function words ("the", "of") are in every caption: any answer would be arbitrary.
    """
    if not text.strip():
        raise ClipError("Empty query: expected a few English words.")
    known, _ = sort_words(vectorizer, text)
    if not any(word.lower() not in ENGLISH_STOP_WORDS for word in known):
        raise ClipError(
            f"{text!r}: not one word that means something is among the "
            f"{count_words(vectorizer)} that the model learned, the ranking would mean "
            "nothing."
        )
