"""Several devices of this machine that train CLIP together (optional)."""

import functools
import re

import keras
import tensorflow as tf

from clip_lib.errors import ClipError


@functools.cache
def open_strategy(name: str) -> tf.distribute.Strategy:
    """Open the devices of a training; the same ones if called again.

    ``mirrored:N`` changes how TensorFlow starts: open it before anything is computed.

    Args:
        name: "" (one device), "mirrored" (all GPUs of this machine) or "mirrored:N"
            (its processor as N devices, to try things out).

    Raises:
        ClipError: If the name is not one of these, or TensorFlow has already started.
    """
    if not name:
        return tf.distribute.get_strategy()
    if name == "mirrored":
        if len(tf.config.list_physical_devices("GPU")) < 2:
            return tf.distribute.get_strategy()
        return tf.distribute.MirroredStrategy()
    if not (match := re.fullmatch(r"mirrored:([1-9]\d?)", name)):
        raise ClipError(
            f"strategy {name!r}: expected '' (one device), mirrored (all GPUs of this "
            "machine) or mirrored:N (its processor as N devices)."
        )
    count = int(match[1])
    (processor,) = tf.config.list_physical_devices("CPU")
    part = tf.config.LogicalDeviceConfiguration()
    try:
        tf.config.set_logical_device_configuration(processor, [part] * count)
    except RuntimeError as error:
        raise ClipError(
            f"strategy {name!r}: too late, TensorFlow has already computed something; "
            "open it first."
        ) from error
    return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(count)])


def check_batch_size(size: int, strategy: tf.distribute.Strategy) -> None:
    """Refuse a batch that the devices cannot share equally.

    Raises:
        ClipError: If ``size`` is not a multiple of their number.
    """
    if size % (count := strategy.num_replicas_in_sync):
        raise ClipError(
            f"clip_batch_size = {size} on {count} devices: expected a multiple of "
            f"{count}."
        )


def on_devices(model: keras.Model, strategy: tf.distribute.Strategy) -> keras.Model:
    """Return a copy of a model whose weights lie on every device.

    On one device, the model itself.
    """
    if strategy.num_replicas_in_sync == 1:
        return model
    with strategy.scope():
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    return copy
