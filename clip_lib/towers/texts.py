"""A pretrained text encoder in place of SmallBERT: any network of the BERT family.

Its checkpoint, in the format of Hugging Face, brings weights and tokenizer, which cuts
words into pieces: DistilBERT, BERT, and what was made from them, such as MiniLM.
"""

from clip_lib import silence_tensorflow  # noqa: F401

# isort: split
import json
import os
import re
import sys
from pathlib import Path

import keras
import keras_nlp
import numpy as np
from keras import layers, ops

from clip_lib.atomic import replacing
from clip_lib.config import TOKENIZER_FILE, Config
from clip_lib.data.dataset import Dataset
from clip_lib.errors import ClipError, first_line

CHECKPOINTS = {"distilbert": "distilbert/distilbert-base-uncased"}
"""Text encoders that have a short name."""
BERT = "bert"
"""Name of the network among the layers of a text classifier."""
NEEDED = ("config.json", "model.safetensors", TOKENIZER_FILE)
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
            "A pretrained text encoder needs transformers: "
            f"{sys.executable} -m pip install -r requirements-distilbert.txt"
        ) from error
    return huggingface_hub, DistilBertTokenizerFast


def checkpoint_folder(text_encoder: str, download: bool = True) -> Path:
    """Return the folder of a checkpoint, downloaded from the hub if need be.

    Args:
        text_encoder: "distilbert", a name on the hub, or a folder.
        download: Whether to ask the hub for what is not on this machine.

    Raises:
        ClipError: If there is none, or a file is missing in it.
    """
    name = CHECKPOINTS.get(text_encoder, text_encoder)
    folder = Path(name)
    if not folder.is_dir():
        hub, _ = _transformers()
        try:
            # All at once, and first of all: this call alone fails without retries.
            options = {"allow_patterns": NEEDED, "local_files_only": not download}
            folder = Path(hub.snapshot_download(name, **options))
        except Exception as error:  # Of the network, the hub, the disk, the name.
            raise ClipError(
                f"{name}: no folder of this name, and the Hugging Face hub did not "
                f"give it ({first_line(error)}); name a local folder in text_encoder, "
                f"with {', '.join(NEEDED)}."
            ) from error
    for file in NEEDED:
        if not (folder / file).is_file():
            raise ClipError(f"{folder}: expected {file} in it.")
    return folder.resolve()


class WordPieces:
    """Texts to token ids, as `Vectorizer` does for SmallBERT.

    A text becomes [CLS], its pieces, [SEP]; it is cut or padded with 0 to one length.

    Args:
        path: A ``tokenizer.json`` that is there.
        sequence_length: Tokens a text.

    Attributes:
        unknown_id: Id of [UNK], what holds no known piece.
        silent_ids: Ids of padding, marks and lone punctuation: they are no words.

    Raises:
        ClipError: If it is no tokenizer, padding is not 0, or transformers is not
            installed.
    """

    def __init__(self, path, sequence_length: int):
        # The tokenizer of DistilBERT is that of BERT.
        _, tokenizer_class = _transformers()
        try:
            self.tokenizer = tokenizer_class(tokenizer_file=str(path))
        except Exception as error:  # The tokenizers library raises nothing narrower.
            reason = first_line(error)
            raise ClipError(f"{path}: not a tokenizer ({reason}).") from error
        self.sequence_length = sequence_length
        ids = self.tokenizer.get_vocab()
        self._words = sorted(ids, key=ids.get)
        padding = self.tokenizer.pad_token_id
        if sorted(ids.values()) != list(range(len(ids))) or padding != 0:
            raise ClipError(
                f"{path}: padding is {padding}; expected 0, in {len(ids)} tokens whose "
                f"ids are 0 to {len(ids) - 1}."
            )
        self.unknown_id = self.tokenizer.unk_token_id
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

    def split(self, text: str) -> list[str]:
        """Return the words of a text, which may each be several tokens."""
        return text.split()

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


def load_tokenizer(captions, config: Config) -> WordPieces:
    """Load the tokenizer of ``config.text_encoder``; ``captions`` are not read."""
    folder = checkpoint_folder(config.text_encoder)
    return WordPieces(folder / TOKENIZER_FILE, config.sequence_length)


def build_bert_classifier(
    dataset: Dataset, vectorizer: WordPieces, config: Config
) -> keras.Model:
    """Build a classifier on a pretrained text encoder, which is frozen.

    Sources: Devlin et al. 2019, *BERT*; Sanh et al. 2019, *DistilBERT, a distilled
    version of BERT*.

    Args:
        dataset: Gives the labels.
        vectorizer: The tokenizer of the same checkpoint.
        config: Gives ``text_encoder``, ``sequence_length`` and ``dropout``.

    Returns:
        Model from token ids (B, sequence_length), 0 = padding, to probabilities
        (B, num_classes). Its ``features`` are the mean of the last hidden states over
        the real tokens, [CLS] and [SEP] included.

    Raises:
        ClipError: If the checkpoint cannot be had or read, or does not fit.
    """
    keras.utils.set_random_seed(config.seed)
    network = load_network(config, vectorizer)
    network.trainable = False
    text_input = keras.Input(
        (config.sequence_length,), dtype="int32", name="text_input"
    )
    mask = ops.not_equal(text_input, 0)
    inputs = {"token_ids": text_input, "padding_mask": ops.cast(mask, "int32")}
    if "segment_ids" in network.input:  # BERT: which of two sentences a token is of.
        inputs["segment_ids"] = ops.zeros_like(text_input)
    outputs = network(inputs)
    if isinstance(outputs, dict):
        outputs = outputs["sequence_output"]
    outputs = layers.GlobalAveragePooling1D(name="features")(outputs, mask=mask)
    outputs = layers.Dropout(config.dropout)(outputs)
    num_classes = max(1, len(dataset.class_names))
    outputs = layers.Dense(num_classes, activation="softmax", name="label")(outputs)
    return keras.Model(text_input, outputs, name="text_classifier")


def load_network(config: Config, vectorizer: WordPieces) -> keras.Model:
    """Load the network of a checkpoint.

    KerasHub computes BERT's GELU by its approximation, as the first BERT did: hidden
    states differ from those of PyTorch by some thousandths.

    Returns:
        Model from ``{"token_ids", "padding_mask"}``, each (B, length), and BERT's
        ``segment_ids``, to hidden states (B, length, width).
    """
    folder = checkpoint_folder(config.text_encoder)
    try:
        about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        network = keras_nlp.models.Backbone.from_preset(str(folder), name=BERT)
    except Exception as error:  # Of KerasHub, safetensors or Keras, each its own.
        raise ClipError(
            f"{folder}: expected config.json and model.safetensors of one bert or "
            f"distilbert ({first_line(error)})."
        ) from error
    kind = about["model_type"], about.get("hidden_act", about.get("activation"))
    size, known = network.vocabulary_size, vectorizer.vocabulary_size()
    longest, length = network.max_sequence_length, config.sequence_length
    if kind not in (("bert", "gelu"), ("distilbert", "gelu")):
        raise ClipError(f"{folder}: {kind}; expected a bert or distilbert with gelu.")
    if size != known or longest < length:
        raise ClipError(
            f"{folder}: {size} tokens, {longest} a text; expected {known}, as many as "
            f"its tokenizer has, and at least sequence_length = {length} a text."
        )
    return network
