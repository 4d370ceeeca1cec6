"""Streams of batches: pictures, captions, and matching pairs for CLIP.

Decoded pictures are cached *before* they are shuffled: each epoch draws new batches
(new negatives for CLIP), and rows that one epoch leaves over, because the last batch
would be short, are seen in another.
"""

from clip_lib import silence_tensorflow  # noqa: F401

# isort: split
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from clip_lib.data.images import load_image

CACHE_BYTES = 128_000_000
"""Decoded pictures are kept in memory up to this size, decoded each epoch beyond."""
FEATURE_INPUT = "feature_input"
"""Name of the input for cached features, in place of ``image_input``."""


def _shuffled(stream: tf.data.Dataset, training: bool, seed: int) -> tf.data.Dataset:
    """Shuffle a whole stream, anew each epoch, if it is for training."""
    return stream.shuffle(int(stream.cardinality()), seed) if training else stream


def _batched(stream: tf.data.Dataset, batch_size: int, training: bool):
    """Cut a stream into batches; in training, a short last one is dropped."""
    if training:
        batch_size = min(batch_size, int(stream.cardinality()))
    return stream.batch(batch_size, drop_remainder=training).prefetch(tf.data.AUTOTUNE)


def _pictures(columns, image_size, training, seed) -> tf.data.Dataset:
    """Stream rows of ``columns``, the first of which, a path, becomes a picture."""

    def load(path):
        return load_image(path.decode(), image_size)

    def decode(path, *others):
        image = tf.numpy_function(load, [path], tf.uint8)
        image = tf.ensure_shape(image, (*image_size, 3))
        return (image, *others) if others else image

    stream = tf.data.Dataset.from_tensor_slices(columns)
    kept = len(columns[0]) * np.prod(image_size) * 3 <= CACHE_BYTES
    if not kept:  # Shuffle the paths, or the shuffle would hold all the pictures.
        stream = _shuffled(stream, training, seed)
    stream = stream.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return _shuffled(stream.cache(), training, seed) if kept else stream


def image_batches(
    paths, image_size, batch_size=32, labels=None, training=False, seed=0
) -> tf.data.Dataset:
    """Stream pictures, with their labels if there are any.

    Args:
        paths: Picture files, N of them.
        image_size: Height and width in pixels.
        batch_size: Pictures per batch.
        labels: Label numbers (N,), or None.
        training: Whether to shuffle, anew each epoch, and to drop a short last batch.
        seed: Seed of the shuffles.

    Returns:
        Batches of images uint8 (B, height, width, 3), or pairs (images, labels (B,)).
    """
    columns = (list(paths),)
    if labels is not None:
        columns += (np.asarray(labels, "int32"),)
    stream = _pictures(columns, image_size, training, seed)
    return _batched(stream, batch_size, training)


def labelled_batches(inputs, labels, batch_size=32, training=False, seed=0):
    """Stream (inputs (B, ...), labels (B,)), such as token ids; see `image_batches`."""
    columns = (np.asarray(inputs), np.asarray(labels, "int32"))
    stream = tf.data.Dataset.from_tensor_slices(columns)
    return _batched(_shuffled(stream, training, seed), batch_size, training)


