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
    before = text_classifier.predict(padded(32), verbose=0)
    table = text_classifier.get_layer("embedding").token_embedding
    weights = table.get_weights()[0]
    weights[0] += 100
    table.set_weights([weights])
    assert np.abs(text_classifier.predict(padded(32), verbose=0) - before).max() < 1e-6


def test_the_sentence_vector_is_the_mean_over_real_tokens(text_classifier):
    tokens = keras.Model(
        text_classifier.input, text_classifier.get_layer("last_norm").output
    ).predict(padded(32), verbose=0)
    sentence = without_head(text_classifier).predict(padded(32), verbose=0)
    assert np.allclose(sentence[0], tokens[0, : len(SENTENCE)].mean(axis=0), atol=1e-5)
    assert not np.allclose(sentence[0], tokens[0].mean(axis=0), atol=1e-2)


def test_a_longer_padding_changes_nothing(tiny_config):
    short = dataclasses.replace(tiny_config, sequence_length=8)
    models = [build_text_classifier(config, 20, 4) for config in (short, tiny_config)]
    long_weights = models[1].get_weights()
    for index, weights in enumerate(models[0].get_weights()):
        if weights.shape == long_weights[index].shape:
            long_weights[index] = weights
        else:  # Position embeddings: the first eight of 32.
            long_weights[index][: len(weights)] = weights
    models[1].set_weights(long_weights)
    one = models[0].predict(padded(8), verbose=0)
    other = models[1].predict(padded(32), verbose=0)
    assert np.abs(one - other).max() < 1e-6


def test_a_headless_copy_returns_the_features(tiny_config, images):
    model = build_image_classifier(tiny_config, 3)
    features = keras.Model(model.input, model.get_layer(FEATURES).output)
    expected = features.predict(images, verbose=0)
    copy = without_head(model)
    assert copy.output.shape == (None, tiny_config.filters[-1])
    assert np.allclose(copy.predict(images, verbose=0), expected, atol=1e-6)
    copy.set_weights([0 * weights for weights in copy.get_weights()])
    assert np.allclose(features.predict(images, verbose=0), expected, atol=1e-6)


def test_a_cold_copy_starts_anew(text_classifier):
    warm, cold = (without_head(text_classifier, warm) for warm in (True, False))
    vectors = [model.predict(padded(32), verbose=0) for model in (warm, cold)]
    assert vectors[0].shape == vectors[1].shape
    assert np.abs(vectors[0] - vectors[1]).max() > 0.1


def test_a_model_without_features_is_refused():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    with pytest.raises(ValueError, match=FEATURES):
        without_head(model)
