"""What the first layers of a classifier hold: colours, words and their neighbours."""

import keras
import numpy as np
import pandas as pd
from keras import layers
from sklearn.metrics.pairwise import cosine_similarity

from clip_lib.data.vocabulary import Vectorizer

BLUE_FIRST = ("resnet50",)
"""Networks whose input channels are blue, green, red."""


def colour_filters(model: keras.Model, count: int = 12) -> np.ndarray:
    """Return the colours that filters of an image classifier look for.

    Args:
        model: Image classifier, of any encoder.
        count: How many filters, at most.

    Returns:
        (count, rows, columns, 3), red, green and blue from 0 to 1; 0.5 is a weight of
        0. Of the CNN, what its convolution makes of the mean colours of the cells; of a
        pretrained network, its very first convolution.
    """
    if networks := [each for each in model.layers if isinstance(each, keras.Model)]:
        (network,) = networks
        first = next(each for each in network.layers if isinstance(each, layers.Conv2D))
        kernel = np.asarray(first.kernel)
        if network.name in BLUE_FIRST:
            kernel = kernel[:, :, ::-1]
    else:
        # The first three of the numbers that sum up a cell.
        kernel = np.asarray(model.get_layer("descriptors").kernel)[:, :, :3]
    kernel = kernel[..., :count].transpose(3, 0, 1, 2)
    return (kernel / max(np.abs(kernel).max(), 1e-9) + 1) / 2


def nearest_words(
    model: keras.Model, vectorizer: Vectorizer, words, count: int = 7
) -> pd.DataFrame:
    """Return the nearest neighbours of words, by the vectors of a text classifier.

    Args:
        model: Text classifier, of either encoder.
        vectorizer: Its vocabulary.
        words: A word that is no token of its own, or whose vector is 0, is left out.
        count: How many neighbours, the word itself included.

    Returns:
        A row a word, a column a neighbour, the nearest first.
    """
    # SmallBERT's embedding, or DistilBERT as a whole.
    reader = next(each for each in model.layers if hasattr(each, "token_embedding"))
    vectors = np.asarray(reader.token_embedding.embeddings)
    known = np.array(vectorizer.get_vocabulary())
    nearest = {}
    for word in words:
        own = vectors[known == word]
        if own.any():
            order = cosine_similarity(own, vectors)[0].argsort()[::-1]
            nearest[word] = known[order[:count]]
    return pd.DataFrame.from_dict(nearest, orient="index")
