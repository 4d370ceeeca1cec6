"""Initial weights, on data whose directions are known and against slow versions."""

import dataclasses
import warnings

import keras
import numpy as np
import pytest

from clip_lib.data.pipelines import image_batches
from clip_lib.data.vocabulary import encode
from clip_lib.models import initialization
from clip_lib.models.clip import without_head
from clip_lib.models.initialization import (
    learn_descriptors,
    learn_word_vectors,
    start_image_classifier,
    start_text_classifier,
)

FUNCTION_WORDS = ("the", "on", "a")


@pytest.fixture(autouse=True)
def few_patches(monkeypatch):
    monkeypatch.setattr(initialization, "PATCHES", 4000)


def test_descriptors_are_centred_uncorrelated_and_of_variance_one():
    random = np.random.default_rng(0)
    maps = [random.uniform(-1, 1, (6, side, side + 1, 3)) for side in (14, 7)]
    kernel, bias = learn_descriptors(maps, 5, 3)
    assert kernel.shape == (3, 3, 3, 5) and bias.shape == (5,)
    outputs = [
        keras.ops.conv(each.astype("float32"), kernel, padding="valid") + bias
        for each in maps
    ]
    found = np.concatenate([np.reshape(each, (-1, 5)) for each in outputs])
    assert np.abs(found.mean(axis=0)).max() < 0.1
    assert np.abs(np.cov(found.T) - np.eye(5)).max() < 0.15
    again, other = learn_descriptors(maps, 5, 3), learn_descriptors(maps, 5, 3, seed=1)
    assert (again[0] == kernel).all() and (other[0] != kernel).any()


def test_the_first_descriptor_is_the_direction_of_largest_variance():
    random = np.random.default_rng(0)
    maps = random.normal(0, 0.01, (50, 6, 6, 3))
    maps[..., 1] += random.normal(0, 1, (50, 1, 1))
    first = learn_descriptors([maps], 3, 4)[0][..., 0]
    by_channel = np.abs(first).mean(axis=(0, 1))
    assert by_channel[1] > 10 * max(by_channel[0], by_channel[2])


def test_scales_count_in_proportion_to_their_positions():
    random = np.random.default_rng(0)
    large, small = np.zeros((40, 10, 10, 2)), np.zeros((40, 4, 4, 2))
    large[..., 0] = random.normal(0, 1, (40, 10, 10))
    small[..., 1] = random.normal(0, 1, (40, 4, 4))
    kernel, _ = learn_descriptors([large, small], 2, 1)
    # 116 positions, 16 of them small: a variance of 16 / 116, scaled to 1.
    assert np.abs(kernel[0, 0, 1]).max() == pytest.approx(np.sqrt(116 / 16), rel=0.1)


def test_directions_without_variance_are_zero():
    random = np.random.default_rng(0)
    maps = np.repeat(random.normal(size=(9, 6, 6, 1)), 3, axis=-1)
    lengths = np.linalg.norm(learn_descriptors([maps], 9, 2)[0].reshape(-1, 9), axis=0)
    assert (lengths[:4] > 0.1).all() and not lengths[4:].any()
    kernel, bias = learn_descriptors([np.full((3, 8, 8, 2), 0.7)], 4, 4)
    assert not kernel.any() and not bias.any()


def test_too_small_maps_and_too_many_descriptors_are_refused():
    maps = [np.zeros((2, 7, 8, 3))]
    with pytest.raises(ValueError, match=r"7 x 8 positions.*8 x 8"):
        learn_descriptors(maps, 4, 8)
    with pytest.raises(ValueError, match=r"28 descriptors.*at most 27"):
        learn_descriptors(maps, 28, 3)


def encoded(captions):
    """Token ids and vocabulary of captions; words in alphabetical order."""
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


