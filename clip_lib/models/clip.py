"""CLIP: two encoders, one space."""

import keras
from keras import layers

from clip_lib.config import Config
from clip_lib.models.contrastive_loss import ContrastiveLoss
from clip_lib.models.cross_replica import WholeBatchNormalization
from clip_lib.models.encoders import mirrors_only, unfreeze
from clip_lib.models.saving import (
    HIDDEN,
    IMAGE_ENCODER,
    PROJECTION,
    SCALE,
    TEXT_ENCODER,
    split_encoders,
)
from clip_lib.towers.pretrained_clip import start_projections


def build_encoder(
    features: keras.Model, embed_dim: int, name: str, start="glorot_uniform"
) -> keras.Model:
    """Project features into the common space, on the unit sphere.

    Args:
        features: Model that returns feature vectors (B, width).
        embed_dim: Width of the common space.
        name: Name of the encoder.
        start: Initialiser of the projection.

    Returns:
        Model that returns unit vectors (B, embed_dim). The normalisation is inside, so
        that training, search and the reloaded file share one geometry.
    """
    projection = layers.Dense(embed_dim, kernel_initializer=start, name=PROJECTION)
    outputs = layers.UnitNormalization(name="unit_length")(projection(features.output))
    return keras.Model(features.input, outputs, name=name)


def _one_scale(features: keras.Model) -> keras.Model:
    """Bring features of different scales to one."""
    # Some features hardly vary: Keras' default epsilon would leave them near zero.
    outputs = WholeBatchNormalization(
        momentum=0.9, epsilon=1e-6, center=False, scale=False, name=SCALE
    )(features.output)
    return keras.Model(features.input, outputs)


def build_clip(
    image_features: keras.Model, text_features: keras.Model, config: Config
) -> keras.Model:
    """Join the two encoders with the contrastive loss.

    The image features are locked, only their projection learns (Zhai et al. 2022, LiT):
    trained further on so few pairs, they retrieve less well (benchmarks/README.md). So
    are the text features of a pretrained network, which its rate would wreck.

    Args:
        image_features, text_features: Classifiers without their heads.
        config: Gives ``embed_dim``, ``temperature``, ``label_smoothing``,
            ``label_share``, ``text_encoder``, ``locked_images``, ``locked_texts`` and
            ``feature_dropout``; if ``pretrained``, the projections start from those of
            `load_pretrained`.

    Returns:
        Model from ``{"image_input", "text_input"}`` to (image_embeddings,
        text_embeddings), each (B, embed_dim), which carries its own loss: ``compile``
        needs none.
    """
    keras.utils.set_random_seed(config.seed)  # The projections start at random.
    # Small on the side of the images, which are many numbers: what is learned soon
    # outweighs the directions drawn at the start.
    small = keras.initializers.TruncatedNormal(stddev=0.01)
    # Distorted pictures would blur what the projection learns from.
    image_features = mirrors_only(image_features)
    if config.locked_images:
        image_features.trainable = False
    else:
        unfreeze(image_features)
        for layer in image_features.layers:
            # Pretrained, it is locked in the classifier.
            layer.trainable |= layer.name == "descriptors"
    locked_texts = config.locked_texts
    if locked_texts is None:
        locked_texts = config.text_encoder != "smallbert"
    if locked_texts:
        text_features.trainable = False
    else:
        unfreeze(text_features)
    hidden = layers.Dropout(config.feature_dropout, name=HIDDEN)
    image_features = keras.Model(image_features.input, hidden(image_features.output))
    image_encoder = build_encoder(
        image_features, config.embed_dim, IMAGE_ENCODER, small
    )
    text_encoder = build_encoder(
        _one_scale(text_features), config.embed_dim, TEXT_ENCODER
    )
    image_input = keras.Input(image_encoder.input.shape[1:], name="image_input")
    text_input = keras.Input(
        text_encoder.input.shape[1:], dtype="int32", name="text_input"
    )
    loss = ContrastiveLoss(
        config.temperature,
        config.label_smoothing,
        config.label_share,
        name="contrastive_loss",
    )
    embeddings = loss([image_encoder(image_input), text_encoder(text_input)])
    inputs = {"image_input": image_input, "text_input": text_input}
    clip = keras.Model(inputs, embeddings, name="clip")
    if config.pretrained:
        start_projections(clip, config)
    return clip


def with_labels(clip: keras.Model) -> keras.Model:
    """Let the loss of a CLIP see the labels, while it is trained.

    Args:
        clip: Model of `build_clip`.

    Returns:
        Model with one more input, ``label_input`` (B,): label numbers. It shares every
        weight with ``clip``, which stays as it is: queries have no label.
    """
    image_encoder, text_encoder = split_encoders(clip)
    label_input = keras.Input((), dtype="int32", name="label_input")
    embeddings = clip.get_layer("contrastive_loss")(
        [
            image_encoder(clip.input["image_input"]),
            text_encoder(clip.input["text_input"]),
            label_input,
        ]
    )
    inputs = clip.input | {"label_input": label_input}
    return keras.Model(inputs, embeddings, name="clip_with_labels")
