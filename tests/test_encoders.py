"""The classifiers and what remains of them without their heads."""

import dataclasses

import keras
import numpy as np
import pytest

from clip_lib.models.encoders import (
    FEATURES,
    build_image_classifier,
    build_text_classifier,
    without_head,
)

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


@pytest.mark.parametrize("size", [(64, 64), (90, 64), (136, 200)])
@pytest.mark.parametrize("descriptors", [1, 8])
def test_features_are_as_many_whatever_the_size_of_the_picture(
    tiny_config, size, descriptors
):
    config = dataclasses.replace(tiny_config, image_size=size, descriptors=descriptors)
    model = without_head(build_image_classifier(config, 3))
    side = descriptors + 3
    assert model.output.shape == (None, side * (side + 1) // 2)


def test_cells_hold_the_means_and_deviations_of_their_pixels(tiny_config, images):
    """And the strengths of edges, eight directions, in cells as the colours are."""
    model = build_image_classifier(tiny_config, 3)
    (cell, *_) = tiny_config.cells
    inner = [
        model.get_layer(name).output
        for name in ("colours", "edge_strength", f"statistics_{cell}")
    ]
    colours, edges, found = keras.Model(model.input, inner).predict(images, verbose=0)
    halves = images.reshape(len(images), 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.allclose(colours, halves[:, 1:-1, 1:-1] / 127.5 - 1, atol=1e-5)
    assert found.shape == (len(images), 30 // cell, 30 // cell, 3 + 3 + 8)
    place = colours[0, cell : 2 * cell, :cell].reshape(-1, 3)
    strengths = edges[0, cell : 2 * cell, :cell].reshape(-1, 8).mean(axis=0)
    expected = *place.mean(axis=0), *place.std(axis=0), *np.sqrt(strengths)
    assert np.allclose(found[0, 1, 0], expected, atol=2e-3)


@pytest.mark.parametrize(
    ("slope", "direction"),
    [((0, 1), 0), ((1, 1), 1), ((1, 0), 2), ((0, -1), 4), ((-1, 0), 6)],
)
def test_an_edge_answers_in_the_direction_in_which_it_brightens(
    tiny_config, slope, direction
):
    model = build_image_classifier(tiny_config, 3)
    edges = keras.Model(model.input, model.get_layer("edge_strength").output)
    rows, columns = np.indices((64, 64))
    grey = 128 + 0.9 * (slope[0] * (rows - 32) + slope[1] * (columns - 32))
    image = np.repeat(grey[None, :, :, None], 3, axis=-1).astype("float32")
    found = edges.predict(image, verbose=0)[0].mean(axis=(0, 1))
    assert found.argmax() == direction
    assert found[(direction + 4) % 8] < 1e-4 * found[direction]


def train_once(model, images):
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.AdamW(0.1), loss, run_eagerly=True)
    model.train_on_batch(images, np.arange(len(images)) % 3)


def test_edges_and_the_scale_of_the_features_are_never_trained(
    tmp_path, tiny_config, images
):
    """Neither in the classifier, nor headless, nor after a file on disk."""
    model = build_image_classifier(tiny_config, 3)
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
        for name in ("edges", FEATURES):
            layer = trained.get_layer(name)
            assert layer.trainable_weights == []
            for weights in layer.weights:
                assert (weights.numpy() == before[weights.path]).all()
        assert len(trained.trainable_weights) == 4  # One convolution and the head.
        assert all(
            np.abs(weights.numpy() - before[weights.path]).max() > 1e-4
            for weights in trained.trainable_weights
        )


def test_a_picture_too_small_for_the_cells_is_refused(tiny_config):
    config = dataclasses.replace(tiny_config, image_size=(224, 56))
    with pytest.raises(ValueError, match=r"image_size.*56.*at least 60"):
        build_image_classifier(config, 3)


def test_a_model_without_features_is_refused():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    with pytest.raises(ValueError, match=FEATURES):
        without_head(model)
