"""Start from a pretrained CLIP: its encoders get new heads, CLIP its projections.

Ours lies in models/pretrained, see its README.
"""

import keras
from keras import layers

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset
from clip_lib.data.vocabulary import Vectorizer
from clip_lib.errors import ClipError
from clip_lib.models.clip import build_clip, without_head
from clip_lib.models.saving import PROJECTION, SCALE, split_encoders
from clip_lib.retrieval.search import MODEL_FILE, Clip


def load_pretrained(config: Config) -> Clip:
    """Load the pretrained CLIP, with its vocabulary.

    Args:
        config: Gives ``pretrained_dir``; empty: ours.

    Raises:
        ClipError: If there is none, or its vocabulary is another's.
    """
    return Clip.load(config.pretrained_path / MODEL_FILE)


def _expect(config: Config, name: str, found) -> None:
    if (expected := getattr(config, name)) != found:
        raise ClipError(
            f"{config.pretrained_path / MODEL_FILE}: trained with {name} = {found}, "
            f"not {expected}; expected the sizes of the preset fine-tuning."
        )


def pretrained_vocabulary(captions, config: Config) -> Vectorizer:
    """Load the vocabulary of the pretrained CLIP; ``captions`` are not read.

    Raises:
        ClipError: See `load_pretrained`; or if its texts are of another length.
    """
    clip = load_pretrained(config)
    _expect(config, "sequence_length", clip.text_encoder.input.shape[1])
    return clip.vectorizer


def _with_new_head(features: keras.Model, config: Config, dataset, dropout, name):
    keras.utils.set_random_seed(config.seed)
    outputs = layers.Dropout(dropout)(features.output)
    # Small, as in the CNN: a usual start would drown what a short training finds.
    small = keras.initializers.TruncatedNormal(stddev=0.001)
    num_classes = max(1, len(dataset.class_names))
    outputs = layers.Dense(
        num_classes, activation="softmax", kernel_initializer=small, name="label"
    )(outputs)
    return keras.Model(features.input, outputs, name=name)


def pretrained_image_classifier(dataset: Dataset, config: Config) -> keras.Model:
    """Put a new head on the frozen, pretrained image encoder.

    Args:
        dataset: Gives the labels.
        config: Gives ``pretrained_dir``, ``image_size``, ``embed_dim`` and ``seed``.

    Returns:
        Model from images (B, height, width, 3) to probabilities (B, num_classes).

    Raises:
        ClipError: See `load_pretrained`; or if its images are of another size. With
            ``pretrained_dir`` also if its embeddings are of another width: nothing is
            trained first.
    """
    clip = load_pretrained(config)
    _expect(config, "image_size", clip.image_size)
    if config.pretrained_dir:
        _expect(config, "embed_dim", clip.width)
    body = without_head(clip.image_encoder, frozen=True)
    return _with_new_head(body, config, dataset, 0.5, "image_classifier")


def pretrained_text_classifier(dataset: Dataset, vectorizer, config: Config):
    """Put a new head on the frozen, pretrained text encoder.

    Returns:
        Model from token ids (B, sequence_length) to probabilities (B, num_classes).
    """
    body = without_head(load_pretrained(config).text_encoder, frozen=True)
    return _with_new_head(body, config, dataset, config.dropout, "text_classifier")


def pretrained_clip(image_features, text_features, config: Config) -> keras.Model:
    """Build a CLIP that starts from the pretrained projections; see `build_clip`.

    An encoder with features of another width keeps a random projection.
    """
    start = load_pretrained(config)
    clip = build_clip(image_features, text_features, config)
    sources = start.image_encoder, start.text_encoder
    for source, target in zip(sources, split_encoders(clip), strict=True):
        for layer in source.layers:
            if layer.name in (PROJECTION, SCALE):
                own = target.get_layer(layer.name)
                if [w.shape for w in own.weights] == [w.shape for w in layer.weights]:
                    own.set_weights(layer.get_weights())
    return clip
