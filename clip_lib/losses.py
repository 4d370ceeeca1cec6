"""The contrastive loss of CLIP, as a layer that adds itself to the model's loss."""

import math

import keras
from keras import ops

MAX_SCALE = 100.0
"""Radford et al. 2021, section 2.5: the logits are never scaled by more than this."""


def contrastive_loss(logits, label_smoothing: float = 0.0):
    """Symmetric cross-entropy with the diagonal as target.

    Source: Radford et al. 2021 (CLIP), figure 3.

    Args:
        logits: (B, B), ``logits[i, j]`` = scaled similarity of image i and text j.
        label_smoothing: Share of the target spread evenly over the B candidates: with
            few pairs, captions of other pictures are often nearly right.

    Returns:
        Scalar, mean of both directions; ln B when nothing is told apart.
    """
    targets = ops.eye(ops.shape(logits)[0], dtype=logits.dtype)
    if label_smoothing:
        share = label_smoothing / ops.cast(ops.shape(logits)[0], logits.dtype)
        targets = targets * (1 - label_smoothing) + share
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

    Args:
        temperature: Starting value.
        label_smoothing: See `contrastive_loss`.
    """

    def __init__(self, temperature=0.07, label_smoothing=0.0, **kwargs):
        super().__init__(**kwargs)
        self.initial_temperature = temperature
        self.label_smoothing = label_smoothing

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
        return math.exp(-float(self.log_scale))

    def call(self, inputs):
        image_embeddings, text_embeddings = inputs
        scale = ops.exp(self.log_scale)
        logits = scale * image_embeddings @ ops.transpose(text_embeddings)
        self.add_loss(contrastive_loss(logits, self.label_smoothing))
        return image_embeddings, text_embeddings

    def get_config(self):
        return super().get_config() | {
            "temperature": self.initial_temperature,
            "label_smoothing": self.label_smoothing,
        }
