"""The two encoders, first as classifiers, then without their heads.

Both are Functional models. The last layer before each head is called ``features``:
that is where `without_head` cuts.
"""

import keras
import keras_nlp
from keras import layers

from clip_lib.config import Config

FEATURES = "features"


def _convolution(inputs, filters: int, strides: int = 1):
    """Convolution, batch normalisation: the half of a residual block."""
    outputs = layers.Conv2D(
        filters,
        3,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(inputs)
    # Keras' default momentum of 0.99 remembers a hundred steps, which here is many
    # epochs: the statistics used at inference would lag behind the weights.
    return layers.BatchNormalization(momentum=0.9)(outputs)


def _residual_block(inputs, filters: int, strides: int, name: str):
    """Two convolutions and a shortcut (He et al. 2015, section 3.3)."""
    shortcut = inputs
    if strides > 1 or inputs.shape[-1] != filters:
        shortcut = layers.AveragePooling2D(strides, padding="same")(inputs)
        shortcut = layers.Conv2D(filters, 1, use_bias=False)(shortcut)
        shortcut = layers.BatchNormalization(momentum=0.9)(shortcut)
    outputs = layers.ReLU()(_convolution(inputs, filters, strides))
    outputs = _convolution(outputs, filters)
    return layers.ReLU(name=name)(layers.Add()([shortcut, outputs]))


def build_image_classifier(config: Config, num_classes: int) -> keras.Model:
    """Build the CNN classifier.

    Scaling and augmentation are layers of the model: the same file serves training and
    inference, and augmentation is idle at inference.

    Args:
        config: Gives ``image_shape`` and ``filters``.
        num_classes: Number of labels.

    Returns:
        Model from images (B, height, width, 3), pixel values 0 to 255, to probabilities
        (B, num_classes).
    """
    image_input = keras.Input(config.image_shape, name="image_input")
    # Halving the sides before anything else costs little that 600 pictures could teach,
    # and divides the work of every layer that follows by four.
    outputs = layers.AveragePooling2D(2, name="half_size")(image_input)
    outputs = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(outputs)
    outputs = layers.RandomFlip("horizontal", name="flip")(outputs)
    outputs = layers.RandomZoom((-0.3, 0.1), fill_mode="reflect", name="zoom")(outputs)
    outputs = layers.RandomTranslation(0.1, 0.1, fill_mode="reflect", name="shift")(
        outputs
    )
    outputs = layers.RandomBrightness(0.2, value_range=(-1, 1), name="brightness")(
        outputs
    )
    outputs = layers.RandomContrast(0.3, value_range=(-1, 1), name="contrast")(outputs)
    # Patches of 4 x 4 pixels, as in vision transformers: a cheap first layer.
    outputs = layers.Conv2D(config.filters[0], 4, 4, use_bias=False, name="stem")(
        outputs
    )
    outputs = layers.BatchNormalization(momentum=0.9)(outputs)
    outputs = layers.ReLU()(outputs)
    for stage, filters in enumerate(config.filters, 1):
        strides = 1 if stage == 1 else 2
        outputs = _residual_block(outputs, filters, strides, f"block_{stage}a")
        outputs = _residual_block(outputs, filters, 1, f"block_{stage}b")
    outputs = layers.GlobalAveragePooling2D(name=FEATURES)(outputs)
    outputs = layers.Dropout(0.3)(outputs)
    outputs = layers.Dense(num_classes, activation="softmax", name="label")(outputs)
    return keras.Model(image_input, outputs, name="image_classifier")


def build_text_classifier(
    config: Config, vocabulary_size: int, num_classes: int
) -> keras.Model:
    """Build the SmallBERT classifier.

    The sentence vector is the mean over the real tokens: ``mask_zero`` makes the
    embedding emit a padding mask, which the Transformer blocks and
    ``GlobalAveragePooling1D`` honour.

    Args:
        config: Gives ``sequence_length``, ``embed_dim``, ``num_heads``, ``ff_dim``,
            ``num_layers`` and ``dropout``.
        vocabulary_size: Number of token ids, padding and [UNK] included.
        num_classes: Number of labels.

    Returns:
        Model from token ids (B, sequence_length), 0 = padding, to probabilities
        (B, num_classes).
    """
    text_input = keras.Input(
        (config.sequence_length,), dtype="int32", name="text_input"
    )
    outputs = keras_nlp.layers.TokenAndPositionEmbedding(
        vocabulary_size,
        config.sequence_length,
        config.embed_dim,
        mask_zero=True,
        name="embedding",
    )(text_input)
    outputs = layers.Dropout(config.dropout)(outputs)
    for block in range(config.num_layers):
        outputs = keras_nlp.layers.TransformerEncoder(
            intermediate_dim=config.ff_dim,
            num_heads=config.num_heads,
            dropout=config.dropout,
            activation="relu",
            name=f"transformer_{block + 1}",
        )(outputs)
    outputs = layers.LayerNormalization(name="last_norm")(outputs)
    outputs = layers.Dropout(config.dropout)(outputs)
    outputs = layers.GlobalAveragePooling1D(name=FEATURES)(outputs)
    outputs = layers.Dense(num_classes, activation="softmax", name="label")(outputs)
    return keras.Model(text_input, outputs, name="text_classifier")


def without_head(classifier: keras.Model, warm: bool = True) -> keras.Model:
    """Copy a classifier up to its ``features``, without its classification layers.

    Args:
        classifier: A model with a layer named ``features``.
        warm: Whether the copy keeps what the classifier learned; else it starts anew.

    Returns:
        Model with the classifier's input and the feature vector (B, width) as output. A
        copy: training it leaves the classifier as it is.

    Raises:
        ValueError: If no layer is called ``features``.
    """
    body = keras.Model(classifier.input, classifier.get_layer(FEATURES).output)
    copy = keras.models.clone_model(body)
    if warm:
        copy.set_weights(body.get_weights())
    return copy
