"""The contrastive loss of CLIP, as a layer that adds itself to the model's loss."""

import math

import keras
import tensorflow as tf
from keras import ops

MAX_SCALE = 100.0
"""Radford et al. 2021, section 2.5: the logits are never scaled by more than this."""


def contrastive_loss(logits, labels=None, label_share: float = 0.0):
    """Symmetric cross-entropy with the diagonal as target.

    Source: Radford et al. 2021 (CLIP), figure 3. Sharing targets among pairs of one
    label mixes it with the supervised contrastive loss of Khosla et al. 2020, section
    3.2: with few pairs, captions of other images of the same label are nearly right.

    Args:
        logits: (B, B), ``logits[i, j]`` = scaled similarity of image i and text j.
        labels: Label numbers (B,), or None if there are none.
        label_share: Share of each target that is spread over the pairs of its label.

    Returns:
        Scalar, mean of both directions; ln B when all logits are equal.
    """
    targets = ops.eye(ops.shape(logits)[0], dtype=logits.dtype)
    if labels is not None and label_share:
        same = ops.cast(labels[:, None] == labels[None, :], logits.dtype)
        same = same / ops.sum(same, axis=1, keepdims=True)
        targets = targets * (1 - label_share) + same * label_share
    image_to_text = ops.categorical_crossentropy(targets, logits, from_logits=True)
    text_to_image = ops.categorical_crossentropy(
        targets, ops.transpose(logits), from_logits=True
    )
    return ops.mean(image_to_text + text_to_image) / 2


def _replicas():
    """Return the context of several devices that share this batch, or None."""
    context = tf.distribute.get_replica_context()
    return context if context and context.num_replicas_in_sync > 1 else None


def gather(tensor):
    """Concatenate the shares (B, ...) of a batch that N devices hold: (N x B, ...).

    Gradients flow back to the device that each row came from. On one device this is
    the tensor itself.
    """
    if (context := _replicas()) is None:
        return tensor
    # TensorFlow refuses to gather a graph input, which is not yet on a device.
    return context.all_gather(tf.identity(tensor), axis=0)


class _AtMost(keras.constraints.Constraint):
    """Keep a weight between 0 and a limit."""

    def __init__(self, limit: float):
        self.limit = limit

    def __call__(self, value):
        return ops.clip(value, 0.0, self.limit)


@keras.saving.register_keras_serializable(package="clip_lib")
class ContrastiveLoss(keras.layers.Layer):
    """Pass two batches of unit embeddings through, and add their contrastive loss.

    The temperature is learned (Radford et al. 2021, section 2.5). The weight is the
    logarithm of its inverse, the scale, divided by ``rate``: the temperature is always
    positive, and moves ``rate`` times as fast as the other weights. A training of 150
    steps would otherwise leave it where it started. After each step it is clipped so
    that the scale stays within [1, 100].

    On N devices the loss is computed over the whole batch: each device adds the loss of
    all pairs, and Keras averages over the devices.

    Args:
        temperature: Initial value.
        label_share: See `contrastive_loss`. Labels (B,) may be passed as a third input.
        rate: Learning rate of the log-temperature, relative to that of the model.
        vocabulary: `vocabulary_fingerprint` of the training. It is kept here because
            this layer is saved within the model.
    """

    def __init__(
        self, temperature=0.07, label_share=0.0, rate=1.0, vocabulary="", **kwargs
    ):
        super().__init__(**kwargs)
        self.initial_temperature = temperature
        self.label_share = label_share
        self.rate = rate
        self.vocabulary = vocabulary

    def build(self, input_shape):
        start = -math.log(self.initial_temperature) / self.rate
        highest = math.log(MAX_SCALE) / self.rate
        self.log_scale = self.add_weight(
            name="log_scale",
            shape=(),
            initializer=keras.initializers.Constant(start),
            constraint=_AtMost(highest),
        )

    @property
    def temperature(self) -> float:
        """The current temperature: logits are similarities divided by it."""
        return math.exp(-self.rate * float(self.log_scale.numpy()))

    def call(self, inputs):
        image_embeddings, text_embeddings, *labels = inputs
        texts = ops.transpose(gather(text_embeddings))
        logits = ops.exp(self.rate * self.log_scale) * gather(image_embeddings) @ texts
        labels = gather(labels[0]) if labels else None
        if _replicas():
            # The devices of a process share this layer object, and `gather` waits for
            # all of them: drop what the others have added meanwhile.
            self._clear_losses()
        self.add_loss(contrastive_loss(logits, labels, self.label_share))
        return image_embeddings, text_embeddings

    def get_config(self):
        return super().get_config() | {
            "temperature": self.initial_temperature,
            "label_share": self.label_share,
            "rate": self.rate,
            "vocabulary": self.vocabulary,
        }
