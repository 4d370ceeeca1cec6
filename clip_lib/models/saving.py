"""A CLIP as a file, and the names of its parts."""

import tempfile
import zipfile
from pathlib import Path

import keras

from clip_lib.atomic import replacing
from clip_lib.errors import ClipError, first_line

# Loading needs the layers of our own to be known.
from clip_lib.models import contrastive_loss as losses  # noqa: F401
from clip_lib.models import second_order_pooling as second_order  # noqa: F401

IMAGE_ENCODER = "image_encoder"
TEXT_ENCODER = "text_encoder"
HIDDEN = "hidden_features"
"""The layer that hides some image features in training; those before may be locked."""
PROJECTION, SCALE = "projection", "one_scale"


def split_encoders(clip: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Return the image encoder and the text encoder: models that stand on their own."""
    return clip.get_layer(IMAGE_ENCODER), clip.get_layer(TEXT_ENCODER)


def save_model(model: keras.Model, path) -> Path:
    """Save a model as ``.keras``, whole or not at all; return its path."""
    with replacing(path) as temporary:
        model.save(temporary)
    return Path(path)


def save_small(model: keras.Model, path) -> Path:
    """Save a model as `save_model` does, in about half the bytes, to be handed on.

    Its weights are rounded to 16 bits, as is usual for weights that are only read: the
    zeros that stand in for the other 16 are deflated. Any Keras reads the file.
    """
    small = keras.models.clone_model(model)
    small.set_weights([w.astype("float16") for w in model.get_weights()])
    with replacing(path) as temporary, tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "model.keras"
        small.save(whole)
        with (
            zipfile.ZipFile(whole) as source,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as target,
        ):
            for name in source.namelist():
                target.writestr(name, source.read(name))
    return Path(path)


def load_clip(path) -> keras.Model:
    """Load a CLIP saved by this project.

    Raises:
        ClipError: If there is no such file, or it is not a CLIP of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise ClipError(f"{path}: no such model; `make run` trains one.")
    try:
        clip = keras.saving.load_model(path, compile=False)
        split_encoders(clip)
        clip.get_layer("contrastive_loss")
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ClipError(
            f"{path}: not a CLIP saved by this project ({first_line(error)})."
        ) from error
    return clip
