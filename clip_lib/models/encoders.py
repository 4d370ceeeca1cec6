"""The two encoders, first as classifiers, then without their heads.

Both are Functional models. The last layer before each head is called ``features``:
that is where `without_head` cuts.
"""

import keras
import keras_nlp
import numpy as np
from keras import layers, ops

from clip_lib.config import Config
from clip_lib.errors import ClipError
from clip_lib.models.augmentation import DISTORTIONS, augment
from clip_lib.models.second_order_pooling import SecondOrderPooling

FEATURES = "features"
STATISTICS = "statistics"
DIRECTIONS = 8
PIECE = 4
"""Side of what the CNN's convolution sees at once, in cells."""


def _edge_kernel(directions: int) -> np.ndarray:
    """How fast the grey level grows in each direction: (3, 3, 3, directions)."""
    kernel = np.zeros((3, 3, 3, directions), "float32")
    for number, angle in enumerate(np.arange(directions) * 2 * np.pi / directions):
        kernel[1, 2, :, number] += np.cos(angle) / 3
        kernel[1, 0, :, number] -= np.cos(angle) / 3
        kernel[2, 1, :, number] += np.sin(angle) / 3
        kernel[0, 1, :, number] -= np.sin(angle) / 3
    return kernel


def _statistics(colours, edges, cell: int):
    """Mean and deviation of the colours and strength of the edges, a cell at a time."""
    pool = layers.AveragePooling2D(cell)
    means = pool(colours)
    variances = pool(ops.square(colours)) - ops.square(means)
    # Never the root of 0, whose slope is infinite.
    deviations = ops.sqrt(ops.relu(variances) + 1e-6)
    strengths = ops.sqrt(pool(edges) + 1e-6)
    return layers.Concatenate(name=f"{STATISTICS}_{cell}")(
        [means, deviations, strengths]
    )


def build_image_classifier(config: Config, num_classes: int) -> keras.Model:
    """Build the CNN classifier.

    Scaling and augmentation are layers of the model: the same file serves training and
    inference, and augmentation is idle at inference.

    Every cell of the picture is summed up as the classic descriptors do, colours and
    edges (Lowe 2004, SIFT, section 6); a convolution reads pieces of 4 x 4 cells, the
    same one at each size of the cells, and `SecondOrderPooling` makes one vector of its
    answers. `start_image_classifier` gives the convolution a good start.

    Args:
        config: Gives ``image_shape``, ``cells`` and ``descriptors``.
        num_classes: Number of labels.

    Returns:
        Model from images (B, height, width, 3), pixel values 0 to 255, to probabilities
        (B, num_classes).

    Raises:
        ClipError: If the pictures have no room for 4 x 4 of the largest cells.
    """
    least = 2 * (PIECE * max(config.cells) + 2)
    if min(config.image_size) < least:
        raise ClipError(
            f"image_size = {config.image_size}: expected sides of at least {least} "
            f"pixels, for cells = {config.cells}."
        )
    image_input = keras.Input(config.image_shape, name="image_input")
    outputs = layers.AveragePooling2D(2, name="half_size")(image_input)
    outputs = layers.Rescaling(1 / 127.5, offset=-1, name="scaled")(outputs)
    outputs = augment(outputs, (-1, 1))
    find_edges = layers.Conv2D(
        DIRECTIONS, 3, use_bias=False, trainable=False, name="edges"
    )
    edges = layers.ReLU(name="edge_strength")(find_edges(outputs))
    find_edges.set_weights([_edge_kernel(DIRECTIONS)])
    colours = layers.Cropping2D(1, name="colours")(outputs)
    describe = layers.Conv2D(config.descriptors, PIECE, name="descriptors")
    maps = [describe(_statistics(colours, edges, cell)) for cell in config.cells]
    outputs = SecondOrderPooling(name="second_order")(maps)
    # Around 0 and of one scale in all, not of one each: the small ones are mostly
    # noise. Locked: the averages are those of the start, see start.py.
    outputs = layers.BatchNormalization(
        center=False, scale=False, epsilon=1e-9, trainable=False, name=FEATURES
    )(outputs)
    outputs = layers.Dropout(0.5)(outputs)
    small = keras.initializers.TruncatedNormal(stddev=0.001)
    outputs = layers.Dense(
        num_classes, activation="softmax", kernel_initializer=small, name="label"
    )(outputs)
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
        words, mask=ops.not_equal(text_input, 0)
    )
    context_mean = layers.GlobalAveragePooling1D(name="mean_in_context")(outputs)
    # CLIP will need both: what labels taught, and what they had no use for. The head
    # reads the second alone, it would learn the first by heart.
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
        ClipError: If no layer is called ``features``.
    """
    body = keras.Model(classifier.input, classifier.get_layer(FEATURES).output)
    copy = keras.models.clone_model(body)
    copy.set_weights(body.get_weights())
    return copy


def networks_in(model: keras.Model) -> list[keras.Model]:
    """Return the pretrained networks in a model: the models among its layers."""
    return [layer for layer in model.layers if isinstance(layer, keras.Model)]


def unfreeze(model: keras.Model) -> bool:
    """Let the pretrained networks in it learn; return whether there are any.

    Their batch normalisations stay as they are: the statistics of a few hundred
    pictures, in batches of 32, would undo what millions taught. A locked one applies
    its moving averages in training too, so that they never move.
    """
    networks = networks_in(model)
    for network in networks:
        network.trainable = True
        for layer in network.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = False
    return bool(networks)


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
