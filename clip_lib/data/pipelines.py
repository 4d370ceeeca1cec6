"""Streams of batches for the two classifiers, and for serving; see also pairs.py.

Decoded pictures are cached *before* they are shuffled: each epoch draws new batches
(new negatives for CLIP), and what one epoch leaves over because the last batch would
be short is seen in another.
"""

import numpy as np
import tensorflow as tf

from clip_lib.data.images import load_image

CACHE_BYTES = 128_000_000
"""Decoded pictures are kept in memory up to this size, read again each epoch beyond."""


def shuffled(stream: tf.data.Dataset, training: bool, seed: int) -> tf.data.Dataset:
    """Shuffle a whole stream, anew each epoch, if it is for training."""
    if not training:
        return stream
    return stream.shuffle(
        int(stream.cardinality()), seed=seed, reshuffle_each_iteration=True
    )


def batched(stream: tf.data.Dataset, batch_size: int, training: bool):
    """Cut a stream into batches; in training, a short last one is dropped."""
    if training:
        batch_size = min(batch_size, int(stream.cardinality()))
    return stream.batch(batch_size, drop_remainder=training).prefetch(tf.data.AUTOTUNE)


def pictures(columns, image_size, training: bool, cached: bool, seed: int):
    """Stream rows whose first column, a path, becomes a picture.

    Args:
        columns: Arrays of one length; the first holds paths.
        image_size, training, cached, seed: As in `image_batches`.
    """

    def load(path):
        return load_image(path.decode(), image_size)

    def decode(path, *others):
        image = tf.numpy_function(load, [path], tf.uint8)
        image = tf.ensure_shape(image, (*image_size, 3))
        return (image, *others) if others else image

    stream = tf.data.Dataset.from_tensor_slices(columns)
    if cached and len(columns[0]) * np.prod(image_size) * 3 <= CACHE_BYTES:
        stream = stream.map(decode, num_parallel_calls=tf.data.AUTOTUNE).cache()
        return shuffled(stream, training, seed)
    # Too many to keep: shuffle the paths, or the shuffle would hold all the pictures.
    stream = shuffled(stream, training, seed)
    return stream.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


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
    columns = (list(paths),)
    if labels is not None:
        columns += (np.asarray(labels, "int32"),)
    stream = pictures(columns, image_size, training, cached, seed)
    return batched(stream, batch_size, training)


def with_seeds(stream: tf.data.Dataset, seed: int) -> tf.data.Dataset:
    """Give each row of each epoch a seed of its own, the same in every run.

    The stateful ``tf.random.uniform`` starts over with every epoch once a global seed
    is set: the same words would be hidden for ever.
    """
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
    return tf.data.Dataset.zip(stream, seeds.batch(2))


def drop_words(token_ids, rate: float, seed):
    """Replace each word by [UNK] (id 1) with probability ``rate``.

    No word can then be relied on alone, and [UNK] gets a meaning: in the training
    captions, whose every word is in the vocabulary, it would never occur.
    """
    dropped = tf.random.stateless_uniform(tf.shape(token_ids), seed) < rate
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

    def hide(row, seed):
        token_ids, label = row
        return drop_words(token_ids, word_dropout, seed), label

    columns = (np.asarray(token_ids, "int32"), np.asarray(labels, "int32"))
    stream = tf.data.Dataset.from_tensor_slices(columns)
    stream = shuffled(stream, training, seed)
    if training:
        stream = with_seeds(stream, seed).map(hide)
    return batched(stream, batch_size, training)
