"""How pictures are changed in training: layers at the bottom of every image encoder."""

import keras
import numpy as np
from keras import layers

DISTORTIONS = ("zoom", "shift", "brightness", "contrast")
"""All of them but the mirror, in order."""


def augment(images, value_range: tuple[int, int]):
    """Change pictures in training, in ways that change neither label nor caption.

    Args:
        images: Tensor (B, height, width, 3).
        value_range: The least and the greatest value that its numbers may have.

    Returns:
        The same shape and range; at inference, the very images.
    """
    images = layers.RandomFlip("horizontal", name="flip")(images)
    images = layers.RandomZoom((-0.3, 0.1), fill_mode="reflect", name="zoom")(images)
    images = layers.RandomTranslation(0.1, 0.1, fill_mode="reflect", name="shift")(
        images
    )
    limits = {"value_range": value_range}
    images = layers.RandomBrightness(0.2, name="brightness", **limits)(images)
    return layers.RandomContrast(0.3, name="contrast", **limits)(images)


def augmented_views(model: keras.Model, image, count: int = 8) -> np.ndarray:
    """Return one picture as a model in training may see it.

    Args:
        model: Image classifier, of any encoder.
        image: (height, width, 3), values 0 to 255.
        count: How many times.

    Returns:
        (count, height, width, 3), values 0 to 1, at the size that is augmented.
    """
    last = model.get_layer(DISTORTIONS[-1])
    images = np.repeat(np.asarray(image)[None], count, axis=0)
    views = keras.Model(model.input, last.output)(images, training=True)
    low, high = last.value_range
    return (np.asarray(views) - low) / (high - low)
