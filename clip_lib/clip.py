"""CLIP: two encoders, one space."""

import zipfile
from pathlib import Path

import keras
from keras import layers

from clip_lib.atomic import replacing
from clip_lib.config import Config
from clip_lib.losses import ContrastiveLoss

IMAGE_ENCODER = "image_encoder"
TEXT_ENCODER = "text_encoder"


def build_encoder(features: keras.Model, embed_dim: int, name: str) -> keras.Model:
    """Project features into the common space, on the unit sphere.

    Args:
        features: Model that returns feature vectors (B, width).
        embed_dim: Width of the common space.
        name: Name of the encoder.

    Returns:
        Model that returns unit vectors (B, embed_dim). The normalisation is inside, so
        that training, search and the reloaded file share one geometry.
    """
    outputs = layers.Dense(embed_dim, name="projection")(features.output)
    outputs = layers.UnitNormalization(name="unit_length")(outputs)
    return keras.Model(features.input, outputs, name=name)


def build_clip(
    image_features: keras.Model, text_features: keras.Model, config: Config
) -> keras.Model:
    """Join the two encoders with the contrastive loss.

    Args:
        image_features, text_features: Classifiers without their heads.
        config: Gives ``embed_dim``, ``temperature`` and ``label_smoothing``.

    Returns:
        Model from ``{"image_input", "text_input"}`` to (image_embeddings,
        text_embeddings), each (B, embed_dim), which carries its own loss: ``compile``
        needs none.
    """
    keras.utils.set_random_seed(config.seed)  # The projections start at random.
    image_encoder = build_encoder(image_features, config.embed_dim, IMAGE_ENCODER)
    text_encoder = build_encoder(text_features, config.embed_dim, TEXT_ENCODER)
    image_input = keras.Input(image_encoder.input.shape[1:], name="image_input")
    text_input = keras.Input(
        text_encoder.input.shape[1:], dtype="int32", name="text_input"
    )
    embeddings = ContrastiveLoss(
        config.temperature, config.label_smoothing, name="contrastive_loss"
    )([image_encoder(image_input), text_encoder(text_input)])
    inputs = {"image_input": image_input, "text_input": text_input}
    return keras.Model(inputs, embeddings, name="clip")


def split_encoders(clip: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Return the image encoder and the text encoder: models that stand on their own."""
    return clip.get_layer(IMAGE_ENCODER), clip.get_layer(TEXT_ENCODER)


def save_model(model: keras.Model, path) -> Path:
    """Save a model as ``.keras``, whole or not at all; return its path."""
    with replacing(path) as temporary:
        model.save(temporary)
    return Path(path)


def load_clip(path) -> keras.Model:
    """Load a CLIP saved by this project.

    Raises:
        ValueError: If there is no such file, or it is not a CLIP of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such model; `make run` trains one.")
    try:
        clip = keras.saving.load_model(path, compile=False)
        split_encoders(clip)
        clip.get_layer("contrastive_loss")
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0][:200]
        raise ValueError(
            f"{path}: not a CLIP saved by this project ({reason})."
        ) from error
    return clip
