"""What is computed over the whole batch, when each device holds a share of it."""

import keras
import tensorflow as tf


def replica_count() -> int:
    """Return how many devices compute this together; 1 outside of ``Strategy.run``."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1


def gather(tensor):
    """Join the shares of a tensor (B, ...) that the N devices hold.

    The gradient goes back to the device that a row came from, summed over the losses of
    all devices.

    Returns:
        Tensor (N x B, ...), the same on each device; on one device the tensor itself.
    """
    if replica_count() == 1:
        return tensor
    # An input of a graph lies on no device yet, which TensorFlow refuses to gather.
    tensor = tf.identity(tensor)
    return tf.distribute.get_replica_context().all_gather(tensor, axis=0)


def own_rows(tensor):
    """Return the rows (B, ...) of this device, of a tensor (N x B, ...)."""
    if replica_count() == 1:
        return tensor
    number = tf.distribute.get_replica_context().replica_id_in_sync_group
    size = tf.shape(tensor)[0] // replica_count()
    return tensor[number * size : (number + 1) * size]


@keras.saving.register_keras_serializable(package="clip_lib")
class WholeBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation by the statistics of the whole batch, on any devices.

    Keras' own ``synchronized=True`` takes the variance as E(x²) - E(x)², which loses
    all digits where features hardly vary.
    """

    def call(self, inputs, training=None, mask=None):
        if not training:
            return super().call(inputs, training=training, mask=mask)
        mask = None if mask is None else gather(mask)
        outputs = super().call(gather(inputs), training=training, mask=mask)
        return own_rows(outputs)
