"""EfficientNet-Lite0 in place of the CNN: pretrained on ImageNet, with a new head.

Its weights are in models/pretrained; benchmarks/convert_lite0.py converts them anew.
"""

import hashlib
from pathlib import Path

import keras
import numpy as np
from keras import layers

from clip_lib.config import PRETRAINED, Config
from clip_lib.data.dataset import Dataset
from clip_lib.errors import ClipError
from clip_lib.models.augmentation import augment

LITE0 = "efficientnet_lite0"
LITE0_FILE = Path(__file__).parents[2] / PRETRAINED / f"{LITE0}.npy"
"""All weights of `build_lite0` in a row, in the order of ``weights``, as float16."""
LITE0_SHA256 = "8c816aadc59cbc7dd2bdf5a1af061407c17d3320e14a0131ae384c923a131007"
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


def build_lite0_classifier(dataset: Dataset, config: Config) -> keras.Model:
    """Build a classifier on EfficientNet-Lite0, which is frozen.

    Args:
        dataset: Gives the labels.
        config: Gives ``image_shape`` and ``seed``.

    Returns:
        Model from images (B, height, width, 3), pixel values 0 to 255, to probabilities
        (B, num_classes). Its ``features`` are the means of the last maps.

    Raises:
        ClipError: If the file of the weights is missing or another.
    """
    keras.utils.set_random_seed(config.seed)
    network = load_lite0(config.image_shape)
    network.trainable = False
    image_input = keras.Input(config.image_shape, name="image_input")
    # Augmented as pixels: the network scales them after that.
    outputs = augment(image_input, (0, 255))
    outputs = layers.GlobalAveragePooling2D(name="features")(network(outputs))
    outputs = layers.Dropout(0.5)(outputs)
    # Small, as in the CNN: a usual start would drown what a short training finds in
    # more than a thousand features (accuracy .74 in place of .80).
    small = keras.initializers.TruncatedNormal(stddev=0.001)
    num_classes = max(1, len(dataset.class_names))
    outputs = layers.Dense(
        num_classes, activation="softmax", kernel_initializer=small, name="label"
    )(outputs)
    return keras.Model(image_input, outputs, name="image_classifier")


def build_lite0(image_shape: tuple[int, int, int]) -> keras.Model:
    """Build EfficientNet-Lite0 without its head, with random weights.

    Source: Tan and Le 2019, *EfficientNet*; Lite0 is its variant for small devices in
    the TensorFlow TPU repository: ReLU6, no squeeze-and-excitation.

    Returns:
        Model from pixels (B, height, width, 3), 0 to 255, to maps (B, height / 32,
        width / 32, 1280), rounded up.
    """

    def apply(layer, maps, active=True):
        name = layer.name
        maps = layer(maps)
        maps = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_norm")(maps)
        return layers.ReLU(6.0, name=f"{name}_relu")(maps) if active else maps

    same = {"padding": "same", "use_bias": False}
    image_input = keras.Input(image_shape)
    maps = layers.Rescaling(1 / 128, offset=-127 / 128)(image_input)
    maps = apply(layers.Conv2D(32, 3, 2, name="stem", **same), maps)
    for stage, (expansion, filters, blocks, stride, side) in enumerate(STAGES, 1):
        for block in range(blocks):
            name, before = f"stage{stage}_block{block + 1}", maps
            if expansion > 1:
                wide = expansion * maps.shape[-1]
                expand = layers.Conv2D(wide, 1, name=f"{name}_expand", **same)
                maps = apply(expand, maps)
            step = 1 if block else stride
            spatial = layers.DepthwiseConv2D(side, step, name=f"{name}_spatial", **same)
            project = layers.Conv2D(filters, 1, name=f"{name}_project", **same)
            maps = apply(project, apply(spatial, maps), active=False)
            if block:
                maps = layers.Add(name=f"{name}_add")([before, maps])
    maps = apply(layers.Conv2D(1280, 1, name="top", **same), maps)
    return keras.Model(image_input, maps, name=LITE0)


def checksum(path) -> str:
    """Return the SHA-256 of a file; "" if there is none."""
    path = Path(path)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def load_lite0(image_shape: tuple[int, int, int]) -> keras.Model:
    """Build EfficientNet-Lite0 with the weights of ImageNet from the repository.

    Raises:
        ClipError: If their file is missing, or not the one that was measured.
    """
    if (found := checksum(LITE0_FILE)) != LITE0_SHA256:
        fault = "damaged, or of another network" if found else "no such file"
        raise ClipError(
            f"{LITE0_FILE}: {fault}; take the weights of EfficientNet-Lite0 from the "
            "repository, or make them anew: python benchmarks/convert_lite0.py -h."
        )
    network = build_lite0(image_shape)
    values = np.load(LITE0_FILE).astype("float32")
    for weight in network.weights:
        own, values = np.split(values, [np.prod(weight.shape)])
        weight.assign(own.reshape(weight.shape))
    return network
