"""The contrastive loss, against hand-made matrices."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from clip_lib.models.contrastive_loss import (
    MAX_SCALE,
    ContrastiveLoss,
    _targets,
    contrastive_loss,
)


def slow_loss(logits, smoothing=0.0, labels=None, share=0.0):
    """The definition, one pair at a time."""
    size, total = len(logits), 0.0
    labels = range(size) if labels is None else list(labels)
    for matrix in (logits, logits.T):
        for i in range(size):
            log_sum = math.log(sum(math.exp(value) for value in matrix[i]))
            for j in range(size):
                target = (1 - smoothing) * (i == j) + smoothing / size
                if labels[i] == labels[j]:
                    of_the_label = share / labels.count(labels[i])
                else:
                    of_the_label = 0
                target = (1 - share) * target + of_the_label
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


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("labels", [[0, 1, 0, 2, 0, 1], [7] * 6])
def test_pairs_of_one_label_share_the_target(logits, smoothing, share, labels):
    loss = contrastive_loss(logits, smoothing, np.array(labels, "int32"), share)
    expected = slow_loss(logits, smoothing, labels, share)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(loss) != pytest.approx(slow_loss(logits, smoothing), rel=1e-3)


def test_targets_by_hand():
    labels = np.array([5, 5, 9], "int32")
    shared = [[0.75, 0.25, 0], [0.25, 0.75, 0], [0, 0, 1]]
    assert np.allclose(_targets(3, "float32", 0.0, labels, 0.5), shared)
    smoothed = 0.5 * (0.7 * np.eye(3) + 0.1) + 0.5 * np.array(
        [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]
    )
    assert np.allclose(_targets(3, "float32", 0.3, labels, 0.5), smoothed)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_each_row_of_the_targets_is_a_distribution(smoothing, share):
    labels = np.random.default_rng(0).integers(0, 3, 9)
    targets = np.asarray(_targets(9, "float32", smoothing, labels, share))
    assert np.allclose(targets.sum(axis=1), 1, atol=1e-6)
    assert (targets >= 0).all()
    assert np.allclose(targets, targets.T)


def test_labels_without_a_share_and_labels_of_one_pair_each_change_nothing(logits):
    expected = float(contrastive_loss(logits, 0.1))
    labels = np.array([0, 1, 0, 2, 0, 1])
    assert float(contrastive_loss(logits, 0.1, labels, 0.0)) == expected
    assert float(contrastive_loss(logits, 0.1, None, 0.5)) == expected
    alone = contrastive_loss(logits, 0.0, np.arange(6), 0.5)
    assert float(alone) == pytest.approx(float(contrastive_loss(logits)), rel=1e-6)


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


def test_the_layer_takes_labels_as_a_third_input():
    random = np.random.default_rng(0)
    images, texts = unit(random.normal(size=(4, 8))), unit(random.normal(size=(4, 8)))
    layer = ContrastiveLoss(0.1, label_smoothing=0.2, label_share=0.6)
    logits, labels = images @ texts.T / 0.1, np.array([3, 1, 3, 3], "int32")
    for inputs, expected in (
        ([images, texts, labels], slow_loss(logits, 0.2, labels, 0.6)),
        ([images, texts], slow_loss(logits, 0.2)),
    ):
        outputs = layer(inputs)
        assert len(outputs) == 2 and np.allclose(outputs[0], images)
        assert float(layer.losses[-1]) == pytest.approx(expected, rel=1e-4)


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
    settings = {"temperature": 0.2, "label_smoothing": 0.3, "label_share": 0.4}
    layer = ContrastiveLoss(**settings, name="loss")
    assert settings.items() <= layer.get_config().items()
    again = ContrastiveLoss.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.label_smoothing, again.label_share) == (0.3, 0.4)
