"""The classifiers and what remains of them without their heads."""

import dataclasses

import keras
import numpy as np
import pytest

from clip_lib.encoders import (
    FEATURES,
    build_image_classifier,
    build_text_classifier,
    without_head,
)
from clip_lib.patches import learn_patches

SENTENCE = [5, 9, 7, 3]


@pytest.fixture
def images(tiny_config):
    shape = (4, *tiny_config.image_shape)
    return np.random.default_rng(0).integers(0, 256, shape, "uint8")


@pytest.fixture
def text_classifier(tiny_config):
    return build_text_classifier(tiny_config, 20, 4)


def padded(length, sentence=SENTENCE):
    return np.array([sentence + [0] * (length - len(sentence))], "int32")


def test_the_outputs_are_probabilities(tiny_config, images, text_classifier):
    model = build_image_classifier(tiny_config, 3)
    for outputs, shape in (
        (model.predict(images, verbose=0), (4, 3)),
        (text_classifier.predict(padded(32), verbose=0), (1, 4)),
    ):
        assert outputs.shape == shape
        assert np.allclose(outputs.sum(axis=1), 1, atol=1e-5)


def test_bytes_and_floats_of_the_same_pixels_give_the_same_answer(tiny_config, images):
    model = build_image_classifier(tiny_config, 3)
    as_floats = model.predict(images.astype("float32"), verbose=0)
    assert np.allclose(model.predict(images, verbose=0), as_floats, atol=1e-6)


def test_augmentation_is_idle_at_inference_and_busy_in_training(tiny_config, images):
    model = build_image_classifier(tiny_config, 3)
    augmented = keras.Model(model.input, model.get_layer("contrast").output)
    served = np.asarray(augmented(images, training=False))
    assert (served == np.asarray(augmented(images, training=False))).all()
    trained = np.asarray(augmented(images, training=True))
    assert np.abs(served - trained).mean() > 0.01
    assert (served >= -1).all() and (served <= 1).all()


def test_what_the_padding_token_holds_changes_nothing(text_classifier):
    features = keras.Model(
        text_classifier.input, text_classifier.get_layer(FEATURES).output
    )
    before = features.predict(padded(32), verbose=0)
    table = text_classifier.get_layer("embedding").token_embedding
    weights = table.get_weights()[0]
    weights[0] += 100
    table.set_weights([weights])
    assert np.abs(features.predict(padded(32), verbose=0) - before).max() < 1e-5


def test_the_sentence_vector_is_the_mean_over_real_tokens(text_classifier):
    """Of the words as they stand alone, then of the same in their context."""
    sentence = without_head(text_classifier).predict(padded(32), verbose=0)
    for name, mean in zip(
        ("words", "last_norm"), np.split(sentence[0], 2), strict=True
    ):
        layer = text_classifier.get_layer(name)
        tokens = keras.Model(text_classifier.input, layer.output)(padded(32))[0].numpy()
        assert np.allclose(mean, tokens[: len(SENTENCE)].mean(axis=0), atol=1e-5)
        assert not np.allclose(mean, tokens.mean(axis=0), atol=1e-2)


def test_the_head_reads_the_words_in_context(text_classifier):
    head = text_classifier.get_layer("label").kernel
    sentence = without_head(text_classifier).predict(padded(32), verbose=0)
    expected = keras.ops.softmax(np.split(sentence, 2, axis=1)[1] @ head)
    found = text_classifier.predict(padded(32), verbose=0)
    assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("length", [5, 8, 32])
@pytest.mark.parametrize("training", [False, True])
def test_a_longer_padding_changes_nothing(tiny_config, length, training):
    """Against a model of exactly the sentence's length, where nothing is padded."""
    config = dataclasses.replace(tiny_config, num_layers=2, dropout=0.0)
    bare, long = (
        without_head(
            build_text_classifier(
                dataclasses.replace(config, sequence_length=tokens), 20, 4
            )
        )
        for tokens in (len(SENTENCE), length)
    )
    long_weights = long.get_weights()
    for index, weights in enumerate(bare.get_weights()):
        # Of the position embeddings, the first ones.
        long_weights[index][: len(weights)] = weights
    long.set_weights(long_weights)
    one = np.asarray(bare(padded(len(SENTENCE)), training=training))
    other = np.asarray(long(padded(length), training=training))
    assert np.abs(one - other).max() < 1e-5


@pytest.mark.parametrize("words", [1, 4, 32])
def test_the_first_half_starts_as_the_mean_of_the_word_vectors(tiny_config, words):
    vectors = np.random.default_rng(0).normal(size=(40, tiny_config.embed_dim))
    model = without_head(build_text_classifier(tiny_config, 40, 4, vectors))
    sentence = [5 + number for number in range(words)]
    found = np.split(model.predict(padded(32, sentence), verbose=0)[0], 2)[0]
    assert np.allclose(found, vectors[sentence].mean(axis=0), atol=1e-5)


