"""The pooling layer of the CNN: which descriptors of a picture occur together.

A mean over the places of a picture forgets which features were strong in the same
place; the matrix of their products keeps it, and that tells far more about a texture
than a few hundred pictures could teach a deeper network.
"""

import keras
import numpy as np
from keras import ops


def _places(height: int, width: int) -> np.ndarray:
    """Row, column and a one for each place (height * width, 3).

    Row and column numbers have mean 0 and a variance of about 1.
    """
    axes = [
        (np.arange(side) + 0.5) / side * np.sqrt(12) - np.sqrt(3)
        for side in (height, width)
    ]
    rows, columns = np.meshgrid(*axes, indexing="ij")
    planes = rows, columns, np.ones_like(rows)
    return np.stack(planes, axis=-1).reshape(-1, 3).astype("float32")


def square_root(matrices, steps: int = 5):
    """Square root of symmetric matrices, nearly, by products of matrices alone.

    Source: Li et al. 2018, *Towards Faster Training of Global Covariance Pooling
    Networks by Iterative Matrix Square Root Normalization*, section 3.2
    (Newton-Schulz). A few steps leave the weakest directions, mostly noise, too small.

    Args:
        matrices: (B, D, D), symmetric, no eigenvalue negative, their sum not 0.
        steps: Of the iteration.

    Returns:
        (B, D, D); multiplied by itself it gives about ``matrices``.
    """
    sizes = ops.trace(matrices, axis1=1, axis2=2)[:, None, None]
    identity = ops.eye(matrices.shape[-1], dtype=matrices.dtype)
    root, inverse = matrices / sizes, identity
    for _ in range(steps):
        factor = 1.5 * identity - 0.5 * inverse @ root
        root, inverse = root @ factor, factor @ inverse
    return root * ops.sqrt(sizes)


@keras.saving.register_keras_serializable(package="clip_lib")
class SecondOrderPooling(keras.layers.Layer):
    """Pool maps of any sizes into one vector of length 1.

    Each place of each map gives a descriptor, to which its row, its column and a one
    are added; the products of all pairs of these numbers are averaged over the places:
    the products with one are the means, those with the row tell above from below. The
    square root of that matrix keeps the strongest directions from hiding the others.

    Source: Carreira et al. 2012, *Semantic Segmentation with Second-Order Pooling*,
    section 2; Lin and Maji 2017, *Improved Bilinear Pooling with CNNs*, for the root.

    Call it on a list of maps (B, height, width, C), all of C channels. It returns
    (B, n), with n = (C + 3) (C + 4) / 2: the matrix is symmetric.
    """

    def call(self, maps):
        descriptors = []
        for each in maps:
            height, width, channels = each.shape[1:]
            found = ops.reshape(each, (-1, height * width, channels))
            places = ops.broadcast_to(
                _places(height, width), (ops.shape(found)[0], height * width, 3)
            )
            descriptors.append(ops.concatenate([found, places], axis=-1))
        descriptors = ops.concatenate(descriptors, axis=1)
        products = (
            ops.transpose(descriptors, (0, 2, 1)) @ descriptors / descriptors.shape[1]
        )
        side = products.shape[-1]
        upper, right = np.triu_indices(side)
        root = ops.reshape(square_root(products), (-1, side * side))
        pooled = ops.take(root, upper * side + right, axis=1)
        return ops.normalize(pooled, axis=-1)

    def compute_output_shape(self, input_shape):
        side = input_shape[0][-1] + 3
        return input_shape[0][0], side * (side + 1) // 2
