"""Our own pretrained weights: where both classifiers and CLIP may start.

They come from a CLIP that `python -m clip_lib train --preset pretraining` trained on
thousands of captioned pictures without labels; see models/pretrained/README.md.
"""

import math

import keras
from keras import layers

from clip_lib.config import VOCABULARY_FILES, Config
from clip_lib.data.vocabulary import Vectorizer, check_vocabulary
from clip_lib.errors import ClipError
from clip_lib.models.encoders import (
    FEATURES,
    STATISTICS,
    build_image_classifier,
    build_text_classifier,
)
from clip_lib.models.saving import PROJECTION, SCALE, load_clip, split_encoders

MODEL = Config().clip_file.name


def load_pretrained(config: Config) -> keras.Model:
    """Load the pretrained CLIP.

    Args:
        config: Gives ``pretrained_dir`` and the sizes that it must have.

    Raises:
        ClipError: If it is not there, or its pictures, texts or embeddings are of
            other sizes than ``config`` says.
    """
    path = config.pretrained_path / MODEL
    clip = load_clip(path)
    image_encoder, text_encoder = split_encoders(clip)
    for name, expected, found in (
        ("image_size", config.image_size, image_encoder.input.shape[1:3]),
        ("sequence_length", config.sequence_length, text_encoder.input.shape[1]),
        ("embed_dim", config.embed_dim, text_encoder.output.shape[1]),
    ):
        if expected != found:
            raise ClipError(
                f"{path}: trained with {name} = {found}, not {expected}; expected the "
                "sizes of the preset fine-tuning."
            )
    return clip


def copy_weights(source: keras.Model, target: keras.Model, config: Config) -> None:
    """Copy the weights of an encoder's layers to those of the same name.

    Args:
        source: A pretrained encoder.
        target: A classifier, which may have a head of its own.
        config: Says where ``source`` comes from.

    Raises:
        ClipError: If a layer is in one of them alone, or has other sizes.
    """
    layers_of = [
        {layer.name for layer in model.layers if layer.weights}
        | {layer.name for layer in model.layers if layer.name.startswith(STATISTICS)}
        for model in (source, target)
    ]
    if other := (layers_of[0] ^ layers_of[1]) - {PROJECTION, SCALE, "label"}:
        raise ClipError(
            f"{config.pretrained_path}: {', '.join(sorted(other))} in one of the model "
            "and the configuration alone; expected the sizes of the preset fine-tuning."
        )
    for layer in source.layers:
        if not layer.weights or layer.name in (PROJECTION, SCALE):
            continue
        weights = layer.get_weights()
        here = target.get_layer(layer.name)
        shapes = [tuple(each.shape) for each in here.weights]
        if shapes != [each.shape for each in weights]:
            raise ClipError(
                f"{config.pretrained_path}: its layer {layer.name} has weights of "
                f"shapes {[each.shape for each in weights]}, not {shapes}; expected "
                "the sizes of the preset fine-tuning."
            )
        here.set_weights(weights)


def pretrained_image_classifier(config: Config, num_classes: int) -> keras.Model:
    """Build the CNN classifier on pretrained features, which are locked.

    Its head reads the features and their pretrained projection: the first are many and
    plain, the second few, and chosen by thousands of captions.

    Args:
        config: As for `build_image_classifier`.
        num_classes: Number of labels.

    Returns:
        Model from images (B, height, width, 3) to probabilities (B, num_classes).

    Raises:
        ClipError: See `load_pretrained`.
    """
    encoder, _ = split_encoders(load_pretrained(config))
    body = build_image_classifier(config, num_classes)
    copy_weights(encoder, body, config)
    for layer in body.layers:
        layer.trainable = False
    features = body.get_layer(FEATURES).output
    projection = layers.Dense(config.embed_dim, trainable=False, name=PROJECTION)
    embedding = layers.UnitNormalization(name="embedding")(projection(features))
    projection.set_weights(encoder.get_layer(PROJECTION).get_weights())
    # Of one length, so that neither drowns the other, and of numbers about 1 rather
    # than of length 1, which the head would learn from too slowly.
    length = math.sqrt(config.embed_dim)
    scaled = layers.Rescaling(
        length / math.sqrt(features.shape[-1]), name="scaled_features"
    )(features)
    embedding = layers.Rescaling(length, name="scaled_embedding")(embedding)
    outputs = layers.Concatenate(name="both")([scaled, embedding])
    outputs = layers.Dropout(config.dropout)(outputs)
    outputs = layers.Dense(num_classes, activation="softmax", name="label")(outputs)
    return keras.Model(body.input, outputs, name="image_classifier")


def pretrained_text_classifier(
    config: Config, vectorizer: Vectorizer, num_classes: int
) -> keras.Model:
    """Build the SmallBERT classifier, its encoder pretrained; a new head.

    Args:
        config: As for `build_text_classifier`.
        vectorizer: The vocabulary that the weights were trained with.
        num_classes: Number of labels.

    Raises:
        ClipError: See `load_pretrained`; or if the vocabulary is another.
    """
    clip = load_pretrained(config)
    _, encoder = split_encoders(clip)
    known = encoder.get_layer("embedding").token_embedding.input_dim
    fingerprint = clip.get_layer("contrastive_loss").vocabulary
    folder = config.pretrained_path
    files = folder / VOCABULARY_FILES["smallbert"], folder / MODEL
    check_vocabulary(vectorizer, *files, known, fingerprint)
    model = build_text_classifier(config, known, num_classes)
    copy_weights(encoder, model, config)
    return model


def start_projections(clip: keras.Model, config: Config) -> None:
    """Give a CLIP of `build_clip` the pretrained projections of our own encoders."""
    encoders = zip(
        split_encoders(load_pretrained(config)), split_encoders(clip), strict=True
    )
    own = config.image_encoder == "cnn", config.text_encoder == "smallbert"
    for (source, target), is_own in zip(encoders, own, strict=True):
        if not is_own:
            continue
        for name in (PROJECTION, SCALE):
            if name in {layer.name for layer in target.layers}:
                weights = source.get_layer(name).get_weights()
                target.get_layer(name).set_weights(weights)