@pytest.mark.parametrize("width", [1, 5, 20])
def test_word_vectors_equal_a_slow_latent_semantic_analysis(width):
    random = np.random.default_rng(0)
    words = [f"word{number}" for number in range(12)] + ["the"]
    captions = [
        " ".join(random.choice(words, random.integers(2, 7))) for _ in range(30)
    ]
    token_ids, vocabulary = encoded(captions)
    weights = np.zeros(len(vocabulary))
    for word in range(2, len(vocabulary)):
        if vocabulary[word] not in FUNCTION_WORDS:
            found = sum(word in row for row in token_ids)
            weights[word] = np.log((1 + len(captions)) / (1 + found)) + 1
    matrix = np.zeros((len(captions), len(vocabulary)))
    for caption, row in enumerate(token_ids):
        for word in row:
            matrix[caption, word] += weights[word]
        matrix[caption] /= np.linalg.norm(matrix[caption])
    _, strengths, directions = np.linalg.svd(matrix)
    rank = min(width, (strengths > 1e-9).sum())
    expected = np.zeros((len(vocabulary), width))
    expected[:, :rank] = weights[:, None] * directions[:rank].T
    found = learn_word_vectors(token_ids, vocabulary, width)
    expected *= np.sign((found * expected).sum(axis=0))
    assert np.allclose(found, expected / expected[weights > 0].std(), atol=1e-4)
    # The mean of a caption's words is its latent semantic vector, up to its length.
    signs = np.sign((found * expected).sum(axis=0))[:rank]
    for row, caption in zip(matrix, token_ids, strict=True):
        if width == 5:
            mean = found[caption[caption > 0]].mean(axis=0)
            latent = directions[:rank] @ row
            latent *= np.sign((found[:, :rank] * directions[:rank].T).sum(axis=0))
            assert cosine(mean, latent * signs) == pytest.approx(1, abs=1e-4)


def test_words_with_the_same_company_are_near():
    """Even if they never meet; at any width, also beyond the rank."""
    vectors = learned(
        [
            *("cat milk purr", "kitten milk purr", "cat purr", "kitten milk"),
            *("car road wheel", "lorry road wheel", "car wheel", "lorry road"),
        ],
        width=2,
    )
    assert cosine(vectors["cat"], vectors["kitten"]) > 0.95
    assert abs(cosine(vectors["cat"], vectors["lorry"])) < 0.05
    vectors = learned(["dog ball"] * 3 + ["boat sea"] * 5, width=6)
    assert np.allclose(vectors["dog"], vectors["ball"], atol=1e-5)


def test_padding_unknown_and_function_words_have_no_vector():
    token_ids, vocabulary = encoded(["the dog on a hill", "a boat on the sea"])
    token_ids[0, 5:] = 1  # [UNK] among the words.
    vocabulary.append("unheard")  # In the vocabulary, in no caption.
    vectors = learn_word_vectors(token_ids, vocabulary, 3)
    for word, vector in zip(vocabulary, vectors, strict=True):
        assert vector.any() == (word in ("dog", "hill", "boat", "sea")), word


@pytest.mark.parametrize(
    ("captions", "speaks"),
    [(["the on", "a the"], False), (["the dog"], True), (["dog ball"] * 2, True)],
)
def test_poor_captions_give_numbers_without_a_warning(captions, speaks):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vectors = np.array(list(learned(captions, 5).values()))
    assert np.isfinite(vectors).all() and vectors.any() == speaks


def test_the_cnn_starts_from_the_training_images_alone(tiny_dataset, tiny_config):
    records = tiny_dataset.records.copy()
    withheld = records["split"] != "train"
    records.loc[withheld, "image_path"] = "images/there/is/none.jpg"
    blind = dataclasses.replace(tiny_dataset, records=records)
    model = start_image_classifier(blind, tiny_config)
    paths = tiny_dataset.paths(tiny_dataset.train)
    batches = image_batches(paths, tiny_config.image_size, 64)
    features = without_head(model).predict(batches, verbose=0)
    assert np.abs(features.mean(axis=0)).max() < 1e-2
    assert features.std() == pytest.approx(1, abs=1e-2)
    # One scale for all: features that vary little stay small.
    spreads = features.std(axis=0)
    assert spreads.min() < 0.5 * spreads.max()


def test_smallbert_starts_from_the_training_captions(
    tiny_dataset, vectorizer, tiny_config, monkeypatch
):
    token_ids = encode(vectorizer, tiny_dataset.train["caption"])
    vocabulary = vectorizer.get_vocabulary()
    expected = learn_word_vectors(token_ids, vocabulary, tiny_config.embed_dim)
    model = start_text_classifier(tiny_dataset, vectorizer, tiny_config)
    embedding = model.get_layer("embedding")
    assert (embedding.token_embedding.get_weights()[0] == expected).all()
    assert not embedding.position_embedding.get_weights()[0].any()
    assert expected[vocabulary.index("grass")].any()
    seen = []
    monkeypatch.setattr(
        initialization,
        "learn_word_vectors",
        lambda token_ids, *_: seen.append(len(token_ids)),
    )
    monkeypatch.setattr(initialization, "MAX_CAPTIONS", 5)
    start_text_classifier(tiny_dataset, vectorizer, tiny_config)
    assert seen == [5]
