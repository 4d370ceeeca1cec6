"""The CNN image classifier: cell statistics, one convolution, second-order pooling.

A Functional model. CLIP uses it up to its layer ``features`` (see `clip.without_head`).
"""

import keras
import numpy as np
from keras import layers, ops

from clip_lib.config import Config
from clip_lib.errors import ClipError
from clip_lib.models.augmentation import augment
from clip_lib.models.second_order_pooling import SecondOrderPooling

STATISTICS = "statistics"
"""Prefix of the layers that summarise the cells, one for each cell size."""
DIRECTIONS = 8
"""Of the edges whose strength is measured."""
PATCH = 4
"""Side of the patches that the convolution reads, in cells."""


def _edge_kernel(directions: int) -> np.ndarray:
    """Return derivative filters of the grey level, the mean of red, green and blue.

    Their shape is (3, 3, 3, directions).
    """
    kernel = np.zeros((3, 3, 3, directions), "float32")
    for number, angle in enumerate(np.arange(directions) * 2 * np.pi / directions):
        kernel[1, 2, :, number] += np.cos(angle) / 3
        kernel[1, 0, :, number] -= np.cos(angle) / 3
        kernel[2, 1, :, number] += np.sin(angle) / 3
        kernel[0, 1, :, number] -= np.sin(angle) / 3
    return kernel


def _statistics(colours, edges, cell: int):
    """Return colour means, colour deviations and edge strengths of each cell."""
    pool = layers.AveragePooling2D(cell)
    means = pool(colours)
    variances = pool(ops.square(colours)) - ops.square(means)
    # The small constants keep the slope of the square root finite at 0.
    deviations = ops.sqrt(ops.relu(variances) + 1e-6)
    strengths = ops.sqrt(pool(edges) + 1e-6)
    return layers.Concatenate(name=f"{STATISTICS}_{cell}")(
        [means, deviations, strengths]
    )


def build_image_classifier(config: Config, num_classes: int) -> keras.Model:
    """Build the CNN classifier, with random weights.

    Rescaling and augmentation are layers of the model: the same file serves training
    and inference, and augmentation is inactive at inference.

    Each cell of the image is summarised by colour statistics and edge strengths, as
    classic descriptors do (Lowe 2004, SIFT, section 6). One convolution, shared by all
    cell sizes, reads patches of 4 x 4 cells, and `SecondOrderPooling` turns its outputs
    into one vector. `initialization` gives the convolution better initial weights.

    Args:
        config: Gives ``image_shape``, ``cells`` and ``descriptors``.
        num_classes: Number of labels.

    Returns:
        Model from images (B, height, width, 3), pixel values 0 to 255, to probabilities
        (B, num_classes).

    Raises:
        ClipError: If the images are smaller than 4 x 4 of the largest cells.
    """
    least = 2 * (PATCH * max(config.cells) + 2)
    if min(config.image_size) < least:
        raise ClipError(
            f"image_size = {config.image_size}: expected sides of at least {least} "
            f"pixels, for cells = {config.cells}."
        )
    image_input = keras.Input(config.image_shape, name="image_input")
    outputs = layers.AveragePooling2D(2, name="half_size")(image_input)
    outputs = layers.Rescaling(1 / 127.5, offset=-1, name="scaled")(outputs)
    outputs = augment(outputs, (-1, 1))
    find_edges = layers.Conv2D(
        DIRECTIONS, 3, use_bias=False, trainable=False, name="edges"
    )
    edges = layers.ReLU(name="edge_strength")(find_edges(outputs))
    find_edges.set_weights([_edge_kernel(DIRECTIONS)])
    colours = layers.Cropping2D(1, name="colours")(outputs)
    # Without activation: the products of the pooling are the non-linearity.
    describe = layers.Conv2D(config.descriptors, PATCH, name="descriptors")
    maps = [describe(_statistics(colours, edges, cell)) for cell in config.cells]
    outputs = SecondOrderPooling(name="second_order")(maps)
    # Each feature is centred, all are divided by one deviation: a deviation for each
    # would blow up those that hardly vary, which are mostly noise.
    # initialization.scale_features sets both.
    outputs = layers.BatchNormalization(
        center=False, scale=False, epsilon=1e-9, trainable=False, name="features"
    )(outputs)
    outputs = layers.Dropout(0.5)(outputs)
    small = keras.initializers.TruncatedNormal(stddev=0.001)
    outputs = layers.Dense(
        num_classes, activation="softmax", kernel_initializer=small, name="label"
    )(outputs)
    return keras.Model(image_input, outputs, name="image_classifier")
