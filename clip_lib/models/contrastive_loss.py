"""The contrastive loss of CLIP, as a layer that adds itself to the model's loss."""

import math

import keras
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


class _AtMost(keras.constraints.Constraint):
    """Keep a weight between 0 and a limit."""

    def __init__(self, limit: float):
        self.limit = limit

    def __call__(self, value):
        return ops.clip(value, 0.0, self.limit)


@keras.saving.register_keras_serializable(package="clip_lib")
class ContrastiveLoss(keras.layers.Layer):
    """Pass two batches of unit embeddings through, and add their contrastive loss.

    The temperature is learned (Radford et al. 2021, section 2.5). The weight is
    log(1 / temperature) / ``rate``: the temperature stays positive, and its logarithm
    moves ``rate`` times as fast as other weights. A training of 150 steps would
    otherwise leave it where it started. After each step it is clipped so that the
    scale, 1 / temperature, stays within [1, 100].

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
        similarity = image_embeddings @ ops.transpose(text_embeddings)
        logits = ops.exp(self.rate * self.log_scale) * similarity
        labels = labels[0] if labels else None
        self.add_loss(contrastive_loss(logits, labels, self.label_share))
        return image_embeddings, text_embeddings

    def get_config(self):
        return super().get_config() | {
            "temperature": self.initial_temperature,
            "label_share": self.label_share,
            "rate": self.rate,
            "vocabulary": self.vocabulary,
        }
