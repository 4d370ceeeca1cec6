"""DistilBERT in place of SmallBERT: the same classifier around a pretrained network."""

import json

import keras
import keras_nlp
from keras import layers, ops

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset
from clip_lib.errors import ClipError, first_line
from clip_lib.towers.word_pieces import WordPieces, checkpoint_folder

DISTILBERT = "distilbert"


def build_distilbert_classifier(
    dataset: Dataset, vectorizer: WordPieces, config: Config
) -> keras.Model:
    """Build a classifier on DistilBERT, which is frozen.

    Source: Sanh et al. 2019, *DistilBERT, a distilled version of BERT*.

    Args:
        config: Gives ``text_weights``, ``sequence_length`` and ``dropout``.
        vectorizer: The tokenizer of the same checkpoint.
        dataset: Gives the labels.

    Returns:
        Model from token ids (B, sequence_length), 0 = padding, to probabilities
        (B, num_classes). Its ``features`` are the mean of the last hidden states over
        the real tokens, [CLS] and [SEP] included.

    Raises:
        ClipError: If the checkpoint cannot be had or read, or does not fit.
    """
    keras.utils.set_random_seed(config.seed)
    num_classes = max(1, len(dataset.class_names))
    network = load_network(config, vectorizer)
    network.trainable = False
    text_input = keras.Input(
        (config.sequence_length,), dtype="int32", name="text_input"
    )
    mask = ops.not_equal(text_input, 0)
    outputs = network(
        {"token_ids": text_input, "padding_mask": ops.cast(mask, "int32")}
    )
    outputs = layers.GlobalAveragePooling1D(name="features")(outputs, mask=mask)
    outputs = layers.Dropout(config.dropout)(outputs)
    outputs = layers.Dense(num_classes, activation="softmax", name="label")(outputs)
    return keras.Model(text_input, outputs, name="text_classifier")


def load_network(config: Config, vectorizer: WordPieces) -> keras.Model:
    """Load DistilBERT from a checkpoint of Hugging Face.

    Args:
        config, vectorizer: As for `build_distilbert_classifier`.

    Returns:
        Model from ``{"token_ids", "padding_mask"}``, each (B, length), to hidden states
        (B, length, width).

    Raises:
        ClipError: If the checkpoint cannot be had or read, or does not fit.
    """
    folder = checkpoint_folder(config.text_weights)
    path = folder / "config.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        for name, value, reason in (
            ("model_type", DISTILBERT, "the one that is built here"),
            ("activation", "gelu", "the one that KerasHub builds"),
            ("pad_token_id", 0, "as for the tokenizer"),
            ("vocab_size", vectorizer.vocabulary_size(), "as many as the tokenizer's"),
        ):
            if about.get(name, value) != value:
                raise ClipError(
                    f"{name} is {about[name]!r}; expected {value!r}, {reason}"
                )
        if config.sequence_length > about["max_position_embeddings"]:
            raise ClipError(
                f"it reads {about['max_position_embeddings']} tokens at most; expected "
                f"at least sequence_length = {config.sequence_length}"
            )
    except (ValueError, KeyError, AttributeError) as error:
        raise ClipError(f"{path}: {error}.") from error
    try:
        return keras_nlp.models.DistilBertBackbone.from_preset(
            str(folder), name=DISTILBERT
        )
    except Exception as error:  # Of KerasHub, safetensors or Keras, each its own.
        raise ClipError(
            f"{folder / 'model.safetensors'}: not the weights of the DistilBERT that "
            f"config.json beside it describes ({first_line(error)})."
        ) from error
