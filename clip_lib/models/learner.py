"""What is left to train of a CLIP whose image features are locked."""

import keras

from clip_lib.data.pipelines import INPUT
from clip_lib.models.saving import HIDDEN, split_encoders


def locked_features(clip: keras.Model) -> keras.Model:
    """Return the locked part of a CLIP: images to features (B, width)."""
    image_encoder, _ = split_encoders(clip)
    return keras.Model(image_encoder.input, image_encoder.get_layer(HIDDEN).input)


def learner(clip: keras.Model, labelled: bool = False) -> keras.Model:
    """Return the rest: features and texts to the loss, with the very weights of a CLIP.

    Args:
        clip: Model of `build_clip`.
        labelled: Whether there is a third input, ``label_input`` (B,): label numbers.

    Returns:
        Model from ``{"feature_input", "text_input"}`` to (image_embeddings,
        text_embeddings), each (B, embed_dim), which adds the loss of ``clip``.
    """
    image_encoder, text_encoder = split_encoders(clip)
    hidden = image_encoder.get_layer(HIDDEN)
    inputs = {
        INPUT: keras.Input(hidden.input.shape[1:], name=INPUT),
        "text_input": keras.Input(
            text_encoder.input.shape[1:], dtype="int32", name="text_input"
        ),
    }
    outputs = inputs[INPUT]
    for layer in image_encoder.layers[image_encoder.layers.index(hidden) :]:
        outputs = layer(outputs)
    embeddings = [outputs, text_encoder(inputs["text_input"])]
    if labelled:
        inputs["label_input"] = keras.Input((), dtype="int32", name="label_input")
        embeddings.append(inputs["label_input"])
    embeddings = clip.get_layer("contrastive_loss")(embeddings)
    return keras.Model(inputs, embeddings, name="learner")
