"""Streams of batches for the three trainings, and for serving.

Decoded pictures are cached *before* they are shuffled: each epoch draws new batches
(new negatives for CLIP), and what one epoch leaves over because the last batch would
be short is seen in another.
"""

import numpy as np
import tensorflow as tf

from clip_lib.images import load_image

CACHE_BYTES = 1_000_000_000
"""Decoded pictures are kept in memory up to this size, read again each epoch beyond."""


def _pictures(paths, image_size, cached: bool = True) -> tf.data.Dataset:
    """Stream decoded pictures: uint8 (height, width, 3)."""

    def load(path):
        picture = tf.numpy_function(
            lambda name: load_image(name.decode(), image_size), [path], tf.uint8
        )
        return tf.ensure_shape(picture, (*image_size, 3))

    pictures = tf.data.Dataset.from_tensor_slices(list(paths))
    pictures = pictures.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    if cached and len(paths) * image_size[0] * image_size[1] * 3 <= CACHE_BYTES:
        pictures = pictures.cache()
    return pictures


def _finish(stream: tf.data.Dataset, batch_size: int, training: bool, seed: int):
    if training:
        count = int(stream.cardinality())
        stream = stream.shuffle(count, seed=seed, reshuffle_each_iteration=True)
        batch_size = min(batch_size, count)
    return stream.batch(batch_size, drop_remainder=training).prefetch(tf.data.AUTOTUNE)


def image_batches(
    paths,
    image_size,
    batch_size: int = 32,
    labels=None,
    training=False,
    cached=True,
    seed=0,
) -> tf.data.Dataset:
    """Stream pictures, with their labels if there are any.

    Args:
        paths: Picture files, N of them.
        image_size: Height and width in pixels.
        batch_size: Pictures a batch.
        labels: Label numbers (N,), or None.
        training: Whether to shuffle, anew each epoch, and to drop a short last batch.
        cached: Whether to keep the decoded pictures for the next epoch.
        seed: Seed of the shuffles.

    Returns:
        Batches of images uint8 (B, height, width, 3), or pairs (images, labels (B,)).
    """
    stream = _pictures(paths, image_size, cached)
    if labels is not None:
        labels = tf.data.Dataset.from_tensor_slices(np.asarray(labels, "int32"))
        stream = tf.data.Dataset.zip(stream, labels)
    return _finish(stream, batch_size, training, seed)


def _drop_words(token_ids, rate: float):
    """Replace each word by [UNK] (id 1) with probability ``rate``.

    No word can then be relied on alone, and [UNK] gets a meaning: in the training
    captions, whose every word is in the vocabulary, it would never occur.
    """
    dropped = tf.random.uniform(tf.shape(token_ids)) < rate
    return tf.where(dropped & (token_ids > 1), 1, token_ids)


def text_batches(
    token_ids, labels, batch_size: int = 32, word_dropout=0.0, training=False, seed=0
) -> tf.data.Dataset:
    """Stream (token_ids (B, length), labels (B,)).

    Args:
        token_ids: int array (N, length), 0 = padding.
        word_dropout: Probability of hiding a word, in training.
        labels, batch_size, training, seed: As in `image_batches`.
    """
    stream = tf.data.Dataset.from_tensor_slices(
        (token_ids, np.asarray(labels, "int32"))
    )

    def hide(token_ids, label):
        return _drop_words(token_ids, word_dropout), label

    if training:
        stream = stream.map(hide)
    return _finish(stream, batch_size, training, seed)


def pair_batches(
    paths,
    token_ids,
    image_size,
    batch_size: int = 32,
    word_dropout=0.0,
    training=False,
    seed=0,
) -> tf.data.Dataset:
    """Stream matching pairs for CLIP.

    A picture comes once an epoch, with one of its captions drawn at random: two
    captions of one picture can never stand in a batch as each other's negatives.

    Args:
        paths: Picture files, one a row; a picture with several captions is repeated.
        token_ids: int array (N, length), the rows' captions.
        image_size, batch_size, training, seed: As in `image_batches`.
        word_dropout: As in `text_batches`.

    Returns:
        Batches ``{"image_input": (B, height, width, 3), "text_input": (B, length)}``.
    """
    rows_of: dict[str, list[int]] = {}
    for row, path in enumerate(paths):
        rows_of.setdefault(path, []).append(row)
    most = max(map(len, rows_of.values()))
    # Rectangular, so that a random column is a random caption: [4, 7] -> [4, 7, 4].
    rows = np.array([np.resize(rows, most) for rows in rows_of.values()])
    counts = np.array([len(rows) for rows in rows_of.values()])
    table = tf.constant(token_ids, tf.int32)

    def draw(image, rows, count):
        column = tf.random.uniform([], 0, count, tf.int32) if training else 0
        token_ids = tf.gather(table, rows[column])
        if training:
            token_ids = _drop_words(token_ids, word_dropout)
        return {"image_input": image, "text_input": token_ids}

    stream = tf.data.Dataset.zip(
        _pictures(list(rows_of), image_size),
        tf.data.Dataset.from_tensor_slices(rows.astype("int32")),
        tf.data.Dataset.from_tensor_slices(counts.astype("int32")),
    )
    return _finish(stream.map(draw), batch_size, training, seed)
