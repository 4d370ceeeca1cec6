"""CLIP: two encoders without their heads, projected into one space."""

import keras
import numpy as np
from keras import layers

from clip_lib.config import Config
from clip_lib.data.pipelines import FEATURE_INPUT
from clip_lib.models.contrastive_loss import ContrastiveLoss
from clip_lib.models.saving import (
    IMAGE_ENCODER,
    LOSS,
    PROJECTION,
    SCALE,
    TEXT_ENCODER,
    split_encoders,
    without_lists,
)

FEATURES = "features"
"""The layer, of a classifier or of CLIP's image encoder, whose output CLIP projects."""
TEMPERATURE_RATE = 10.0
"""Of the log-temperature: see `ContrastiveLoss`."""


def without_head(classifier: keras.Model, frozen: bool = False) -> keras.Model:
    """Copy a classifier up to its layer ``features``, without its head.

    Args:
        classifier: Model with a layer named ``features``.
        frozen: Whether CLIP keeps these weights as they are.

    Returns:
        Model with the classifier's input and the feature vector (B, width) as output. A
        copy with the same weights: training it does not change the classifier.

    Raises:
        ValueError: If no layer is named ``features``, or it gives no vector.
    """
    features = _copy(_features(classifier))
    if len(features.output.shape) != 2:
        raise ValueError(f"features {features.output.shape}: expected (B, width).")
    return _freeze(features) if frozen else features


def _features(model: keras.Model) -> keras.Model:
    return keras.Model(model.input, model.get_layer(FEATURES).output)


def _copy(model: keras.Model) -> keras.Model:
    copy = without_lists(keras.models.clone_model(model))
    copy.set_weights(model.get_weights())
    return copy if model.trainable_weights else _freeze(copy)


def _freeze(model: keras.Model) -> keras.Model:
    model.trainable = False
    # A copy of KerasHub's Transformer block does not pass this on to its own layers.
    for weight in model.weights:
        weight.trainable = False
    return model


def _encoder(outputs, features, embed_dim: int, name: str, kernel) -> keras.Model:
    """Project features onto the unit sphere of the common space.

    The normalisation is part of the model, so that training, search and the reloaded
    file share one geometry.
    """
    projection = layers.Dense(embed_dim, kernel_initializer=kernel, name=PROJECTION)
    outputs = layers.UnitNormalization(name="unit_length")(projection(outputs))
    return keras.Model(features.input, outputs, name=name)


def build_clip(
    image_features: keras.Model, text_features: keras.Model, config: Config
) -> keras.Model:
    """Join two encoders by a linear projection each and the contrastive loss.

    Frozen features stay frozen: only their projection learns (Zhai et al. 2022, LiT).

    Args:
        image_features, text_features: Classifiers without their heads, see
            `without_head`. They are copied; training CLIP does not change them.
        config: Gives ``embed_dim``, ``temperature``, ``label_share``,
            ``feature_dropout`` and ``seed``.

    Returns:
        Model from ``{"image_input", "text_input"}`` to (image_embeddings,
        text_embeddings), each (B, embed_dim), which carries its own loss: ``compile``
        needs none.
    """
    keras.utils.set_random_seed(config.seed)  # For the weights of the projections.
    images, texts = _copy(image_features), _copy(text_features)
    # Small on the image side, which has many features: what is learned soon outweighs
    # the random initial directions.
    small = keras.initializers.TruncatedNormal(stddev=0.01)
    hidden = layers.Dropout(config.feature_dropout)(images.output)
    image_encoder = _encoder(hidden, images, config.embed_dim, IMAGE_ENCODER, small)
    # Text features differ in scale, and some hardly vary: the default epsilon would
    # leave those near zero.
    scaled = layers.BatchNormalization(
        momentum=0.9,
        epsilon=1e-6,
        center=False,
        scale=False,
        name=SCALE,
    )(texts.output)
    text_encoder = _encoder(
        scaled, texts, config.embed_dim, TEXT_ENCODER, "glorot_uniform"
    )
    image_input = keras.Input(image_encoder.input.shape[1:], name="image_input")
    text_input = keras.Input(
        text_encoder.input.shape[1:], dtype="int32", name="text_input"
    )
    loss = ContrastiveLoss(
        config.temperature, config.label_share, TEMPERATURE_RATE, name=LOSS
    )
    embeddings = loss([image_encoder(image_input), text_encoder(text_input)])
    inputs = {"image_input": image_input, "text_input": text_input}
    return keras.Model(inputs, embeddings, name="clip")


