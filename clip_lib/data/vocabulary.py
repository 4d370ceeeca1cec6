"""Captions to token ids: SmallBERT's vocabulary, and the words that it does not know.

It is learned from the training captions alone. ``vocab.txt`` holds one word a line, and
the number of the line is the token id: line 0 is padding (empty), line 1 ``[UNK]``, the
unknown word. Other text encoders bring a tokenizer of their own, see `READERS`.

Plain Python: a text is looked up without TensorFlow, which takes seconds to load.
"""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np

from clip_lib.atomic import replacing
from clip_lib.config import Config
from clip_lib.errors import ClipError

READERS = {}
"""Readers of other vocabulary files, by file name: (path, sequence_length) to a
tokenizer, which has what `Vectorizer` has, and may have a ``spelling`` (of capitals).
Whoever needs one adds it."""
_FUNCTION_WORDS = """
    a about above across after again against all along also am among an and another any
    are around as at away be been before behind being below beneath beside between
    beyond both but by can could did do does doing down during each either else every
    few for from had has have having he her here hers herself him himself his how i if
    in into is it its itself just many may me might mine more most much must my myself
    near neither no none nor not of off on one only onto or other others our ours
    ourselves out over own per same shall she should since so some such than that the
    their theirs them themselves then there these they this those through to too toward
    towards under until up upon us very was we were what when where whether which while
    who whom whose why will with within without would you your yours yourself yourselves
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""A query of these alone asks for nothing: they are in captions of every picture."""


def clean(text: str) -> str:
    """Return the words of a text in lower case, without punctuation and accents.

    Hyphens and slashes separate words, a possessive ``'s`` is dropped:
    ``The woman's black/white “dog”…`` becomes ``the woman black white dog``.
    """
    text = unicodedata.normalize("NFKD", text).lower().replace("\u2019", "'")
    text = re.sub(r"'s\b|['\u0300-\u036f]", "", text)
    return " ".join(re.findall(r"[^\W_]+", text))


class Vectorizer:
    """Texts to the numbers of their words, as `keras.layers.TextVectorization` has it.

    A word that is unknown counts as its singular or plural, if that is known.

    Args:
        words: The vocabulary from token id 2 on; 0 is padding, 1 the unknown word.
        sequence_length: Tokens a text, cut or padded; None: as many as the longest has.

    Attributes:
        unknown_id: Token id of an unknown word.
        silent_ids: Token ids that stand for no word.
    """

    unknown_id, silent_ids = 1, (0,)

    def __init__(self, words: list[str], sequence_length: int | None):
        self._words = ["", "[UNK]", *words]
        self._ids = {word: number for number, word in enumerate(words, start=2)}
        self.sequence_length = sequence_length

    def _id(self, word: str) -> int:
        forms = (word, word + "s", word + "es", word.removesuffix("s"))
        forms += (word.removesuffix("es"), re.sub("ies$", "y", word))
        return next(
            (self._ids[form] for form in forms if form in self._ids), self.unknown_id
        )

    def __call__(self, texts) -> np.ndarray:
        """Return token ids, int32 (texts, sequence_length)."""
        rows = [[self._id(word) for word in self.split(text)] for text in texts]
        length = self.sequence_length or max(map(len, rows), default=0) or 1
        token_ids = np.zeros((len(rows), length), "int32")
        for row, ids in zip(token_ids, rows, strict=True):
            row[: len(ids)] = ids[:length]
        return token_ids

    def split(self, text: str) -> list[str]:
        """Return the words of a text as they are looked up."""
        return clean(text).split()

    def get_vocabulary(self) -> list[str]:
        """Return the words, by token id."""
        return list(self._words)

    def vocabulary_size(self) -> int:
        """Return the number of token ids, padding and the unknown word included."""
        return len(self._words)

    def save(self, path) -> None:
        """Write ``vocab.txt``."""
        with replacing(path) as temporary:
            temporary.write_text("\n".join(self._words), encoding="utf-8")


def learn_vocabulary(captions, config: Config) -> Vectorizer:
    """Learn SmallBERT's vocabulary.

    Args:
        captions: Iterable of strings, training split only.
        config: Gives ``sequence_length`` and ``vocab_size`` (most words kept).
    """
    counts = Counter(chain.from_iterable(clean(text).split() for text in captions))
    # Among equals the last in the alphabet first, as Keras has it.
    words = sorted(counts, key=lambda word: (counts[word], word), reverse=True)
    return Vectorizer(words[: config.vocab_size - 2], config.sequence_length)


def load_vocabulary(path, sequence_length: int) -> Vectorizer:
    """Read back what `Vectorizer.save` wrote; ClipError if it is no vocabulary."""
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
    return Vectorizer(words[2:], sequence_length)


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
            "others, or in another order; use the vocabulary saved beside the model."
        )


def encode(vectorizer: Vectorizer, captions) -> np.ndarray:
    """Turn captions into token ids, int32 (captions, sequence_length).

    A text without a single word (only punctuation) becomes one [UNK]: the mean over no
    token at all would not be a number.
    """
    token_ids = vectorizer(captions)
    token_ids[~token_ids.any(axis=1), 0] = 1
    return token_ids


def word_tokens(vectorizer: Vectorizer, texts) -> list[np.ndarray]:
    """Return the token ids of each text that stand for words, in order.

    Lone punctuation does not, nor do the marks of start, end and padding.
    """
    if not (texts := list(texts)):
        return []
    return [row[~np.isin(row, vectorizer.silent_ids)] for row in vectorizer(texts)]


def known_tokens(vectorizer: Vectorizer, texts) -> list[np.ndarray]:
    """Tell for each token of `word_tokens` whether the vocabulary knows it."""
    unknown = vectorizer.unknown_id
    return [token_ids != unknown for token_ids in word_tokens(vectorizer, texts)]


def count_words(vectorizer: Vectorizer) -> int:
    """Return how many words, or pieces of words, the vocabulary knows."""
    return vectorizer.vocabulary_size() - len(vectorizer.silent_ids) - 1  # And [UNK].


def sort_words(vectorizer: Vectorizer, text: str) -> tuple[list[str], list[str]]:
    """Return the words of a text that the model knows, and those it never saw.

    Lone punctuation is in neither list.
    """
    words = vectorizer.split(text)
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
    words, length = vectorizer.split(text), vectorizer.sequence_length
    known, _ = sort_words(vectorizer, " ".join(words[:length]))
    if not any(word.lower() not in FUNCTION_WORDS for word in known):
        read = f" in the first {length}" if len(words) > (length or len(words)) else ""
        raise ClipError(
            f"{text!r}: none of its content words{read} is among the "
            f"{count_words(vectorizer)} that the model learned, so the ranking would "
            "mean nothing."
        )
