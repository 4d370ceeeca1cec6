"""The two encoders, first as classifiers, then without their heads.

Both are Functional models. The last layer before each head is called ``features``:
that is where `without_head` cuts.
"""

import keras
import keras_nlp
import numpy as np
from keras import layers

from clip_lib.config import Config

FEATURES = "features"
SCALED = "scaled"
DISTORTIONS = ("zoom", "shift", "brightness", "contrast")


def _batch_norm(inputs, **options):
    # Keras' default momentum of 0.99 remembers a hundred steps, which here is many
    # epochs: the statistics used at inference would lag behind the weights.
    return layers.BatchNormalization(momentum=0.9, **options)(inputs)


def _convolution(inputs, filters: int, size: int = 3, strides: int = 1):
    """Convolution, batch normalisation: the half of a residual block."""
    outputs = layers.Conv2D(
        filters,
        size,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(inputs)
    return _batch_norm(outputs)


def _residual_block(inputs, filters: int, name: str):
    """Two convolutions and a shortcut, to half the side (He et al. 2015, 3.3)."""
    shortcut = layers.AveragePooling2D(2, padding="same")(inputs)
    shortcut = _convolution(shortcut, filters, size=1)
    outputs = layers.ReLU()(_convolution(inputs, filters, strides=2))
    outputs = _convolution(outputs, filters)
    return layers.ReLU(name=name)(layers.Add()([shortcut, outputs]))


def _quarters(inputs, name: str):
    """Mean of each quarter of a map: (B, 4 * channels).

    Four quarters rather than one mean: water lies below and sky above.
    """
    side = -(-inputs.shape[1] // 2), -(-inputs.shape[2] // 2)
    outputs = layers.AveragePooling2D(side, padding="same")(inputs)
    return layers.Flatten(name=name)(outputs)


def _augment(images):
    """Change pictures in training, in ways that change neither label nor caption."""
    images = layers.RandomFlip("horizontal", name="flip")(images)
    images = layers.RandomZoom((-0.3, 0.1), fill_mode="reflect", name="zoom")(images)
    images = layers.RandomTranslation(0.1, 0.1, fill_mode="reflect", name="shift")(
        images
    )
    limits = {"value_range": (-1, 1)}
    images = layers.RandomBrightness(0.2, name="brightness", **limits)(images)
    return layers.RandomContrast(0.3, name="contrast", **limits)(images)


def build_image_classifier(
    config: Config, num_classes: int, patches=None
) -> keras.Model:
    """Build the CNN classifier.

    Scaling and augmentation are layers of the model: the same file serves training and
    inference, and augmentation is idle at inference.

    Args:
        config: Gives ``image_shape``, ``patch_size``, ``patch_filters``, ``filters``.
        num_classes: Number of labels.
        patches: Kernel of the first convolution, see `learn_patches`: (patch_size,
            patch_size, 3, patch_filters); at random if None. It is not trained further.

    Returns:
        Model from images (B, height, width, 3), pixel values 0 to 255, to probabilities
        (B, num_classes).
    """
    image_input = keras.Input(config.image_shape, name="image_input")
    # A quarter of the side holds what 600 pictures can teach, for little work.
    outputs = layers.AveragePooling2D(4, name="quarter_size")(image_input)
    outputs = layers.Rescaling(1 / 127.5, offset=-1, name=SCALED)(outputs)
    outputs = _augment(outputs)
    stem = layers.Conv2D(
        config.patch_filters,
        config.patch_size,
        strides=2,
        use_bias=False,
        trainable=False,
        name="patches",
    )
    outputs = stem(outputs)
    if patches is not None:
        stem.set_weights([patches])
    # Which filters answer most, whatever the contrast of the place; the shift below
    # zero leaves few of them on (the "triangle" of Coates et al. 2011, section 3.2.2).
    outputs = layers.LayerNormalization(
        center=False, scale=False, name="contrast_free"
    )(outputs)
    shift = keras.initializers.Constant(-0.5)
    outputs = layers.ReLU(name="patch_map")(
        _batch_norm(outputs, beta_initializer=shift)
    )
    patch_quarters = _quarters(outputs, "patch_quarters")
    for stage, filters in enumerate(config.filters, 1):
        outputs = _residual_block(outputs, filters, f"block_{stage}")
    block_quarters = _quarters(outputs, "block_quarters")
    # CLIP will need both: what labels taught, and what they had no use for. The head
    # reads the first alone, it would learn the second by heart.
    outputs = layers.Concatenate(name=FEATURES)([patch_quarters, block_quarters])
    outputs = outputs[:, patch_quarters.shape[1] :]
    outputs = layers.Dropout(0.5)(outputs)
    outputs = layers.Dense(num_classes, activation="softmax", name="label")(outputs)
    return keras.Model(image_input, outputs, name="image_classifier")


def build_text_classifier(
    config: Config, vocabulary_size: int, num_classes: int, word_vectors=None
) -> keras.Model:
    """Build the SmallBERT classifier.

    The sentence vector is the mean over the real tokens: ``mask_zero`` makes the
    embedding emit a padding mask, which the Transformer blocks and
    ``GlobalAveragePooling1D`` honour. ``features`` holds two means: that of the word
    vectors themselves and that of the words in their context, which the head reads.

    Args:
        config: Gives ``sequence_length``, ``embed_dim``, ``num_heads``, ``ff_dim``,
            ``num_layers`` and ``dropout``.
        vocabulary_size: Number of token ids, padding and [UNK] included.
        num_classes: Number of labels.
        word_vectors: Where the token embedding starts, (vocabulary_size, embed_dim),
            see `learn_word_vectors`; at random if None.

    Returns:
        Model from token ids (B, sequence_length), 0 = padding, to probabilities
        (B, num_classes).
    """
    text_input = keras.Input(
        (config.sequence_length,), dtype="int32", name="text_input"
    )
    embedding = keras_nlp.layers.TokenAndPositionEmbedding(
        vocabulary_size,
        config.sequence_length,
        config.embed_dim,
        mask_zero=True,
        name="embedding",
    )
    words = layers.Dropout(config.dropout, name="words")(embedding(text_input))
    if word_vectors is not None:
        embedding.token_embedding.set_weights([word_vectors])
        # Positions start silent: the order of the words is learned, if it helps.
        positions = embedding.position_embedding
        positions.set_weights([np.zeros_like(weights) for weights in positions.weights])
    outputs = words
    for block in range(config.num_layers):
        outputs = keras_nlp.layers.TransformerEncoder(
            intermediate_dim=config.ff_dim,
            num_heads=config.num_heads,
            dropout=config.dropout,
            activation="relu",
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name=f"transformer_{block + 1}",
        )(outputs)
    outputs = layers.LayerNormalization(name="last_norm")(outputs)
    outputs = layers.Dropout(config.dropout)(outputs)
    # The mask is told: Keras' attention takes it off the tensor that it reads.
    word_mean = layers.GlobalAveragePooling1D(name="mean_of_words")(
        words, mask=keras.ops.not_equal(text_input, 0)
    )
    context_mean = layers.GlobalAveragePooling1D(name="mean_in_context")(outputs)
    # As in the CNN: the head reads what labels taught, CLIP will need both.
    outputs = layers.Concatenate(name=FEATURES)([word_mean, context_mean])
    outputs = outputs[:, config.embed_dim :]
    outputs = layers.Dense(num_classes, activation="softmax", name="label")(outputs)
    return keras.Model(text_input, outputs, name="text_classifier")


def without_head(classifier: keras.Model) -> keras.Model:
    """Copy a classifier up to its ``features``, without its classification layers.

    Args:
        classifier: A model with a layer named ``features``.

    Returns:
        Model with the classifier's input and the feature vector (B, width) as output. A
        copy, with the same weights: training it leaves the classifier as it is.

    Raises:
        ValueError: If no layer is called ``features``.
    """
    body = keras.Model(classifier.input, classifier.get_layer(FEATURES).output)
    copy = keras.models.clone_model(body)
    copy.set_weights(body.get_weights())
    return copy


def mirrors_only(features: keras.Model) -> keras.Model:
    """Copy an image encoder, leaving no augmentation in it but the mirror.

    Calling it with ``training=False`` would not do: inside a model that is trained,
    Keras passes its own ``training`` on to every layer.
    """

    def copy_layer(layer):
        if layer.name in DISTORTIONS:
            return layers.Identity(name=layer.name)
        return type(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(features, clone_function=copy_layer)
    copy.set_weights(features.get_weights())
    return copy
