"""A network pretrained on ImageNet in place of the CNN: a classifier around it."""

import dataclasses
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import applications, layers, ops

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset
from clip_lib.errors import ClipError, first_line
from clip_lib.models.augmentation import augment

LEAST_SIDE = 32
_STORE = "https://storage.googleapis.com/tensorflow/keras-applications"
_CAFFE_MEANS = (103.939, 116.779, 123.68)
"""Of blue, green and red, over the pictures of ImageNet."""


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network of `keras.applications`.

    Attributes:
        build: Makes it.
        url: Where Keras finds its weights, those of ImageNet without the head.
    """

    build: Callable
    url: str


BACKBONES = {
    # Large: the small one has 0.9 million weights in place of 3, and 68 % of ImageNet
    # right in place of 76 %, for a network that is the cheapest of the three anyway.
    "mobilenet_v3": Backbone(
        applications.MobileNetV3Large,
        f"{_STORE}/mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
    ),
    "efficientnet_v2": Backbone(
        applications.EfficientNetV2B0,
        f"{_STORE}/efficientnet_v2/efficientnetv2-b0_notop.h5",
    ),
    "resnet50": Backbone(
        applications.ResNet50,
        f"{_STORE}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ),
}

NETWORK_TITLES = {
    "MobileNetV3Large": "MobileNetV3",
    "efficientnetv2-b0": "EfficientNetV2-B0",
    "resnet50": "ResNet50",
}
"""How people write the networks, by their own name."""
BLUE_FIRST = ("resnet50",)
"""Networks, by their own name, that read blue, green, red."""


def build_backbone_classifier(dataset: Dataset, config: Config) -> keras.Model:
    """Build a classifier on a pretrained network, which is frozen.

    Sources: Howard et al. 2019, *Searching for MobileNetV3*; Tan and Le 2021,
    *EfficientNetV2*; He et al. 2016, *Deep Residual Learning for Image Recognition*.

    Args:
        config: Gives ``image_encoder``, ``image_weights``, ``image_shape`` and
            ``dropout``.
        dataset: Gives the labels.

    Returns:
        Model from images (B, height, width, 3), pixel values 0 to 255, to probabilities
        (B, num_classes). Its ``features`` are the means of the last maps.

    Raises:
        ClipError: If the pictures are too small, or the weights cannot be had or read.
    """
    keras.utils.set_random_seed(config.seed)
    num_classes = max(1, len(dataset.class_names))
    network = load_backbone(config)
    network.trainable = False
    image_input = keras.Input(config.image_shape, name="image_input")
    # Distorted as pixels: each network scales them in its own way, after that. The
    # first layers of the two others do it.
    outputs = augment(image_input, (0, 255))
    if network.name in BLUE_FIRST:
        outputs = caffe_pixels(outputs)
    outputs = layers.GlobalAveragePooling2D(name="features")(network(outputs))
    outputs = layers.Dropout(config.dropout)(outputs)
    outputs = layers.Dense(num_classes, activation="softmax", name="label")(outputs)
    return keras.Model(image_input, outputs, name="image_classifier")


def caffe_pixels(images):
    """Turn red, green, blue, 0 to 255, into what ResNet50 was trained with.

    As `keras.applications.resnet50.preprocess_input` does, but in a saved model.
    """
    images = ops.take(images, [2, 1, 0], axis=-1)
    return layers.Normalization(mean=_CAFFE_MEANS, variance=(1, 1, 1), name="centred")(
        images
    )


def load_backbone(config: Config) -> keras.Model:
    """Build the network that a configuration names, and give it its weights.

    Returns:
        Model from pixels (B, height, width, 3) to maps (B, rows, columns, channels).
        What it does in training differs from inference only by batch normalisation, and
        that too is gone once it is locked.

    Raises:
        ClipError: If the pictures are too small, or the weights cannot be had or read.
    """
    if min(config.image_size) < LEAST_SIDE:
        raise ClipError(
            f"image_size = {config.image_size}: expected sides of at least "
            f"{LEAST_SIDE} pixels, for {config.image_encoder}."
        )
    network = _with_weights(config)
    for layer in network.layers:
        # EfficientNet leaves whole blocks out in training. Frozen, it would only make
        # other features than those that are searched with.
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    return network


def _with_weights(config: Config) -> keras.Model:
    backbone = BACKBONES[config.image_encoder]
    options = {"include_top": False, "input_shape": config.image_shape}
    if config.image_weights == "imagenet":
        return _of_imagenet(backbone, options)
    network = backbone.build(weights=None, **options)
    if not config.image_weights:
        return network
    path = Path(config.image_weights)
    if not path.is_file():
        raise ClipError(
            f"{path}: no such file; expected image_weights to be 'imagenet', a file of "
            "weights, or nothing for weights drawn at random."
        )
    drawn = _kernels(network)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # A line for each layer that it misses.
            network.load_weights(path)
        # Some of those that do not fit, Keras leaves out and says no more.
        for name, kernel in _kernels(network).items():
            if (kernel == drawn[name]).all():
                raise ClipError(f"it holds nothing for {name}")
    except Exception as error:  # Of Keras, h5py or zipfile, each its own.
        raise ClipError(
            f"{path}: not the weights of {backbone.build.__name__} "
            f"({first_line(error)}); expected a file that ends in .weights.h5 or "
            f".keras, saved from it by Keras 3, or {Path(backbone.url).name}."
        ) from error
    return network


def _kernels(network: keras.Model) -> dict[str, np.ndarray]:
    """Return by name the weights that are drawn at random, a copy."""
    return {
        each.name: np.asarray(each.kernel).copy()
        for each in network.layers
        if hasattr(each, "kernel")
    }


def _of_imagenet(backbone: Backbone, options: dict) -> keras.Model:
    try:
        with warnings.catch_warnings():
            # MobileNet's would say that its weights are those of 224 x 224 pixels.
            warnings.simplefilter("ignore")
            return backbone.build(weights="imagenet", **options)
    except Exception as error:  # Of the network or of the disk, Keras has no one kind.
        home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        raise ClipError(
            f"{backbone.url} could not be downloaded ({first_line(error)}); get it "
            f"where there is a network and put it into {home / 'models'}, or name the "
            "file in image_weights."
        ) from error
