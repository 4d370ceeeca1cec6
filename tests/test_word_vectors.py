"""Where the word vectors start, against hand-made captions and a slow version."""

import warnings

import numpy as np
import pytest

from clip_lib.models.word_vectors import learn_word_vectors

FUNCTION_WORDS = ("the", "on", "a")


def encoded(captions):
    """Token ids and vocabulary of captions; words in the order of the alphabet."""
    words = sorted({word for caption in captions for word in caption.split()})
    vocabulary = ["", "[UNK]", *words]
    token_ids = np.zeros((len(captions), 8), int)
    for row, caption in enumerate(captions):
        for column, word in enumerate(caption.split()):
            token_ids[row, column] = vocabulary.index(word)
    return token_ids, vocabulary


def learned(captions, width):
    """Word -> vector."""
    token_ids, vocabulary = encoded(captions)
    vectors = learn_word_vectors(token_ids, vocabulary, width)
    assert vectors.shape == (len(vocabulary), width) and vectors.dtype == "float32"
    return dict(zip(vocabulary, vectors, strict=True))


def cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


def random_captions(count=30, seed=0):
    random = np.random.default_rng(seed)
    words = [f"word{number}" for number in range(12)] + ["the"]
    return [" ".join(random.choice(words, random.integers(2, 7))) for _ in range(count)]


def slow_vectors(token_ids, vocabulary, width):
    """TF-IDF, one number at a time, and its whole decomposition.

    Returns:
        Vectors before they are scaled, and the matrix of which they are made.
    """
    captions, words = len(token_ids), len(vocabulary)
    weights = np.zeros(words)
    for word in range(2, words):
        if vocabulary[word] not in FUNCTION_WORDS:
            found = sum(word in row for row in token_ids)
            weights[word] = np.log((1 + captions) / (1 + found)) + 1
    matrix = np.zeros((captions, words))
    for caption, row in enumerate(token_ids):
        for word in row:
            matrix[caption, word] += weights[word]
        matrix[caption] /= np.linalg.norm(matrix[caption])
    _, strengths, directions = np.linalg.svd(matrix)
    rank = min(width, (strengths > 1e-9).sum())
    vectors = np.zeros((words, width))
    vectors[:, :rank] = weights[:, None] * directions[:rank].T
    return vectors, matrix


@pytest.mark.parametrize("width", [1, 2, 5, 12, 20])
def test_vectors_equal_the_slow_version_up_to_sign(width):
    token_ids, vocabulary = encoded(random_captions())
    expected, _ = slow_vectors(token_ids, vocabulary, width)
    silent = ["", "[UNK]", *FUNCTION_WORDS]
    heard = np.array([word not in silent for word in vocabulary])
    found = learn_word_vectors(token_ids, vocabulary, width)
    expected *= np.sign((found * expected).sum(axis=0))
    assert np.allclose(found, expected / expected[heard].std(), atol=1e-4)
    assert (found[:, :12].any(axis=0)).all()  # Twelve words: no number is idle.


def test_the_mean_of_a_captions_words_is_its_latent_semantic_vector():
    token_ids, vocabulary = encoded(random_captions())
    slow, matrix = slow_vectors(token_ids, vocabulary, 4)
    directions = np.linalg.svd(matrix)[2][:4]
    vectors = learn_word_vectors(token_ids, vocabulary, 4)
    signs = np.sign((vectors * slow).sum(axis=0))
    for row, words in zip(matrix, token_ids, strict=True):
        mean = vectors[words[words > 0]].mean(axis=0) * signs
        assert cosine(mean, directions @ row) == pytest.approx(1, abs=1e-5)


def test_words_of_the_same_captions_are_near():
    vectors = learned(
        ["the dog on grass", "dog ball grass", "a dog ball"] * 2
        + ["the boat on sea", "boat sand sea", "a boat sand"] * 2,
        width=2,
    )
    for words in (("dog", "ball", "grass"), ("boat", "sand", "sea")):
        for word in words[1:]:
            assert cosine(vectors[words[0]], vectors[word]) > 0.95
    assert abs(cosine(vectors["dog"], vectors["boat"])) < 0.05


def test_words_that_never_meet_are_near_if_their_company_is_the_same():
    vectors = learned(
        [
            *("cat milk purr", "kitten milk purr", "cat purr", "kitten milk"),
            *("car road wheel", "lorry road wheel", "car wheel", "lorry road"),
        ],
        width=2,
    )
    assert cosine(vectors["cat"], vectors["kitten"]) > 0.95
    assert abs(cosine(vectors["cat"], vectors["lorry"])) < 0.05


def test_words_of_exactly_the_same_captions_get_one_vector_at_any_width():
    """The directions beyond the rank are arbitrary; none of them may part the words."""
    vectors = learned(["dog ball"] * 3 + ["boat sea"] * 5, width=6)
    assert np.allclose(vectors["dog"], vectors["ball"], atol=1e-5)
    assert np.allclose(vectors["boat"], vectors["sea"], atol=1e-5)
    numbers = np.array(list(vectors.values()))
    assert (numbers[:, 2:] == 0).all() and numbers[:, :2].any(axis=0).all()


def test_what_says_nothing_has_no_vector():
    token_ids, vocabulary = encoded(["the dog on a hill", "a boat on the sea"])
    token_ids[0, 5:] = 1  # [UNK] among the words.
    vocabulary.append("unheard")  # In the vocabulary, in no caption.
    vectors = learn_word_vectors(token_ids, vocabulary, 3)
    for word, vector in zip(vocabulary, vectors, strict=True):
        assert vector.any() == (word in ("dog", "hill", "boat", "sea")), word


@pytest.mark.parametrize("width", [1, 4, 40])
def test_the_spread_is_one(width):
    vectors = learned(random_captions(), width)
    heard = [vector for word, vector in vectors.items() if word.startswith("word")]
    assert np.std(heard) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    ("captions", "speaks"),
    [
        (["the on", "a the"], False),
        (["a"], False),
        (["the dog"], True),
        (["dog ball"], True),
        (["dog ball", "dog ball"], True),
        (["dog", "the"], True),
    ],
)
@pytest.mark.parametrize("width", [1, 5])
def test_poor_captions_give_numbers_and_no_complaint(captions, speaks, width):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vectors = np.array(list(learned(captions, width).values()))
    assert np.isfinite(vectors).all()
    # A single number a word has no spread to scale, but is not lost either.
    assert vectors.any() == speaks


def test_the_same_captions_give_the_same_vectors():
    token_ids, vocabulary = encoded(random_captions())
    np.random.seed(1)
    one = learn_word_vectors(token_ids, vocabulary, 5)
    np.random.seed(2)
    assert (one == learn_word_vectors(token_ids, vocabulary, 5)).all()
