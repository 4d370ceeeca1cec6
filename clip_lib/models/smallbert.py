"""SmallBERT: a small Transformer encoder that classifies captions.

A Functional model. CLIP uses it up to its layer ``features`` (see `clip.without_head`).
"""

import keras
import keras_nlp
import numpy as np
from keras import layers, ops

from clip_lib.config import Config


def build_text_classifier(
    config: Config, vocabulary_size: int, num_classes: int, word_vectors=None
) -> keras.Model:
    """Build the SmallBERT classifier (Devlin et al. 2019, reduced).

    The sentence vector is the mean over the real tokens: ``mask_zero`` makes the
    embedding emit a padding mask, which the Transformer blocks and
    ``GlobalAveragePooling1D`` honour. ``features`` holds two means: that of the word
    vectors and that of the contextual vectors; the classification head reads the
    second.

    Args:
        config: Gives ``sequence_length``, ``embed_dim``, ``num_heads``, ``ff_dim``,
            ``num_layers`` and ``dropout``.
        vocabulary_size: Number of token ids, padding and [UNK] included.
        num_classes: Number of labels.
        word_vectors: Initial token embedding, (vocabulary_size, embed_dim), see
            `initialization.learn_word_vectors`; random if None.

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
        # Positions start at zero: word order is learned if it helps.
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
    # Keras' attention layer removes the mask from ``words``: it is computed again. The
    # tensor of contexts still carries its own.
    word_mean = layers.GlobalAveragePooling1D(name="mean_of_words")(
        words, mask=ops.not_equal(text_input, 0)
    )
    context_mean = layers.GlobalAveragePooling1D(name="mean_in_context")(outputs)
    # CLIP needs both: the labels shape the second, the first keeps the words that no
    # label depends on. A head on the first would memorise the captions.
    outputs = layers.Concatenate(name="features")([word_mean, context_mean])
    # Sliced from it, so that ``features`` is a part of this model.
    outputs = outputs[:, config.embed_dim :]
    outputs = layers.Dense(num_classes, activation="softmax", name="label")(outputs)
    return keras.Model(text_input, outputs, name="text_classifier")