def test_words_start_where_they_are_told_and_positions_silent(tiny_config):
    vectors = np.random.default_rng(0).normal(size=(20, tiny_config.embed_dim))
    learned, random = (
        build_text_classifier(tiny_config, 20, 4, given).get_layer("embedding")
        for given in (vectors, None)
    )
    assert np.allclose(learned.token_embedding.get_weights()[0], vectors)
    assert not learned.position_embedding.get_weights()[0].any()
    assert random.token_embedding.get_weights()[0].any(axis=1).all()
    assert random.position_embedding.get_weights()[0].any(axis=1).all()
    assert all(weights.trainable for weights in learned.weights)


def test_a_headless_copy_returns_the_features(tiny_config, images):
    model = build_image_classifier(tiny_config, 3)
    features = keras.Model(model.input, model.get_layer(FEATURES).output)
    expected = features.predict(images, verbose=0)
    copy = without_head(model)
    assert np.allclose(copy.predict(images, verbose=0), expected, atol=1e-6)
    copy.set_weights([0 * weights for weights in copy.get_weights()])
    assert np.allclose(features.predict(images, verbose=0), expected, atol=1e-6)


@pytest.mark.parametrize("side", [64, 90, 136])
@pytest.mark.parametrize("filters", [(8,), (8, 12)])
def test_features_hold_four_quarters_of_patches_and_of_the_last_stage(
    tiny_config, side, filters
):
    """Each as many numbers as there are channels, whatever the picture's size."""
    size = (side, 64)
    config = dataclasses.replace(tiny_config, image_size=size, filters=filters)
    model = without_head(build_image_classifier(config, 3))
    assert model.output.shape == (None, 4 * (config.patch_filters + filters[-1]))


def test_each_quarter_sees_its_own_corner(tiny_config):
    """A change in one corner changes the features of that quarter alone."""
    config = dataclasses.replace(tiny_config, image_size=(192, 192))
    model = without_head(build_image_classifier(config, 3))
    images = np.full((2, 192, 192, 3), 128, "float32")
    images[1, :16, :16] = np.random.default_rng(0).uniform(0, 255, (16, 16, 3))
    features = model.predict(images, verbose=0)
    for part in np.split(features, [4 * config.patch_filters], axis=1):
        before, after = part.reshape(2, 4, -1)
        changed = np.abs(before - after).max(axis=1)
        assert changed[0] > 1e-3 and (changed[1:] < 1e-5).all()


def test_the_head_reads_what_was_learned_and_not_the_patches(tiny_config, images):
    model = build_image_classifier(tiny_config, 3)
    head = model.get_layer("label").kernel
    assert head.shape == (4 * tiny_config.filters[-1], 3)
    learned = keras.Model(model.input, model.get_layer("block_quarters").output)
    expected = keras.ops.softmax(learned.predict(images, verbose=0) @ head)
    assert np.allclose(model.predict(images, verbose=0), expected, atol=1e-5)


@pytest.fixture
def patches(tiny_config, monkeypatch):
    monkeypatch.setattr("clip_lib.patches.SAMPLES", 1000)
    pictures = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3))
    return learn_patches(pictures, tiny_config.patch_filters, tiny_config.patch_size)


def train_once(model, images):
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.AdamW(0.1), loss, run_eagerly=True)
    model.train_on_batch(images, np.arange(len(images)) % 3)


def test_the_patches_are_never_trained(tmp_path, tiny_config, images, patches):
    """Neither in the classifier, nor headless, nor after a file on disk."""
    model = build_image_classifier(tiny_config, 3, patches)
    model.save(tmp_path / "image.keras")
    headless = without_head(model)
    outputs = keras.layers.Dense(3, activation="softmax")(headless.output)
    for trained in (
        model,
        keras.Model(headless.input, outputs),
        keras.saving.load_model(tmp_path / "image.keras"),
    ):
        before = {weights.path: weights.numpy() for weights in trained.weights}
        train_once(trained, images)
        stem = trained.get_layer("patches")
        assert (stem.get_weights()[0] == patches).all()
        assert stem.trainable_weights == []
        assert all(
            np.abs(weights.numpy() - before[weights.path]).max() > 1e-4
            for weights in trained.trainable_weights
        )


def test_without_learned_patches_they_are_random_and_frozen_all_the_same(tiny_config):
    stems = [
        build_image_classifier(tiny_config, 3).get_layer("patches") for _ in range(2)
    ]
    one, other = (stem.get_weights()[0] for stem in stems)
    assert one.shape == (6, 6, 3, tiny_config.patch_filters)
    assert (one != other).any()
    assert all(stem.trainable_weights == [] for stem in stems)


def test_the_contrast_of_a_picture_is_nothing_to_the_first_answers(
    tiny_config, images, patches
):
    """Nor is its brightness: the patches sum to zero."""
    model = build_image_classifier(tiny_config, 3, patches)
    first = keras.Model(model.input, model.get_layer("contrast_free").output)
    strong = 255 * (np.sin(np.arange(64) / 3) > 0)[None, :, None, None]
    strong = np.broadcast_to(strong, (1, 64, 64, 3)).astype("float32")
    answers = first.predict(strong, verbose=0)
    weaker = first.predict(40 + 0.5 * strong, verbose=0)
    assert np.abs(answers).max() > 1
    assert np.abs(answers - weaker).max() < 0.05 * np.abs(answers).max()


def test_a_model_without_features_is_refused():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    with pytest.raises(ValueError, match=FEATURES):
        without_head(model)
