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
        config: Gives ``pretrained_dir`` and the sizes that it must have.

    Raises:
        ClipError: If there is none, its vocabulary is another's, or its images, texts
            or embeddings are of other sizes than ``config`` says.
    """
    path = config.pretrained_path / MODEL_FILE
    clip = Clip.load(path)
    for name, expected, found in (
        ("image_size", config.image_size, clip.image_size),
        ("sequence_length", config.sequence_length, clip.text_encoder.input.shape[1]),
        ("embed_dim", config.embed_dim, clip.text_encoder.output.shape[1]),
    ):
        if expected != found:
            raise ClipError(
                f"{path}: trained with {name} = {found}, not {expected}; expected the "
                "sizes of the preset fine-tuning."
            )
    return clip


def pretrained_vocabulary(captions, config: Config) -> Vectorizer:
    """Load the vocabulary of the pretrained CLIP; ``captions`` are not read."""
    return load_pretrained(config).vectorizer


def _with_new_head(features, outputs, config: Config, dataset: Dataset, name: str):
    outputs = layers.Dropout(config.dropout)(outputs)
    num_classes = max(1, len(dataset.class_names))
    outputs = layers.Dense(num_classes, activation="softmax", name="label")(outputs)
    return keras.Model(features.input, outputs, name=name)


def pretrained_image_classifier(dataset: Dataset, config: Config) -> keras.Model:
    """Put a new head on the frozen, pretrained image encoder.

    The head reads the features and their pretrained projection: the first are many and
    generic, the second few and shaped by thousands of captions.

    Returns:
        Model from images (B, height, width, 3) to probabilities (B, num_classes).
    """
    encoder = load_pretrained(config).image_encoder
    keras.utils.set_random_seed(config.seed)
    body = without_head(encoder, frozen=True)
    projection = layers.Dense(config.embed_dim, trainable=False, name=PROJECTION)
    embedding = layers.UnitNormalization()(projection(body.output))
    projection.set_weights(encoder.get_layer(PROJECTION).get_weights())
    # Both of unit length, so that neither dominates, times a factor that brings their
    # values to about 1, which the head learns from at a usual rate.
    features = layers.UnitNormalization()(body.output)
    both = layers.Concatenate()([features, embedding])
    both = layers.Rescaling(config.embed_dim**0.5)(both)
    return _with_new_head(body, both, config, dataset, "image_classifier")


def pretrained_text_classifier(dataset: Dataset, vectorizer, config: Config):
    """Put a new head on the pretrained SmallBERT, which is trained further.

    Returns:
        Model from token ids (B, sequence_length) to probabilities (B, num_classes).
    """
    encoder = load_pretrained(config).text_encoder
    keras.utils.set_random_seed(config.seed)
    body = without_head(encoder)
    contexts = body.output[:, config.embed_dim :]
    return _with_new_head(body, contexts, config, dataset, "text_classifier")


def pretrained_clip(image_features, text_features, config: Config) -> keras.Model:
    """Build a CLIP that starts from the pretrained projections; see `build_clip`.

    An encoder with features of another width keeps a random projection.
    """
    clip = build_clip(image_features, text_features, config)
    start = load_pretrained(config)
    sources = start.image_encoder, start.text_encoder
    for source, target in zip(sources, split_encoders(clip), strict=True):
        for layer in source.layers:
            if layer.name in (PROJECTION, SCALE):
                own = target.get_layer(layer.name)
                if [w.shape for w in own.weights] == [w.shape for w in layer.weights]:
                    own.set_weights(layer.get_weights())
    return clip
