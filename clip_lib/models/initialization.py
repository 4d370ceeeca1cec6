"""Initial weights of both classifiers, learned from the training data without labels.

A few hundred captioned images teach little. The same images hold tens of thousands of
patches, and the captions thousands of word pairs: a principal component analysis of the
patches and a latent semantic analysis of the captions give the first layers of the CNN
and of SmallBERT a start that random weights would not reach.
"""

import keras
import numpy as np
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer
from sklearn.utils.extmath import randomized_svd

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset
from clip_lib.data.pipelines import image_batches
from clip_lib.data.vocabulary import encode
from clip_lib.errors import ClipError
from clip_lib.models.cnn import PATCH, STATISTICS, build_image_classifier
from clip_lib.models.smallbert import build_text_classifier

MAX_IMAGES, MAX_CAPTIONS = 1_000, 50_000
"""At most so many are analysed: memory grows with them."""
PATCHES = 60_000
"""Patches sampled from the images."""


def start_image_classifier(dataset: Dataset, config: Config) -> keras.Model:
    """Build the CNN, its convolution initialised by `learn_descriptors`.

    Args:
        dataset: Its training images are analysed.
        config: As for `build_image_classifier`, with ``seed``.
    """
    keras.utils.set_random_seed(config.seed)
    # Without labels the head is never used.
    model = build_image_classifier(config, max(1, len(dataset.class_names)))
    rows = dataset.pictures("train")
    rows = rows.sample(min(len(rows), MAX_IMAGES), random_state=config.seed)
    batches = image_batches(dataset.paths(rows), config.image_size)
    names = [f"{STATISTICS}_{cell}" for cell in config.cells]
    statistics = [model.get_layer(name).output for name in names]
    maps = keras.Model(model.input, statistics).predict(batches, verbose=0)
    model.get_layer("descriptors").set_weights(
        learn_descriptors(maps, config.descriptors, PATCH, config.seed)
    )
    scale_features(model, batches)
    return model


def scale_features(model: keras.Model, images) -> None:
    """Centre the features of the CNN and scale their mean variance to 1.

    Args:
        model: Model of `build_image_classifier`.
        images: Batches of training images.
    """
    pooled = keras.Model(model.input, model.get_layer("second_order").output)
    vectors = pooled.predict(images, verbose=0)
    mean = vectors.mean(axis=0)
    variance = np.full_like(mean, (vectors - mean).var())
    model.get_layer("features").set_weights([mean, variance])


def start_text_classifier(dataset: Dataset, vectorizer, config: Config) -> keras.Model:
    """Build SmallBERT, its token embedding initialised by `learn_word_vectors`.

    Args:
        dataset: Its training captions are analysed.
        vectorizer: Vocabulary of `learn_vocabulary`.
        config: As for `build_text_classifier`, with ``seed``.
    """
    keras.utils.set_random_seed(config.seed)
    vocabulary = vectorizer.get_vocabulary()
    captions = dataset.train["caption"]
    if len(captions) > MAX_CAPTIONS:
        captions = captions.sample(MAX_CAPTIONS, random_state=config.seed)
    token_ids = encode(vectorizer, captions)
    word_vectors = learn_word_vectors(token_ids, vocabulary, config.embed_dim)
    num_classes = max(1, len(dataset.class_names))
    return build_text_classifier(config, len(vocabulary), num_classes, word_vectors)


def learn_descriptors(maps, number: int, size: int, seed: int = 0):
    """Return the principal components of patches of maps, as a convolution.

    Args:
        maps: List of (N, height, width, C), of one or several scales, from training
            images only. Each scale gives patches in proportion to its positions.
        number: Number of components, each scaled to variance 1.
        size: Side of a patch, in positions of a map.
        seed: Seed of the sample.

    Returns:
        Kernel (size, size, C, number) and bias (number,) of a ``Conv2D``, float32.

    Raises:
        ClipError: If a map is smaller than a patch, or a patch has fewer values than
            ``number``.
    """
    random = np.random.default_rng(seed)
    channels = maps[0].shape[-1]
    if number > size * size * channels:
        raise ClipError(
            f"{number} descriptors: expected at most {size * size * channels}, the "
            f"values in a patch of {size} x {size} positions and {channels} channels."
        )
    windows = []
    for each in maps:
        if min(each.shape[1:3]) < size:
            raise ClipError(
                f"a map of {each.shape[1]} x {each.shape[2]} positions: smaller than a "
                f"patch of {size} x {size}; expected larger images."
            )
        windows.append(
            np.lib.stride_tricks.sliding_window_view(each, (size, size), (1, 2))
        )
    counts = np.array([np.prod(each.shape[1:3]) for each in windows])
    patches = []
    for each, share in zip(windows, counts / counts.sum(), strict=True):
        places = random.integers(each.shape[:3], size=(round(PATCHES * share), 3))
        patch = each[tuple(places.T)].transpose(0, 2, 3, 1)
        patches.append(patch.reshape(len(patch), -1))
    with np.errstate(invalid="ignore"):  # Images of one colour: 0 / 0 explained.
        analysis = PCA(number, random_state=seed).fit(np.concatenate(patches))
    # Components without variance are set to zero instead of being blown up.
    spread = np.sqrt(analysis.explained_variance_)
    scale = np.where(spread > max(1e-4 * spread[0], 1e-5), spread, np.inf)
    directions = analysis.components_ / scale[:, None]
    kernel = directions.T.reshape(size, size, channels, number)
    bias = -directions @ analysis.mean_
    return kernel.astype("float32"), bias.astype("float32")


def learn_word_vectors(token_ids, vocabulary, width: int) -> np.ndarray:
    """Learn word vectors by latent semantic analysis of the captions.

    Words that occur in the same captions get similar vectors, frequent words short
    ones. The mean of the vectors of a caption is, up to its length, the caption's
    latent semantic vector: its TF-IDF row projected on the first singular vectors.

    Source: Deerwester et al. 1990, *Indexing by latent semantic analysis*.

    Args:
        token_ids: int array (captions, length), training captions only; 0 = padding,
            1 = unknown word.
        vocabulary: The words, by token id.
        width: Dimensions of a vector; those beyond the rank of the matrix are 0.

    Returns:
        float32 array (words, width), with standard deviation 1 over the words that have
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
    # Directions beyond the rank are arbitrary: they would separate words at random.
    directions = directions[strengths > 1e-6 * strengths[0]]
    vectors = np.zeros((len(vocabulary), width), dtype="float32")
    vectors[:, : len(directions)] = (weights.idf_ * directions).T
    vectors[silent] = 0
    spread = vectors[~silent].std() if not silent.all() else 0
    return vectors / spread if spread else vectors
