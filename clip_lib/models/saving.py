"""Models as files: write, read back, and check that a fresh process reads them."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np

from clip_lib.atomic import replacing
from clip_lib.errors import ClipError, first_line

IMAGE_ENCODER = "image_encoder"
TEXT_ENCODER = "text_encoder"
LOSS = "contrastive_loss"
PROJECTION, SCALE = "projection", "one_scale"
"""Names of the parts of a CLIP. The last two are layers of its encoders: ``SCALE``
brings each text feature to variance 1."""
CHECKSUMS = "SHA256SUMS"
"""Beside weights that are handed on: what `sha256sum` prints of the files there."""


def split_encoders(clip: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Return the image encoder and the text encoder: each usable on its own."""
    names = IMAGE_ENCODER, TEXT_ENCODER
    return tuple(without_lists(clip.get_layer(name)) for name in names)


def without_lists(model: keras.Model) -> keras.Model:
    """Return a model whose input is a tensor, not the list of one of Keras 3.10."""
    if not isinstance(model.input, list):
        return model
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


def token_embedding(text_encoder: keras.Model) -> keras.layers.Embedding:
    """Return the layer of word vectors: SmallBERT's, or that of a nested network."""
    for layer in text_encoder.layers:
        layer = getattr(layer, "token_embedding", layer)
        if isinstance(layer, keras.layers.Embedding):
            return layer
    raise ValueError(f"{text_encoder.name}: no layer of word vectors.")


def save_model(model: keras.Model, path) -> Path:
    """Save a model as ``.keras``, whole or not at all; return its path."""
    with replacing(path) as temporary:
        model.save(temporary)
    return Path(path)


def check_sum(path) -> None:
    """Raise ClipError if the checksums beside a file name another one for it."""
    path = Path(path)
    sums = path.with_name(CHECKSUMS)
    text = sums.read_text(encoding="utf-8") if sums.is_file() else ""
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    names = {name.strip().lstrip("*"): digest for digest, name in lines}
    expected = names.get(path.name)
    if expected and hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise ClipError(
            f"{path}: not the file that {sums} names; `git checkout` restores it."
        )


def load_clip(path) -> keras.Model:
    """Load a CLIP saved by this project.

    Raises:
        ClipError: If there is no such file, or it is not such a CLIP.
    """
    path = Path(path)
    if not path.is_file():
        raise ClipError(f"{path}: no such model; `make run` trains one.")
    check_sum(path)
    try:
        clip = keras.saving.load_model(path, compile=False)
        split_encoders(clip)
        clip.get_layer(LOSS)
    # What Keras raises depends on the bytes that are damaged.
    except (
        *(ValueError, TypeError, KeyError, OSError, RuntimeError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        raise ClipError(
            f"{path}: not a CLIP saved by this project ({first_line(error)})."
        ) from error
    return clip


# What a user would write: importing clip_lib.models registers our layers.
_SCRIPT = """
import sys
import clip_lib.models, keras
import numpy as np

model = keras.saving.load_model(sys.argv[1], compile=False)
inputs = dict(np.load(sys.argv[2]))
inputs = inputs.get("array", inputs)
outputs = model.predict(inputs, verbose=0)
np.savez(sys.argv[3], *(outputs if isinstance(outputs, (list, tuple)) else [outputs]))
"""


def reload_difference(model: keras.Model, path, inputs) -> float:
    """Load a saved model in a new Python process and compare its outputs.

    Args:
        model: The model in memory.
        path: The ``.keras`` file it was saved to.
        inputs: A batch: an array, or input name -> array.

    Returns:
        Largest absolute difference between the outputs of the two models.

    Raises:
        RuntimeError: If the file does not load; the message ends with the error.
    """
    outputs = model.predict(inputs, verbose=0)
    if not isinstance(outputs, list | tuple):
        outputs = [outputs]
    with tempfile.TemporaryDirectory() as folder:
        given, returned = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        np.savez(given, **(inputs if isinstance(inputs, dict) else {"array": inputs}))
        process = subprocess.run(
            [sys.executable, "-c", _SCRIPT, Path(path).resolve(), given, returned],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        if process.returncode:
            raise RuntimeError(f"{path} does not reload:\n{process.stderr[-2000:]}")
        with np.load(returned) as arrays:
            again = [arrays[name] for name in arrays.files]
    return max(
        float(np.abs(one - other).max())
        for one, other in zip(outputs, again, strict=True)
    )
