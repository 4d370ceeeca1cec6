"""The first layer of the CNN: a dictionary of patches, learned without labels.

A few hundred labels cannot teach a network what an edge or a texture is; the hundred
thousand patches of the same pictures can.
"""

import numpy as np
from sklearn.cluster import MiniBatchKMeans

SAMPLES = 40_000
"""Patches drawn from the pictures."""

CONTRAST_FLOOR = 10.0 / 127.5**2
"""Added to a patch's variance: a plain sky is not stretched into noise."""

WHITENING_FLOOR = 0.1
"""Added to the variance of each direction, so that the finest ones do not dominate."""


def learn_patches(images, number: int, size: int, seed: int = 0) -> np.ndarray:
    """Cluster whitened patches; the centres become the filters of a convolution.

    Source: Coates, Ng and Lee 2011, *An analysis of single-layer networks in
    unsupervised feature learning*, section 3. Their whitening is linear, as is the
    comparison with a centre: both fit into one filter.

    Args:
        images: (N, height, width, 3), pixel values -1 to 1, training pictures only.
        number: Number of filters.
        size: Side of a patch in pixels.
        seed: Of the sample and of the clustering.

    Returns:
        float32 array (size, size, 3, number), the kernel of a ``Conv2D``. Each filter
        sums to zero: it does not see how bright a patch is.
    """
    images = np.asarray(images, dtype="float32")
    if size > min(images.shape[1:3]):
        height, width = images.shape[1:3]
        raise ValueError(
            f"patches of {size} x {size} pixels: larger than the pictures, which are "
            f"{height} x {width} once reduced; expected a smaller patch_size."
        )
    random = np.random.default_rng(seed)
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), (1, 2))
    places = random.integers(windows.shape[:3], size=(SAMPLES, 3))
    patches = windows[tuple(places.T)].transpose(0, 2, 3, 1).reshape(SAMPLES, -1)
    patches -= patches.mean(axis=1, keepdims=True)
    patches /= np.sqrt(patches.var(axis=1, keepdims=True) + CONTRAST_FLOOR)
    patches -= patches.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(patches.T))
    whiten = directions / np.sqrt(variances + WHITENING_FLOOR) @ directions.T
    clusters = MiniBatchKMeans(
        number, batch_size=2048, max_iter=30, n_init=1, random_state=seed
    )
    centres = clusters.fit(patches @ whiten).cluster_centers_
    lengths = np.linalg.norm(centres, axis=1, keepdims=True)
    centres /= np.maximum(lengths, 1e-6)  # Black pictures have the centre 0.
    filters = whiten @ centres.T
    filters -= filters.mean(axis=0)
    return filters.reshape(size, size, 3, number).astype("float32")
