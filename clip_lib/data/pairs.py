"""The stream of matching pairs for CLIP."""

import numpy as np
import tensorflow as tf

from clip_lib.data.cached_features import StoredFeatures
from clip_lib.data.pipelines import batched, drop_words, pictures, shuffled, with_seeds


def pair_batches(
    paths,
    token_ids,
    image_size,
    batch_size: int = 32,
    labels=None,
    word_dropout=0.0,
    training=False,
    seed=0,
    features: StoredFeatures | None = None,
) -> tf.data.Dataset:
    """Stream matching pairs for CLIP.

    A picture comes once an epoch, with one of its captions drawn at random: two
    captions of one picture can never stand in a batch as each other's negatives.

    Args:
        paths: Picture files, one a row; a picture with several captions is repeated.
        token_ids: int array (N, length), the rows' captions.
        labels: Label numbers (N,), or None; then ``label_input`` (B,) is streamed too.
        image_size, batch_size, training, seed: As in `image_batches`.
        word_dropout: As in `text_batches`.
        features: What a locked encoder made of these pictures; then ``feature_input``
            (B, width) is streamed in the place of the pictures, in training that of the
            mirrored picture every other time.

    Returns:
        Batches ``{"image_input": (B, height, width, 3), "text_input": (B, length)}``.
        When serving, a picture comes with its first caption.
    """
    rows_of: dict[str, list[int]] = {}
    for row, path in enumerate(paths):
        rows_of.setdefault(path, []).append(row)
    most = max(map(len, rows_of.values()))
    # Rectangular, so that a random column is a random caption: [4, 7] -> [4, 7, 4].
    rows = np.array([np.resize(rows, most) for rows in rows_of.values()], "int32")
    counts = np.array([len(rows) for rows in rows_of.values()], "int32")
    captions = tf.constant(token_ids, tf.int32)
    numbers = None if labels is None else tf.constant(np.asarray(labels), tf.int32)

    seen = "image_input" if features is None else "feature_input"

    def pair(image, token_ids, row):
        inputs = {seen: image, "text_input": token_ids}
        if numbers is not None:
            inputs["label_input"] = tf.gather(numbers, row)
        return inputs

    def first(image, rows, count):
        return pair(image, tf.gather(captions, rows[0]), rows[0])

    def draw(row, seed):
        image, rows, count = row
        column = tf.random.stateless_uniform([], seed, 0, count, tf.int32)
        token_ids = tf.gather(captions, rows[column])
        if features is not None:  # The number of the picture, or of its mirror image.
            image += tf.random.stateless_uniform([], seed + 2, 0, 2, tf.int32)
        return pair(image, drop_words(token_ids, word_dropout, seed + 1), rows[0])

    if features is None:
        columns = (list(rows_of), rows, counts)
        stream = pictures(columns, image_size, training, True, seed)
    else:
        columns = (features.rows(rows_of), rows, counts)
        stream = tf.data.Dataset.from_tensor_slices(columns)
        stream = shuffled(stream, training, seed)
    stream = with_seeds(stream, seed).map(draw) if training else stream.map(first)
    stream = batched(stream, batch_size, training)
    return stream if features is None else stream.map(features.fill).prefetch(2)