def frozen_features(model: keras.Model) -> keras.Model | None:
    """Return the part of a model from images to features (B, width), if it is frozen.

    Frozen, it gives an image the same features in every epoch: they can be computed
    once, and training goes on from there with `continue_after`. None if it is not.

    Args:
        model: An image classifier or the image encoder of a CLIP.
    """
    features = _features(model)
    return None if features.trainable_weights else features


def continue_after(model: keras.Model, name: str, outputs):
    """Apply the layers of a model that follow the layer ``name``, one by one."""
    for layer in model.layers[model.layers.index(model.get_layer(name)) + 1 :]:
        outputs = layer(outputs)
    return outputs


def trainable_part(clip: keras.Model, labelled: bool = False) -> keras.Model:
    """Return what `fit_clip` trains: a model that shares its weights with ``clip``.

    Args:
        clip: Model of `build_clip`.
        labelled: Whether there is a third input, ``label_input`` (B,): label numbers,
            for the loss. Queries have no label, so ``clip`` has no such input.

    Returns:
        Model from ``{"image_input", "text_input"}``, or from ``{"feature_input",
        "text_input"}`` if the image features are frozen, to (image_embeddings,
        text_embeddings), each (B, embed_dim); it adds the loss of ``clip``.
    """
    image_encoder, text_encoder = split_encoders(clip)
    inputs = {"text_input": clip.input["text_input"]}
    if frozen := frozen_features(image_encoder):
        inputs[FEATURE_INPUT] = keras.Input(frozen.output.shape[1:], name=FEATURE_INPUT)
        images = continue_after(image_encoder, FEATURES, inputs[FEATURE_INPUT])
    else:
        inputs["image_input"] = clip.input["image_input"]
        images = image_encoder(inputs["image_input"])
    embeddings = [images, text_encoder(inputs["text_input"])]
    if labelled:
        inputs["label_input"] = keras.Input((), dtype="int32", name="label_input")
        embeddings.append(inputs["label_input"])
    return keras.Model(inputs, clip.get_layer(LOSS)(embeddings), name="trained_clip")


def stretch_labels(clip: keras.Model, batches, factor: float) -> None:
    """Let the labels weigh more in the cosines of a CLIP that is already trained.

    The means, by label, of image plus text embedding span a few directions of the
    common space. Both projections lengthen these and leave the others: pairs of one
    label move closer together, and the order among them stays nearly as it was.

    Args:
        clip: Model of `build_clip`, with projections from a pretraining.
        batches: Training pairs with ``label_input``, see `training.fit.clip_batches`.
        factor: How many times as long; 1 changes nothing.
    """
    model, labels, embeddings = trainable_part(clip, labelled=True), [], []
    for batch in batches:
        labels.append(batch["label_input"])
        embeddings.append(sum(model.predict_on_batch(batch)))
    labels, embeddings = np.concatenate(labels), np.concatenate(embeddings)
    names = np.unique(labels)
    means = np.stack([embeddings[labels == name].mean(axis=0) for name in names])
    # Once centred, L means span L - 1 directions.
    _, _, directions = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    directions = directions[: len(names) - 1]
    stretch = np.eye(means.shape[1]) + (factor - 1) * directions.T @ directions
    for encoder in split_encoders(clip):
        projection = encoder.get_layer(PROJECTION)
        projection.set_weights([each @ stretch for each in projection.get_weights()])
