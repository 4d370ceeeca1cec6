"""The contrastive loss of CLIP, as a layer that adds itself to the model's loss."""

import math

import keras
from keras import ops

from clip_lib.models.cross_replica import gather, replica_count

MAX_SCALE = 100.0
"""Radford et al. 2021, section 2.5: the logits are never scaled by more than this."""


def _targets(size, dtype, label_smoothing: float, labels, label_share: float):
    """Rows of probabilities (B, B): which texts an image should be near."""
    targets = ops.eye(size, dtype=dtype)
    if label_smoothing:
        share = label_smoothing / ops.cast(size, dtype)
        targets = targets * (1 - label_smoothing) + share
    if labels is not None and label_share:
        same = ops.cast(labels[:, None] == labels[None, :], dtype)
        same = same / ops.sum(same, axis=1, keepdims=True)
        targets = targets * (1 - label_share) + same * label_share
    return targets


def contrastive_loss(
    logits, label_smoothing: float = 0.0, labels=None, label_share: float = 0.0
):
    """Symmetric cross-entropy with the diagonal as target.

    Source: Radford et al. 2021 (CLIP), figure 3. The share for pairs of one label is a
    mixture with the supervised contrastive loss of Khosla et al. 2020, section 3.2.

    Args:
        logits: (B, B), ``logits[i, j]`` = scaled similarity of image i and text j.
        label_smoothing: Share of the target spread evenly over the B candidates: with
            few pairs, captions of other pictures are often nearly right.
        labels: Label numbers (B,), or None if there are none.
        label_share: Share of the whole target, smoothing included, that goes to the
            pairs of the same label instead.

    Returns:
        Scalar, mean of both directions; ln B when nothing is told apart.
    """
    size = ops.shape(logits)[0]
    targets = _targets(size, logits.dtype, label_smoothing, labels, label_share)
    image_to_text = ops.categorical_crossentropy(targets, logits, from_logits=True)
    text_to_image = ops.categorical_crossentropy(
        targets, ops.transpose(logits), from_logits=True
    )
    return ops.mean(image_to_text + text_to_image) / 2


@keras.saving.register_keras_serializable(package="clip_lib")
class ContrastiveLoss(keras.layers.Layer):
    """Pass two batches of unit embeddings through, and add their contrastive loss.

    The temperature is learned (Radford et al. 2021, section 2.5). What is stored is the
    logarithm of its inverse, the scale, which keeps it positive whatever the optimiser
    does; after each step it is clamped so that the scale stays within [1, 100].

    On N devices the loss is that of the N shares together, every pair among all texts
    and images. Each device adds the whole of it: Keras divides by N, and sums the
    gradients of the devices.

    Args:
        temperature: Starting value.
        label_smoothing, label_share: See `contrastive_loss`. Labels, label numbers
            (B,), may be passed as a third input.
        vocabulary: What the texts were encoded with in training, if it is known: its
            `vocabulary_fingerprint`, kept with the temperature.
    """

    def __init__(
        self,
        temperature=0.07,
        label_smoothing=0.0,
        label_share=0.0,
        vocabulary="",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.initial_temperature = temperature
        self.label_smoothing = label_smoothing
        self.label_share = label_share
        self.vocabulary = vocabulary

    def build(self, input_shape):
        self.log_scale = self.add_weight(
            name="log_scale",
            shape=(),
            initializer=keras.initializers.Constant(
                -math.log(self.initial_temperature)
            ),
            constraint=lambda value: ops.clip(value, 0.0, math.log(MAX_SCALE)),
        )

    @property
    def temperature(self) -> float:
        """The temperature as it stands: logits are similarities divided by it."""
        return math.exp(-float(self.log_scale.numpy()))

    def call(self, inputs):
        image_embeddings, text_embeddings, *labels = inputs
        scale = ops.exp(self.log_scale)
        texts = ops.transpose(gather(text_embeddings))
        logits = scale * gather(image_embeddings) @ texts
        labels = gather(labels[0]) if labels else None
        if replica_count() > 1:
            # This layer is one object for all devices of a process, and each of them
            # waits in `gather` for the others: forget what they have added meanwhile.
            self._clear_losses()
        self.add_loss(
            contrastive_loss(logits, self.label_smoothing, labels, self.label_share)
        )
        return image_embeddings, text_embeddings

    def get_config(self):
        return super().get_config() | {
            "temperature": self.initial_temperature,
            "label_smoothing": self.label_smoothing,
            "label_share": self.label_share,
            "vocabulary": self.vocabulary,
        }
