"""A stream whose n-th epoch is the same, however a training comes to it."""

import itertools

import keras
import tensorflow as tf

from clip_lib.training.distribution import batch_size, per_device


class EpochStream(tf.data.Dataset, tf.distribute.DistributedDataset):
    """Batches of a stream that shuffles itself, shared among the devices of a strategy.

    Such a stream goes on to its next epoch whenever an iterator is made. Keras makes
    more of them than there are epochs, and on several devices one more at the start:
    here only `enter` goes on. It inherits from both classes because Keras asks for
    them; of their methods it has those that ``Model.fit`` calls.

    Args:
        stream: Batches, as many in each epoch; the size of a batch is fixed.
        strategy: What `open_strategy` returned.

    Raises:
        ClipError: If a batch cannot be shared equally.
    """

    def __init__(self, stream: tf.data.Dataset, strategy: tf.distribute.Strategy):
        self._stream = per_device(stream, strategy)
        self._spec, self._steps = stream.element_spec, int(stream.cardinality())
        self._entered = self._made = 0
        size = batch_size(stream) // strategy.num_replicas_in_sync
        self._zeros = tf.nest.map_structure(
            lambda spec: tf.zeros((size, *spec.shape[1:]), spec.dtype), self._spec
        )

    def enter(self, epoch: int) -> None:
        """Make the next iterator that of an epoch, from 0; those before are skipped."""
        self._entered = epoch + 1

    def __iter__(self):
        if self._made == self._entered:  # Keras only wants to see a batch.
            return itertools.repeat(self._zeros)
        while self._made < self._entered:
            iterator = iter(self._stream)
            self._made += 1
        return iterator

    def cardinality(self) -> int:
        """Return the number of batches in an epoch."""
        return self._steps

    @property
    def element_spec(self):
        """What a batch is."""
        return self._spec

    def _inputs(self):
        return []


class EnterEpoch(keras.callbacks.Callback):
    """Tell a stream which epoch begins."""

    def __init__(self, stream: EpochStream):
        super().__init__()
        self.stream = stream

    def on_epoch_begin(self, epoch, logs=None):
        self.stream.enter(epoch)
