"""The pooling layer, against the same computed by loops and by eigenvalues."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from clip_lib.models.second_order_pooling import SecondOrderPooling, square_root


def by_loops(maps):
    """Pool one picture's maps as the layer's docstring says, with an exact root."""
    rows = []
    for each in maps:
        height, width, _ = each.shape
        for y in range(height):
            for x in range(width):
                place = [(2 * y + 1) / height - 1, (2 * x + 1) / width - 1]
                rows.append([*each[y, x], *(np.sqrt(3) * np.array(place)), 1.0])
    products = np.mean([np.outer(row, row) for row in rows], axis=0)
    values, vectors = np.linalg.eigh(products)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    pooled = [root[i, j] for i in range(len(root)) for j in range(i, len(root))]
    return np.array(pooled) / np.linalg.norm(pooled)


@pytest.fixture
def maps():
    random = np.random.default_rng(0)
    return [
        random.normal(0.5, 1, (4, side, side + 2, 5)).astype("float32")
        for side in (7, 3)
    ]


def test_as_by_loops(maps):
    pooled = np.asarray(SecondOrderPooling()(maps))
    assert pooled.shape == (4, 8 * 9 // 2)
    for picture, found in enumerate(pooled):
        expected = by_loops([each[picture] for each in maps])
        assert np.abs(found - expected).max() < 0.02
        assert found @ expected > 0.999


def test_the_shape_is_known_beforehand(maps):
    layer = SecondOrderPooling()
    inputs = [keras.Input(each.shape[1:]) for each in maps]
    assert layer(inputs).shape == (None, 36)
    assert layer.compute_output_shape([each.shape for each in maps]) == (4, 36)


def test_the_order_of_the_maps_is_nothing_but_above_is_not_below(maps):
    pooled = np.asarray(SecondOrderPooling()(maps))
    swapped = np.asarray(SecondOrderPooling()(maps[::-1]))
    assert np.abs(pooled - swapped).max() < 1e-5
    upside_down = [each[:, ::-1] for each in maps]
    assert np.abs(pooled - np.asarray(SecondOrderPooling()(upside_down))).max() > 0.01


def test_the_root_of_a_matrix_of_known_root():
    random = np.random.default_rng(0)
    root = random.normal(size=(3, 6, 6))
    root = root @ root.transpose(0, 2, 1) + 2 * np.eye(6)
    squares = (root @ root).astype("float32")
    found = np.asarray(square_root(squares, steps=20))
    assert np.allclose(found, root, rtol=1e-3, atol=1e-2)
    one_step = np.asarray(square_root(squares, steps=1))
    assert np.abs(one_step - root).max() > 0.1


def test_pictures_of_one_colour_give_numbers_and_slopes():
    layer = SecondOrderPooling()
    maps = [keras.ops.zeros((2, 4, 4, 3)), keras.ops.ones((2, 2, 2, 3))]
    for some in ([maps[0]], [maps[1]], maps):
        with tf.GradientTape() as tape:
            tape.watch(some)
            pooled = layer(some)
            loss = tf.reduce_sum(pooled * np.arange(pooled.shape[1]))
        for slopes in tape.gradient(loss, some):
            assert np.isfinite(slopes).all()
        pooled = np.asarray(pooled)
        assert np.isfinite(pooled).all()
        assert np.allclose(np.linalg.norm(pooled, axis=1), 1, atol=1e-5)


def test_it_can_be_trained_through(maps):
    """The convolution before it is moved, and the loss falls."""
    inputs = [keras.Input(each.shape[1:]) for each in maps]
    describe = keras.layers.Conv2D(4, 2)
    pooled = SecondOrderPooling()([describe(each) for each in inputs])
    model = keras.Model(inputs, keras.layers.Dense(1)(pooled))
    model.compile(keras.optimizers.Adam(0.02), "mse")
    before = describe.kernel.numpy()
    target = np.array([[0.0], [1.0], [0.0], [1.0]])
    losses = [model.train_on_batch(maps, target) for _ in range(60)]
    assert np.isfinite(losses).all() and losses[-1] < 0.1 * losses[0]
    assert np.abs(describe.kernel.numpy() - before).max() > 0.01
