"""The contrastive loss, against hand-made matrices."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from clip_lib.losses import MAX_SCALE, ContrastiveLoss, contrastive_loss


def slow_loss(logits, smoothing=0.0):
    """The definition, one pair at a time."""
    size, total = len(logits), 0.0
    for matrix in (logits, logits.T):
        for i in range(size):
            log_sum = math.log(sum(math.exp(value) for value in matrix[i]))
            for j in range(size):
                target = (1 - smoothing) * (i == j) + smoothing / size
                total += target * (log_sum - matrix[i, j])
    return total / (2 * size)


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(0, 3, (6, 6)).astype("float32")


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_its_definition(logits, smoothing):
    loss = float(contrastive_loss(logits, smoothing))
    assert loss == pytest.approx(slow_loss(logits, smoothing), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_telling_nothing_apart_costs_ln_of_the_batch(smoothing):
    loss = contrastive_loss(np.zeros((5, 5), "float32"), smoothing)
    assert float(loss) == pytest.approx(math.log(5), rel=1e-6)


def test_a_dominant_diagonal_costs_nothing():
    assert float(contrastive_loss(50 * np.eye(4, dtype="float32"))) < 1e-6


def test_only_the_pairs_matter_not_their_order_or_direction(logits):
    order = np.random.default_rng(1).permutation(6)
    loss = float(contrastive_loss(logits))
    assert float(contrastive_loss(logits[order][:, order])) == pytest.approx(loss, 1e-5)
    assert float(contrastive_loss(logits.T)) == pytest.approx(loss, 1e-5)
    assert float(contrastive_loss(logits[order])) != pytest.approx(loss, 1e-2)


def unit(array):
    return (array / np.linalg.norm(array, axis=1, keepdims=True)).astype("float32")


def test_the_layer_adds_the_loss_and_returns_the_embeddings():
    random = np.random.default_rng(0)
    images, texts = unit(random.normal(size=(4, 8))), unit(random.normal(size=(4, 8)))
    layer = ContrastiveLoss(temperature=0.07)
    outputs = layer([images, texts])
    assert np.allclose(outputs[0], images) and np.allclose(outputs[1], texts)
    expected = slow_loss(images @ texts.T / 0.07)
    assert float(layer.losses[0]) == pytest.approx(expected, rel=1e-4)
    assert layer.temperature == pytest.approx(0.07, rel=1e-5)


def test_the_temperature_is_learned_and_the_scale_never_passes_its_limit():
    vectors = np.eye(4, 8, dtype="float32")  # Perfect pairs: a larger scale pays.
    layer = ContrastiveLoss(temperature=0.07)
    layer([vectors, vectors])
    optimizer = keras.optimizers.SGD(50.0)
    temperatures = []
    for _ in range(30):
        with tf.GradientTape() as tape:
            layer([vectors, vectors])
            loss = layer.losses[0]
        gradients = tape.gradient(loss, layer.trainable_variables)
        optimizer.apply(gradients, layer.trainable_variables)
        temperatures.append(layer.temperature)
        layer.log_scale.assign_add(1.0)
    assert temperatures[0] < 0.07
    assert min(temperatures) >= 1 / MAX_SCALE - 1e-6


def test_the_layer_comes_back_from_its_configuration():
    layer = ContrastiveLoss(temperature=0.2, label_smoothing=0.3, name="loss")
    again = ContrastiveLoss.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.label_smoothing == 0.3
