"""Start from a pretrained CLIP: its encoders get new heads, CLIP its projections.

Ours lies in models/pretrained, see its README.
"""

import keras
from keras import layers

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset
from clip_lib.data.vocabulary import Vectorizer, check_vocabulary, load_vocabulary
from clip_lib.errors import ClipError
from clip_lib.models.clip import build_clip, without_head
from clip_lib.models.saving import LOSS, PROJECTION, SCALE, load_clip, split_encoders

MODEL = Config().clip_file.name


def load_pretrained(config: Config) -> keras.Model:
    """Load the pretrained CLIP.

    Args:
        config: Gives ``pretrained_dir`` and the sizes that it must have.

    Raises:
        ClipError: If there is none, or its images, texts or embeddings are of other
            sizes than ``config`` says.
    """
    path = config.pretrained_path / MODEL
    clip = load_clip(path)
    image_encoder, text_encoder = split_encoders(clip)
    for name, expected, found in (
        ("image_size", config.image_size, image_encoder.input.shape[1:3]),
        ("sequence_length", config.sequence_length, text_encoder.input.shape[1]),
        ("embed_dim", config.embed_dim, text_encoder.output.shape[1]),
    ):
        if expected != found:
            raise ClipError(
                f"{path}: trained with {name} = {found}, not {expected}; expected the "
                "sizes of the preset fine-tuning."
            )
    return clip


def pretrained_vocabulary(captions, config: Config) -> Vectorizer:
    """Load the vocabulary of the pretrained CLIP; ``captions`` are not read.

    Raises:
        ClipError: If it is missing, or not the one of the weights.
    """
    clip = load_pretrained(config)
    _, encoder = split_encoders(clip)
    path = config.pretrained_path / config.vocabulary_file.name
    vectorizer = load_vocabulary(path, config.sequence_length)
    known = encoder.get_layer("embedding").token_embedding.input_dim
    about = config.pretrained_path / MODEL, known, clip.get_layer(LOSS).vocabulary
    check_vocabulary(vectorizer, path, *about)
    return vectorizer


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
    encoder, _ = split_encoders(load_pretrained(config))
    keras.utils.set_random_seed(config.seed)
    body = without_head(encoder, frozen=True)
    projection = layers.Dense(config.embed_dim, trainable=False, name=PROJECTION)
    embedding = layers.UnitNormalization()(projection(body.output))
    projection.set_weights(encoder.get_layer(PROJECTION).get_weights())
    # Both get unit length, so that neither dominates, times a factor that brings their
    # values to about 1, which the head learns from at a usual rate.
    scale = config.embed_dim**0.5
    both = layers.Concatenate()(
        [
            layers.Rescaling(scale / body.output.shape[-1] ** 0.5)(body.output),
            layers.Rescaling(scale)(embedding),
        ]
    )
    return _with_new_head(body, both, config, dataset, "image_classifier")


def pretrained_text_classifier(dataset: Dataset, vectorizer, config: Config):
    """Put a new head on the pretrained SmallBERT, which is trained further.

    Returns:
        Model from token ids (B, sequence_length) to probabilities (B, num_classes).
    """
    _, encoder = split_encoders(load_pretrained(config))
    keras.utils.set_random_seed(config.seed)
    body = without_head(encoder)
    contexts = body.output[:, config.embed_dim :]
    return _with_new_head(body, contexts, config, dataset, "text_classifier")


def pretrained_clip(image_features, text_features, config: Config) -> keras.Model:
    """Build a CLIP that starts from the pretrained projections; see `build_clip`.

    An encoder with features of another width keeps a random projection.
    """
    clip = build_clip(image_features, text_features, config)
    pairs = zip(
        split_encoders(load_pretrained(config)), split_encoders(clip), strict=True
    )
    for source, target in pairs:
        names = {layer.name for layer in source.layers} & {PROJECTION, SCALE}
        for name in names:
            here, there = target.get_layer(name), source.get_layer(name)
            if [w.shape for w in here.weights] == [w.shape for w in there.weights]:
                here.set_weights(there.get_weights())
    return clip
