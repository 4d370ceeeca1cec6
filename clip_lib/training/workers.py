"""Several machines that train together: who writes, who tells whom, who is lost."""

import atexit
import contextlib
import json
import shutil
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from clip_lib.atomic import replacing
from clip_lib.errors import first_line


def worker(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """Return the number of this worker, from 0, and how many there are."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec():
        return 0, 1
    return resolver.task_id, resolver.cluster_spec().num_tasks("worker")


def own_folder(strategy: tf.distribute.Strategy, folder) -> Path:
    """Return where this worker may write: ``folder`` for the first.

    The others learn the same. What they write goes to a temporary folder, removed when
    the process ends.
    """
    if worker(strategy)[0] == 0:
        return Path(folder)
    folder = tempfile.mkdtemp(prefix="clip_worker_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def of_first_worker(strategy: tf.distribute.Strategy, data: bytes) -> bytes:
    """Return what the first worker holds. Every worker must call it."""
    number, count = worker(strategy)
    if count == 1:
        return data
    # Bytes cannot be gathered, whole numbers can.
    padded = len(data).to_bytes(8, "little") + data + bytes(-len(data) % 4)
    held = tf.constant(np.frombuffer(padded if number == 0 else b"", "int32"))

    @tf.function
    def exchange():
        context = tf.distribute.get_replica_context()
        first = tf.equal(context.replica_id_in_sync_group, 0)
        # Each device sends as many numbers as it likes: all but the first send none.
        return context.all_gather(held[: tf.where(first, tf.size(held), 0)], axis=0)

    whole = strategy.experimental_local_results(strategy.run(exchange))[0]
    whole = whole.numpy().tobytes()
    return whole[8 : 8 + int.from_bytes(whole[:8], "little")]


def share_file(strategy: tf.distribute.Strategy, path) -> Path:
    """Give every worker the first one's file, each at its own path; return the path."""
    path, first = Path(path), worker(strategy)[0] == 0
    data = of_first_worker(strategy, path.read_bytes() if first else b"")
    if not first:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    return path


class WorkersModel(keras.Model):
    """A model that several workers fit.

    Keras averages their figures along axis 0, which a figure by itself lacks.
    """

    def compute_metrics(self, *arguments, **named):
        figures = super().compute_metrics(*arguments, **named)
        return {name: tf.reshape(value, [1]) for name, value in figures.items()}


class FirstWorkersFigures(keras.callbacks.Callback):
    """Let every worker go by the figures that the first one measured.

    Another processor may round otherwise: one worker would stop, the others wait.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        super().__init__()
        self.strategy = strategy

    def on_epoch_end(self, epoch, logs=None):
        figures = json.dumps({name: float(value) for name, value in logs.items()})
        figures = of_first_worker(self.strategy, figures.encode())
        logs.update(json.loads(figures))


@contextlib.contextmanager
def losing_no_worker(strategy: tf.distribute.Strategy, resumable):
    """Say it in one sentence if another worker ends while this one trains.

    Args:
        strategy: What `open_strategy` returned.
        resumable: Function that says where the training can be resumed.

    Raises:
        ConnectionError: If so.
    """
    number, count = worker(strategy)
    try:
        yield
    except tf.errors.OpError as error:
        if count == 1:
            raise
        raise ConnectionError(
            f"strategy multiworker: worker {number} of {count} cannot go on, since "
            f"another one has ended or cannot be reached ({first_line(error)}). "
            f"{resumable()}"
        ) from error