class CachedFeatures:
    """The output of a frozen encoder for pictures and their mirror images, on disk.

    It is the same in every epoch: computed once, it costs no memory that grows with the
    number of pictures. Row 2 i belongs to picture i, row 2 i + 1 to its mirror image.
    float16 halves the disk; its rounding of 0.05 % is far below the noise of training.

    Args:
        model: Images (B, height, width, 3), 0 to 255, to features of any rank (B, ...).
        paths: Picture files; a repeated one is stored once.
        image_size: Height and width in pixels.
        folder: Where the temporary file lies: 4 bytes per feature of a picture, for two
            views in float16.
    """

    def __init__(self, model: keras.Model, paths, image_size, folder):
        self.row_of = {path: 2 * n for n, path in enumerate(dict.fromkeys(paths))}
        Path(folder).mkdir(parents=True, exist_ok=True)
        batches = image_batches(list(self.row_of), image_size)
        told = {"delay": 2, "leave": False, "file": sys.stdout}  # Not in red.
        # Deleted when the mapping is, or with the process, even a killed one.
        with tempfile.TemporaryFile(dir=folder) as file:
            for images in tqdm(batches, "Features of the pictures", **told):
                both = map(model.predict_on_batch, (images, images[:, :, ::-1]))
                file.write(np.stack([*both], axis=1).astype("float16").tobytes())
            shape = (2 * len(self.row_of), *model.output.shape[1:])
            self.array = np.memmap(file, "float16", "r", shape=shape)

    def rows(self, paths) -> np.ndarray:
        """Return the row of each picture, int32 (N,)."""
        return np.array([self.row_of[path] for path in paths], "int32")

    def read(self, rows) -> np.ndarray:
        """Return the features of these rows, float32 (N, ...)."""
        return self.array[rows].astype("float32")

    def fill(self, batch: dict) -> dict:
        """Replace the rows in a batch of `pair_batches` by their features."""
        features = tf.numpy_function(self.read, [batch[FEATURE_INPUT]], tf.float32)
        features = tf.ensure_shape(features, (None, *self.array.shape[1:]))
        return batch | {FEATURE_INPUT: features}


def pair_batches(
    paths,
    token_ids,
    image_size,
    batch_size: int = 32,
    labels=None,
    training=False,
    seed=0,
    features: CachedFeatures | None = None,
) -> tf.data.Dataset:
    """Stream matching pairs for CLIP.

    A picture comes once an epoch, with one of its captions drawn at random: captions of
    one picture are never each other's negatives. Outside training it is always the same
    one, the first of its rows.

    Args:
        paths: Picture files, one a row; a picture with several captions is repeated.
        token_ids: int array (N, length), the rows' captions.
        labels: Label numbers (N,), or None; then ``label_input`` (B,) is streamed too.
        image_size, batch_size, training, seed: As in `image_batches`.
        features: Of a frozen encoder for these pictures; then ``feature_input``
            (B, ...) is streamed in place of the pictures, in training that of the
            mirrored picture every other time.

    Returns:
        Batches ``{"image_input": (B, height, width, 3), "text_input": (B, length)}``,
        or with ``feature_input`` and ``label_input`` as said above.
    """
    rows_of: dict[str, list[int]] = {}
    for row, path in enumerate(paths):
        rows_of.setdefault(path, []).append(row)
    rows = tf.ragged.constant(list(rows_of.values()), tf.int32)
    captions = tf.constant(token_ids, tf.int32)
    numbers = None if labels is None else tf.constant(np.asarray(labels), tf.int32)

    def pair(image_or_row, picture, seed=None):
        choices, choice = rows[picture], 0
        if training:
            choice = tf.random.stateless_uniform([], seed, 0, len(choices), tf.int32)
        token_ids = tf.gather(captions, choices[choice])
        if training and features:  # The row of the picture, or of its mirror image.
            # Another seed: mirror image and caption are drawn independently.
            mirrored = tf.random.stateless_uniform([], seed + 2, 0, 2, tf.int32)
            image_or_row += mirrored
        name = FEATURE_INPUT if features else "image_input"
        inputs = {name: image_or_row, "text_input": token_ids}
        if numbers is not None:
            inputs["label_input"] = tf.gather(numbers, choices[0])
        return inputs

    places = np.arange(len(rows_of), dtype="int32")
    if features:
        columns = (features.rows(list(rows_of)), places)
        stream = _shuffled(tf.data.Dataset.from_tensor_slices(columns), training, seed)
    else:
        stream = _pictures((list(rows_of), places), image_size, training, seed)
    if training:
        # The stateful tf.random.uniform starts over with every epoch once a global seed
        # is set, and would draw the same captions each time.
        seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
        stream = tf.data.Dataset.zip(stream, seeds.batch(2))
        stream = stream.map(lambda row, seed: pair(*row, seed))
    else:
        stream = stream.map(pair)
    stream = _batched(stream, batch_size, training)
    return stream.map(features.fill).prefetch(2) if features else stream
