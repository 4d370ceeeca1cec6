"""SmallBERT over frozen GloVe vectors: the text tower of our own weights.

A word that no training caption held still has a meaning, near that of its neighbours.
"""

from clip_lib import silence_tensorflow  # noqa: F401

# isort: split
import keras
import keras_nlp
import numpy as np
from keras import layers, ops

from clip_lib.config import Config

WIDTH = 256
"""Of the contextual vectors; ``embed_dim`` is the width of the common space."""


def build_glove_features(word_vectors: np.ndarray, config: Config) -> keras.Model:
    """Build SmallBERT over word vectors that stay as they are.

    Sources: Devlin et al. 2019, *BERT*; Pennington et al. 2014, *GloVe*.

    Args:
        word_vectors: (vocabulary_size, 100), by token id; those of padding and of the
            unknown word are 0.
        config: Gives ``sequence_length``, ``num_heads``, ``ff_dim``, ``num_layers`` and
            ``dropout``.

    Returns:
        Model from token ids (B, sequence_length), 0 = padding, to its ``features`` (B,
        256): the mean of the contextual vectors over the real tokens.
    """
    text_input = keras.Input(
        (config.sequence_length,), dtype="int32", name="text_input"
    )
    embedding = layers.Embedding(
        *word_vectors.shape, trainable=False, name="token_embedding"
    )
    # Passed explicitly: the layer of positions would drop an implicit mask.
    mask = ops.not_equal(text_input, 0)
    outputs = layers.Dense(WIDTH, name="word_projection")(embedding(text_input))
    embedding.set_weights([word_vectors])
    positions = keras_nlp.layers.PositionEmbedding(
        config.sequence_length,
        initializer=keras.initializers.RandomNormal(stddev=0.02),
        name="positions",
    )
    outputs = layers.Add(name="words")([outputs, positions(outputs)])
    outputs = layers.LayerNormalization(name="first_norm")(outputs)
    outputs = layers.Dropout(config.dropout)(outputs)
    for block in range(config.num_layers):
        outputs = keras_nlp.layers.TransformerEncoder(
            intermediate_dim=config.ff_dim,
            num_heads=config.num_heads,
            dropout=config.dropout,
            activation="gelu",
            name=f"transformer_{block + 1}",
        )(outputs, padding_mask=mask)
    outputs = layers.Dropout(config.dropout)(outputs)
    outputs = layers.GlobalAveragePooling1D(name="features")(outputs, mask=mask)
    return keras.Model(text_input, outputs, name="glove_smallbert")
