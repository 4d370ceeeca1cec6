"""DistilBERT's tokens: pieces of words, by the tokenizer of its checkpoint."""

import json
import os
import re
from pathlib import Path

import numpy as np

from clip_lib.atomic import replacing
from clip_lib.config import Config
from clip_lib.data.vocabulary import READERS
from clip_lib.errors import ClipError, first_line

NEEDED = (("config.json",), ("model.safetensors",), ("vocab.txt", "tokenizer.json"))
"""Files of a checkpoint in the format of Hugging Face, one of each group at least."""
READ = ["tokenizer_config.json", *sum(NEEDED, ())]
_SILENT = re.compile(r"[!-/:-@\[-`{-~]*|\[(PAD|CLS|SEP|MASK|unused\d+)\]")
"""Tokens that stand for no word: ASCII punctuation, and marks that no text holds."""


def _transformers():
    # It would say at each start that it finds no PyTorch, which nothing here needs.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    try:
        import huggingface_hub
        from transformers import DistilBertTokenizerFast
    except ImportError as error:
        raise ClipError(
            "DistilBERT needs transformers: pip install -r requirements-distilbert.txt"
        ) from error
    return huggingface_hub, DistilBertTokenizerFast


def checkpoint_folder(text_weights: str, download: bool = True) -> Path:
    """Find a checkpoint: a folder, or a name, kept or else downloaded from the hub.

    Args:
        text_weights: A folder in the format of Hugging Face, or a name such as
            ``distilbert/distilbert-base-uncased``.
        download: Whether to ask the hub for what is not on this machine.

    Returns:
        A folder on this machine.

    Raises:
        ClipError: If there is none, or files are missing in it.
    """
    folder = Path(text_weights)
    if not folder.is_dir():
        hub, _ = _transformers()
        try:
            # All at once, and first of all: this call alone fails without retries,
            # and without the network the tokenizer would come back without words.
            options = {"allow_patterns": READ, "local_files_only": not download}
            folder = Path(hub.snapshot_download(text_weights, **options))
        except Exception as error:  # Of the network, the hub, the disk, the name.
            raise ClipError(
                f"{text_weights}: no folder of this name, and the Hugging Face hub did "
                f"not give it ({first_line(error)}); name a local folder in "
                "text_weights, with config.json, model.safetensors and vocab.txt or "
                "tokenizer.json."
            ) from error
    for names in NEEDED:
        if not any((folder / name).is_file() for name in names):
            raise ClipError(f"{folder}: expected {' or '.join(names)} in it.")
    return folder


class WordPieces:
    """Texts to token ids, as `keras.layers.TextVectorization` does for SmallBERT.

    A text becomes [CLS], its pieces, [SEP]; it is cut or padded with 0 to one length.

    Args:
        tokenizer: A ``DistilBertTokenizerFast``.
        sequence_length: Tokens a text.
        source: The file or folder it comes from, to name it.

    Attributes:
        unknown_id: Id of [UNK], what holds no known piece.
        silent_ids: Ids of padding, marks and lone punctuation: they are no words.

    Raises:
        ClipError: If its ids are not 0 to n - 1, or 0 is not padding.
    """

    def __init__(self, tokenizer, sequence_length: int, source):
        self.tokenizer, self.sequence_length = tokenizer, sequence_length
        ids = tokenizer.get_vocab()
        self._words = sorted(ids, key=ids.get)
        if sorted(ids.values()) != list(range(len(ids))):
            raise ClipError(
                f"{source}: {len(ids)} tokens whose ids are not 0 to {len(ids) - 1}."
            )
        if tokenizer.pad_token_id != 0:
            raise ClipError(
                f"{source}: padding has id {tokenizer.pad_token_id}; expected 0, "
                "which the model takes for padding."
            )
        self.unknown_id = tokenizer.unk_token_id
        self.silent_ids = [ids[word] for word in ids if _SILENT.fullmatch(word)]

    def __call__(self, texts) -> np.ndarray:
        """Return token ids, int32 (texts, sequence_length)."""
        tokens = self.tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=self.sequence_length,
        )
        return np.array(tokens["input_ids"], "int32")

    def get_vocabulary(self) -> list[str]:
        """Return the tokens, by id."""
        return list(self._words)

    def vocabulary_size(self) -> int:
        """Return the number of token ids, padding and marks included."""
        return len(self._words)

    @property
    def spelling(self) -> dict:
        """What becomes of capitals and accents before the words are looked up."""
        return json.loads(self.tokenizer.backend_tokenizer.to_str())["normalizer"]

    def save(self, path) -> None:
        """Write all of it to one file, a ``tokenizer.json`` of Hugging Face."""
        # Not part of it, but left there by the last call.
        self.tokenizer.backend_tokenizer.no_padding()
        self.tokenizer.backend_tokenizer.no_truncation()
        with replacing(path) as temporary:
            self.tokenizer.backend_tokenizer.save(str(temporary))

    @classmethod
    def load(cls, path, sequence_length: int) -> "WordPieces":
        """Read back what `save` wrote.

        Raises:
            ClipError: If it is no such file, or transformers is not installed.
        """
        _, tokenizer_class = _transformers()
        try:
            # All as in the file, capitals and accents too.
            tokenizer = tokenizer_class(tokenizer_file=str(path))
        except Exception as error:  # The tokenizers library raises nothing narrower.
            reason = first_line(error)
            raise ClipError(f"{path}: not a tokenizer ({reason}).") from error
        return cls(tokenizer, sequence_length, path)

    @classmethod
    def from_checkpoint(cls, folder: Path, sequence_length: int) -> "WordPieces":
        """Read the tokenizer of a checkpoint.

        Raises:
            ClipError: If it cannot be read, its files disagree, or transformers is not
                installed.
        """
        _, tokenizer_class = _transformers()
        try:
            tokenizer = tokenizer_class.from_pretrained(
                str(folder), local_files_only=True
            )
        except Exception as error:  # The tokenizers library raises nothing narrower.
            reason = first_line(error)
            raise ClipError(f"{folder}: no tokenizer in it ({reason}).") from error
        pieces = cls(tokenizer, sequence_length, folder)
        words, whole = folder / "vocab.txt", folder / "tokenizer.json"
        if words.is_file():
            lines = words.read_text(encoding="utf-8", errors="replace").split("\n")
            lines = lines[:-1] if lines[-1] == "" else lines
            if lines != pieces.get_vocabulary():
                raise ClipError(
                    f"{words}: its lines are not the {pieces.vocabulary_size()} tokens "
                    "of the tokenizer, in their order: it lacks a mark such as [MASK], "
                    "or tokenizer.json beside it says otherwise."
                )
        if whole.is_file():
            spelling = json.loads(whole.read_text(encoding="utf-8")).get("normalizer")
            if spelling != pieces.spelling:
                raise ClipError(
                    f"{whole}: treats capitals and accents otherwise ({spelling}) than "
                    f"tokenizer_config.json beside it ({pieces.spelling})."
                )
        return pieces


def pretrained_tokenizer(captions, config: Config) -> WordPieces:
    """Load the tokenizer of a checkpoint; ``captions`` are not read.

    Args:
        config: Gives ``text_weights`` and ``sequence_length``.

    Raises:
        ClipError: If it cannot be had, see `checkpoint_folder`.
    """
    folder = checkpoint_folder(config.text_weights)
    return WordPieces.from_checkpoint(folder, config.sequence_length)


READERS["tokenizer.json"] = WordPieces.load
