"""Where SmallBERT's word vectors start: latent semantic analysis of the captions.

Four hundred captions are too few to learn from scratch which words mean nearly the
same, and that "the" means nothing. Counting already says so: words that occur in the
same captions get nearby vectors, frequent ones short vectors, function words none.
"""

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer
from sklearn.utils.extmath import randomized_svd


def learn_word_vectors(token_ids, vocabulary, width: int) -> np.ndarray:
    """Learn a vector for each word from the captions in which it occurs.

    The mean of the vectors of a caption's words is, up to its length, the caption's
    latent semantic vector: the rows of a TF-IDF matrix projected on its first singular
    vectors.

    Source: Deerwester et al. 1990, *Indexing by latent semantic analysis*.

    Args:
        token_ids: int array (captions, length), training captions only; 0 = padding,
            1 = unknown word.
        vocabulary: The words, by token id.
        width: Numbers a vector; those beyond the rank of the counts are 0.

    Returns:
        float32 array (words, width), of standard deviation 1 over the words that have
        a vector. Padding, the unknown word and English function words have zeros.
    """
    token_ids = np.asarray(token_ids)
    silent = np.array([word in ENGLISH_STOP_WORDS for word in vocabulary])
    silent[:2] = True
    weights = TfidfVectorizer(
        analyzer=lambda row: row[~silent[row]],
        vocabulary=range(len(vocabulary)),
        lowercase=False,  # The "words" are numbers.
    )
    counts = weights.fit_transform(token_ids)
    _, strengths, directions = randomized_svd(
        counts, min(width, *counts.shape), random_state=0
    )
    # Directions beyond the rank are arbitrary: they would part words at random.
    directions = directions[strengths > 1e-6 * strengths[0]]
    vectors = np.zeros((len(vocabulary), width), dtype="float32")
    vectors[:, : len(directions)] = (weights.idf_ * directions).T
    vectors[silent] = 0
    spread = vectors[~silent].std() if not silent.all() else 0
    return vectors / spread if spread else vectors
