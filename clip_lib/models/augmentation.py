"""Random changes of the training images: layers at the bottom of the CNN."""

import keras
import numpy as np
from keras import layers

LAST = "contrast"
"""Name of the last augmentation layer."""


def augment(images, value_range: tuple[int, int]):
    """Change images in training in ways that preserve label and caption.

    Args:
        images: Tensor (B, height, width, 3).
        value_range: Smallest and largest value that a pixel can have.

    Returns:
        Tensor of the same shape and range; unchanged at inference.
    """
    images = layers.RandomFlip("horizontal", name="flip")(images)
    images = layers.RandomZoom((-0.3, 0.1), fill_mode="reflect", name="zoom")(images)
    images = layers.RandomTranslation(0.1, 0.1, fill_mode="reflect", name="shift")(
        images
    )
    limits = {"value_range": value_range}
    images = layers.RandomBrightness(0.2, name="brightness", **limits)(images)
    return layers.RandomContrast(0.3, name=LAST, **limits)(images)


def augmented_views(model: keras.Model, image, count: int = 8) -> np.ndarray:
    """Return augmented versions of one image, as the model sees them in training.

    Args:
        model: Image classifier; one without these layers, such as a pretrained one,
            sees the image as it is.
        image: (height, width, 3), values 0 to 255.
        count: Number of versions.

    Returns:
        (count, height, width, 3), values 0 to 1, at the resolution that is augmented.
    """
    images = np.repeat(np.asarray(image)[None], count, axis=0)
    if LAST not in [layer.name for layer in model.layers]:
        return images / 255
    last = model.get_layer(LAST)
    views = keras.Model(model.input, last.output)(images, training=True)
    low, high = last.value_range
    return (np.asarray(views) - low) / (high - low)
