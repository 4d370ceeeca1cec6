"""Several devices for one training: on this machine, or on several machines."""

import dataclasses
import functools
import io
import json
import os
import re

import keras
import numpy as np
import tensorflow as tf

from clip_lib.config import Config
from clip_lib.errors import ClipError
from clip_lib.training.workers import WorkersModel, of_first_worker, own_folder, worker

KNOWN = (
    "'' (one device), mirrored (all GPUs of this machine), mirrored:N (its processor "
    "as N devices) or multiworker (several machines, see TF_CONFIG)"
)


@functools.cache
def open_strategy(name: str) -> tf.distribute.Strategy:
    """Open the devices of a training; the same ones if asked again.

    ``mirrored:N`` and ``multiworker`` change how TensorFlow starts: open them before it
    computes anything. ``multiworker`` waits until every worker of TF_CONFIG is there.

    Args:
        name: "" (one device), "mirrored" (all GPUs of this machine), "mirrored:N" (its
            processor as N devices, to try things out) or "multiworker".

    Raises:
        ClipError: If the name or TF_CONFIG cannot be understood, or it is too late.
    """
    one = tf.distribute.get_strategy()
    if not name:
        return one
    try:
        if name == "multiworker":
            _check_cluster(os.environ.get("TF_CONFIG", ""))
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
        elif name == "mirrored":
            strategy = tf.distribute.MirroredStrategy()
        elif match := re.fullmatch(r"mirrored:([1-9]\d?)", name):
            count = int(match[1])
            (processor,) = tf.config.list_physical_devices("CPU")
            part = tf.config.LogicalDeviceConfiguration()
            tf.config.set_logical_device_configuration(processor, [part] * count)
            devices = [f"CPU:{number}" for number in range(count)]
            strategy = tf.distribute.MirroredStrategy(devices)
        else:
            raise ClipError(f"strategy {name!r}: expected {KNOWN}.")
    except RuntimeError as error:
        raise ClipError(
            f"strategy {name!r}: too late, TensorFlow has already computed something; "
            "open it first."
        ) from error
    return strategy if strategy.num_replicas_in_sync > 1 else one


def open_devices(config: Config) -> Config:
    """Open the devices that a configuration asks for, before anything else is done.

    Returns:
        The configuration; for every worker but the first with a temporary
        ``model_dir``: all train the same, and one writes.

    Raises:
        ClipError: As `open_strategy`, or if ``clip_batch_size`` cannot be divided.
    """
    strategy = open_strategy(config.strategy)
    _share(config.clip_batch_size, strategy.num_replicas_in_sync)
    folder = own_folder(strategy, config.model_dir)
    return dataclasses.replace(config, model_dir=str(folder))


def _check_cluster(text: str) -> None:
    """Refuse a TF_CONFIG that TensorFlow would misunderstand, or wait for for ever."""
    expected = (
        'expected {"cluster": {"worker": ["host:port", ...]}, "task": {"type": '
        '"worker", "index": 0}}, the index being that of this machine'
    )
    try:
        about = json.loads(text)
        addresses, task = about["cluster"]["worker"], about["task"]
        sound = (
            list(about["cluster"]) == ["worker"]
            and task["type"] == "worker"
            and isinstance(addresses, list)
            and all(re.fullmatch(r"\S+:\d+", address) for address in addresses)
            and len(set(addresses)) == len(addresses)
            and int(task["index"]) in range(len(addresses))
        )
    except (ValueError, TypeError, KeyError):
        sound = False
    if not sound:
        raise ClipError(f"strategy multiworker: TF_CONFIG is {text!r}, {expected}.")


def batch_size(stream: tf.data.Dataset) -> int:
    """Return the size of the batches of a stream of full batches."""
    sizes = {spec.shape[0] for spec in tf.nest.flatten(stream.element_spec)} - {None}
    if len(sizes) != 1:
        raise ClipError(f"batches {stream.element_spec}: expected one size for all.")
    return sizes.pop()


def _share(size: int, count: int) -> int:
    """Return the size of the share of each device."""
    if size % count:
        raise ClipError(
            f"a batch of {size} pairs on {count} devices: expected a clip_batch_size "
            f"that can be divided by {count}."
        )
    return size // count


def per_device(stream: tf.data.Dataset, strategy: tf.distribute.Strategy):
    """Give each device its equal share of every batch of a stream.

    Every worker runs the whole stream, which must be the same on all, and keeps its
    shares.

    Raises:
        ClipError: If the size of a batch cannot be divided.
    """
    count = strategy.num_replicas_in_sync
    if count == 1:
        return stream
    share = _share(batch_size(stream), count)

    def shares(context):
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.OFF
        )
        parts = stream.rebatch(share, drop_remainder=True)
        parts = parts.shard(context.num_input_pipelines, context.input_pipeline_id)
        return parts.with_options(options)

    return strategy.distribute_datasets_from_function(shares)


def on_devices(model: keras.Model, strategy: tf.distribute.Strategy) -> keras.Model:
    """Put the weights of a model on every device, as the first worker has them.

    Returns:
        A copy, or on one device the model itself. It runs on one device, so that each
        worker can measure by itself; what `trainer` makes of its layers runs on all.
    """
    if strategy.num_replicas_in_sync == 1:
        return model
    with strategy.scope():
        copy = keras.models.clone_model(model)
    buffer = io.BytesIO()
    np.savez(buffer, *(variable.numpy() for variable in model.variables))
    values = np.load(io.BytesIO(of_first_worker(strategy, buffer.getvalue())))
    for variable, name in zip(copy.variables, values.files, strict=True):
        variable.assign(values[name])
    return keras.Model(copy.input, copy.output, name=model.name)


def trainer(model: keras.Model, strategy: tf.distribute.Strategy) -> keras.Model:
    """Return a model of the same weights that is fitted on all devices.

    Args:
        model: Made of what `on_devices` returned.
    """
    if strategy.num_replicas_in_sync == 1:
        return model
    kind = WorkersModel if worker(strategy)[1] > 1 else keras.Model
    with strategy.scope():
        return kind(model.input, model.output, name=model.name)
