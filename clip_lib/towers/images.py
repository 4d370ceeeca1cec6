"""EfficientNet-Lite0, pretrained on ImageNet: the image tower of our own weights.

benchmarks/pretraining.py puts ImageNet's weights in and trains the upper half further.
"""

from clip_lib import silence_tensorflow  # noqa: F401

# isort: split
import keras
import numpy as np
from keras import layers

LITE0 = "efficientnet_lite0"
LOWER, UPPER = f"{LITE0}_lower", f"{LITE0}_upper"
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
"""Of EfficientNet-Lite0: expansion, filters, blocks, stride, side of the kernels."""
LOWER_STAGES = 5
"""So many of them stay as ImageNet left them; they hold a fifth of the weights."""


def build_lite0() -> tuple[keras.Model, keras.Model]:
    """Build EfficientNet-Lite0 without its head in two halves, with random weights.

    Source: Tan and Le 2019, *EfficientNet*; Lite0 is its variant for small devices in
    the TensorFlow TPU repository: ReLU6, no squeeze-and-excitation.

    Returns:
        Model from pixels (B, height, width, 3) of any size, 0 to 255, to maps (B,
        height / 16, width / 16, 112), rounded up; and model from these to maps (B,
        height / 32, width / 32, 1280).
    """

    def apply(layer, maps, active=True):
        name = layer.name
        maps = layer(maps)
        maps = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_norm")(maps)
        return layers.ReLU(6.0, name=f"{name}_relu")(maps) if active else maps

    same = {"padding": "same", "use_bias": False}

    def apply_stages(maps, first, last):
        for stage in range(first, last + 1):
            expansion, filters, blocks, stride, side = STAGES[stage - 1]
            for block in range(blocks):
                name, before = f"stage{stage}_block{block + 1}", maps
                if expansion > 1:
                    wide = expansion * maps.shape[-1]
                    expand = layers.Conv2D(wide, 1, name=f"{name}_expand", **same)
                    maps = apply(expand, maps)
                step = 1 if block else stride
                spatial = layers.DepthwiseConv2D(
                    side, step, name=f"{name}_spatial", **same
                )
                project = layers.Conv2D(filters, 1, name=f"{name}_project", **same)
                maps = apply(project, apply(spatial, maps), active=False)
                if block:
                    maps = layers.Add(name=f"{name}_add")([before, maps])
        return maps

    image_input = keras.Input((None, None, 3))
    maps = layers.Rescaling(1 / 128, offset=-127 / 128)(image_input)
    maps = apply(layers.Conv2D(32, 3, 2, name="stem", **same), maps)
    lower = apply_stages(maps, 1, LOWER_STAGES)
    map_input = keras.Input((None, None, lower.shape[-1]))
    maps = apply_stages(map_input, LOWER_STAGES + 1, len(STAGES))
    upper = apply(layers.Conv2D(1280, 1, name="top", **same), maps)
    return (
        keras.Model(image_input, lower, name=LOWER),
        keras.Model(map_input, upper, name=UPPER),
    )


def build_lite0_features(lower: keras.Model, upper: keras.Model, image_shape, pooled):
    """Join the halves into an image tower with standardised features.

    Args:
        lower, upper: Models of `build_lite0`.
        image_shape: (height, width, 3) of the pictures.
        pooled: (N, 1280), means of the last maps of training pictures.

    Returns:
        Model from images (B, height, width, 3), 0 to 255, to its ``features`` (B,
        1280): means of the last maps, centred and scaled by those of ``pooled``.
    """
    image_input = keras.Input(image_shape, name="image_input")
    outputs = layers.GlobalAveragePooling2D(name="pooled")(upper(lower(image_input)))
    standardise = layers.BatchNormalization(
        center=False, scale=False, epsilon=1e-9, trainable=False, name="features"
    )
    outputs = standardise(outputs)
    # A feature that hardly ever fires is not blown up.
    spread = pooled.std(axis=0) + 0.01
    standardise.set_weights([pooled.mean(axis=0), np.square(spread)])
    return keras.Model(image_input, outputs, name=LITE0)
