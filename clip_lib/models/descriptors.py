"""Where the CNN's convolution starts: what varies most in small pieces of pictures.

A few hundred labels cannot teach a network what to look for in a piece of a picture;
the tens of thousands of pieces of the same pictures can, without labels.
"""

import numpy as np
from sklearn.decomposition import PCA

from clip_lib.errors import ClipError

SAMPLES = 60_000
"""Pieces drawn from the pictures."""


def learn_descriptors(maps, number: int, size: int, seed: int = 0):
    """Find the main directions of pieces of maps; they become a convolution.

    Args:
        maps: List of (N, height, width, C), of one or several scales; training pictures
            only. Each scale gives pieces in proportion to its places.
        number: Number of directions, each scaled to variance 1.
        size: Side of a piece, in places of a map.
        seed: Of the sample.

    Returns:
        Kernel (size, size, C, number) and bias (number,) of a ``Conv2D``, float32.

    Raises:
        ClipError: If a map is smaller than a piece, or a piece has fewer numbers than
            ``number``.
    """
    random = np.random.default_rng(seed)
    channels = maps[0].shape[-1]
    if number > size * size * channels:
        raise ClipError(
            f"{number} descriptors: expected at most {size * size * channels}, the "
            f"numbers in a piece of {size} x {size} places and {channels} channels."
        )
    windows = []
    for each in maps:
        if min(each.shape[1:3]) < size:
            raise ClipError(
                f"a map of {each.shape[1]} x {each.shape[2]} places: smaller than a "
                f"piece of {size} x {size}; expected larger pictures."
            )
        windows.append(
            np.lib.stride_tricks.sliding_window_view(each, (size, size), (1, 2))
        )
    counts = np.array([np.prod(each.shape[1:3]) for each in windows])
    pieces = []
    for each, share in zip(windows, counts / counts.sum(), strict=True):
        places = random.integers(each.shape[:3], size=(round(SAMPLES * share), 3))
        piece = each[tuple(places.T)].transpose(0, 2, 3, 1)
        pieces.append(piece.reshape(len(piece), -1))
    with np.errstate(invalid="ignore"):  # Pictures of one colour: 0 of 0 explained.
        analysis = PCA(number, random_state=seed).fit(np.concatenate(pieces))
    # Directions in which nothing varies are left silent, not blown up.
    spread = np.sqrt(analysis.explained_variance_)
    scale = np.where(spread > max(1e-4 * spread[0], 1e-5), spread, np.inf)
    directions = analysis.components_ / scale[:, None]
    kernel = directions.T.reshape(size, size, channels, number)
    bias = -directions @ analysis.mean_
    return kernel.astype("float32"), bias.astype("float32")
