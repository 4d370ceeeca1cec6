"""A CLIP that answers without TensorFlow, which takes most of the start-up time.

At first use both encoders of a ``.keras`` file are converted to LiteRT and kept in the
user's cache directory, under the checksum of the model and its vocabulary: a file that
has changed since is another model. What is damaged there is made anew.
"""

import dataclasses
import functools
import hashlib
import json
import os
import sys
import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from clip_lib.atomic import replacing
from clip_lib.config import VOCABULARY_FILE
from clip_lib.data.vocabulary import Vectorizer, load_vocabulary
from clip_lib.errors import first_line, without_stderr
from clip_lib.retrieval.index import in_cache
from clip_lib.retrieval.search import Clip, settings_beside

TOLERANCE = 1e-4
"""An encoder that differs more from Keras' is not used."""
KEPT = 8
"""Models whose encoders are kept, the newest: each training makes another one."""
ABOUT, IMAGES, TEXTS = "about.json", "image_encoder.tflite", "text_encoder.tflite"


class Encoder:
    """An encoder run by LiteRT: what a `Clip` asks of a Keras model.

    Rows are computed one by one: the vector of a picture does not depend on which
    others are computed with it, and many take no more memory than one.

    Args:
        model: Content of a ``.tflite`` file for one row.
        input_shape, output_shape: As of a Keras model: None, then those of a row.
    """

    def __init__(self, model: bytes, input_shape, output_shape):
        self.input_shape, self.output_shape = tuple(input_shape), tuple(output_shape)
        self._model, self._lock = model, threading.Lock()

    @functools.cached_property
    def _interpreter(self) -> Interpreter:
        with without_stderr():  # It tells how it computes.
            made = Interpreter(model_content=self._model, num_threads=os.cpu_count())
            made.allocate_tensors()
        return made

    def predict_on_batch(self, batch) -> np.ndarray:
        """Return the unit vectors (B, D) of images or token ids (B, ...)."""
        outputs = np.empty((len(batch), *self.output_shape[1:]), "float32")
        with self._lock:  # The search page answers several visitors at a time.
            run = self._interpreter
            (given,), (made,) = run.get_input_details(), run.get_output_details()
            for row, output in zip(batch, outputs, strict=True):
                run.set_tensor(given["index"], row[None].astype(given["dtype"]))
                run.invoke()
                output[:] = run.get_tensor(made["index"])[0]
        return outputs


@dataclasses.dataclass(frozen=True)
class ConvertedClip(Clip):
    """A `Clip` whose encoders LiteRT runs; indexes of the Keras model fit it.

    Attributes:
        fingerprint: That of the Keras model.
    """

    fingerprint: str = ""


def open_clip(model_file) -> Clip:
    """Load a CLIP that answers queries, in a fraction of the time of `Clip.load`.

    Its first use takes longer, and says so. Where the encoders cannot be converted or
    kept (a text encoder with a tokenizer of its own, a full disk), Keras runs them.

    Raises:
        ClipError: See `Clip.load`.
    """
    model_file = Path(model_file)
    vocabulary = model_file.with_name(VOCABULARY_FILE)
    if not (model_file.is_file() and vocabulary.is_file()):
        return Clip.load(model_file)  # It names what is missing.
    content = hashlib.sha256(model_file.read_bytes())
    content.update(vocabulary.read_bytes())
    path = in_cache(f"encoders_{content.hexdigest()[:32]}.zip")
    if not (clip := _read(path, model_file)):
        clip = Clip.load(model_file)
        if isinstance(clip.vectorizer, Vectorizer):
            about = "preparing this model for quick starts, once"
            print(f"{model_file}: {about}", file=sys.stderr, flush=True)
            _keep(clip, path)
            # From the first use on: Keras is not safe in several threads.
            clip = _read(path, model_file) or clip
    return clip


def _read(path: Path, model_file: Path) -> Clip | None:
    """Read converted encoders; None if they are missing or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read(ABOUT))
            images = Encoder(archive.read(IMAGES), *about["image_shapes"])
            texts = Encoder(archive.read(TEXTS), *about["text_shapes"])
        vocabulary = model_file.with_name(VOCABULARY_FILE)
        return ConvertedClip(
            images,
            texts,
            load_vocabulary(vocabulary, texts.input_shape[1]),
            about["temperature"],
            settings_beside(model_file),
            about["fingerprint"],
        )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
        return None


def _keep(clip: Clip, path: Path) -> None:
    """Convert the encoders of a Keras CLIP and write them; a failure is only said."""
    about = {"fingerprint": clip.fingerprint, "temperature": clip.temperature}
    about["image_shapes"] = clip.image_encoder.input_shape, (None, clip.width)
    about["text_shapes"] = clip.text_encoder.input_shape, (None, clip.width)
    words = clip.vectorizer.vocabulary_size()
    try:
        # Opened first: where nothing can be written, nothing is converted.
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            archive.writestr(ABOUT, json.dumps(about))
            archive.writestr(IMAGES, convert(clip.image_encoder, 256))
            archive.writestr(TEXTS, convert(clip.text_encoder, words))
        kept = sorted(path.parent.glob("encoders_*.zip"), key=os.path.getmtime)
        for old in kept[:-KEPT]:
            old.unlink(missing_ok=True)
    except Exception as error:  # The converter raises nearly anything.
        print(
            f"{path}: not kept, Keras answers ({first_line(error)})",
            file=sys.stderr,
        )


def convert(encoder, values: int) -> bytes:
    """Convert a Keras encoder to LiteRT, for one row at a time.

    Args:
        encoder: Model from (B, ...) to unit vectors (B, D).
        values: Its inputs are whole numbers from 0 to below this.

    Returns:
        Content of a ``.tflite`` file.

    Raises:
        RuntimeError: If it computes something else than Keras does.
    """
    import tensorflow as tf

    row = tf.TensorSpec((1, *encoder.input_shape[1:]), encoder.input.dtype)
    call = tf.function(lambda inputs: encoder(inputs, training=False))
    with without_stderr():
        # `encoder.export(format="litert")` does the same by way of a SavedModel, which
        # takes four times as long.
        function = call.get_concrete_function(row)
        model = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    random, size = np.random.default_rng(0), (4, *encoder.input_shape[1:])
    batch = random.integers(0, values, size).astype(encoder.input.dtype)
    batch[0, len(batch[0]) // 2 :] = 0  # Padding, for a text.
    converted = Encoder(model, encoder.input_shape, encoder.output_shape)
    outputs = converted.predict_on_batch(batch), encoder.predict_on_batch(batch)
    difference = float(np.abs(np.subtract(*outputs)).max())
    if not difference < TOLERANCE:
        raise RuntimeError(f"{encoder.name}: differs from Keras by {difference:.1e}")
    return model
