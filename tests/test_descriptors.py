"""Where the convolution starts, on maps of which the directions are known."""

import keras
import numpy as np
import pytest

from clip_lib.models.descriptors import learn_descriptors


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    monkeypatch.setattr("clip_lib.models.descriptors.SAMPLES", 4000)


@pytest.fixture
def noise():
    random = np.random.default_rng(0)
    return [random.uniform(-1, 1, (6, side, side + 1, 3)) for side in (14, 7)]


def answers(maps, kernel, bias):
    """What the convolution of the encoder gives, (places, number)."""
    outputs = [
        keras.ops.conv(each.astype("float32"), kernel, padding="valid") + bias
        for each in maps
    ]
    return np.concatenate([np.reshape(each, (-1, len(bias))) for each in outputs])


def test_kernel_and_bias_are_of_the_shapes_that_a_convolution_takes(noise):
    kernel, bias = learn_descriptors(noise, 7, 4)
    assert kernel.shape == (4, 4, 3, 7) and kernel.dtype == "float32"
    assert bias.shape == (7,) and bias.dtype == "float32"


def test_the_answers_are_centred_of_variance_one_and_not_correlated(noise):
    found = answers(noise, *learn_descriptors(noise, 5, 3))
    assert np.abs(found.mean(axis=0)).max() < 0.1
    assert np.abs(np.cov(found.T) - np.eye(5)).max() < 0.15


def test_the_first_direction_is_the_one_that_varies_most():
    """One channel changes from place to place, and all of a piece together."""
    random = np.random.default_rng(0)
    maps = random.normal(0, 0.01, (50, 6, 6, 3))
    maps[..., 1] += random.normal(0, 1, (50, 1, 1))
    kernel, _ = learn_descriptors([maps], 3, 4)
    first = kernel[..., 0]
    by_channel = np.abs(first).mean(axis=(0, 1))
    assert by_channel[1] > 10 * max(by_channel[0], by_channel[2])
    assert first[..., 1].std() < 0.05 * np.abs(first[..., 1].mean())


def test_scales_weigh_as_much_as_they_have_places():
    """All places vary in one channel, a tenth of them also in another one."""
    random = np.random.default_rng(0)
    large, small = np.zeros((40, 10, 10, 2)), np.zeros((40, 4, 4, 2))
    large[..., 0] = random.normal(0, 1, (40, 10, 10))
    small[..., 1] = random.normal(0, 1, (40, 4, 4))
    both = learn_descriptors([large, small], 2, 1)
    ends = [
        learn_descriptors([each], 1, 1)[0][0, 0, :, 0].nonzero()[0].tolist()
        for each in (large, small)
    ]
    assert ends == [[0], [1]]
    # 116 places, 16 of them small: a variance of 16 / 116, scaled to 1.
    scale = np.abs(both[0][0, 0, 1]).max()
    assert scale == pytest.approx(np.sqrt(116 / 16), rel=0.1)


def test_the_same_seed_gives_the_same_start(noise):
    one, again, other = (learn_descriptors(noise, 4, 4, seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert (one[0] != other[0]).any()


@pytest.mark.parametrize("value", [-1.0, 0.0, 0.7])
def test_maps_of_one_value_give_silent_descriptors(value):
    kernel, bias = learn_descriptors([np.full((3, 8, 8, 2), value)], 4, 4)
    assert not kernel.any() and not bias.any()


def test_directions_in_which_nothing_varies_stay_silent():
    random = np.random.default_rng(0)
    maps = np.repeat(random.normal(size=(9, 6, 6, 1)), 3, axis=-1)
    kernel, bias = learn_descriptors([maps], 9, 2)
    lengths = np.linalg.norm(kernel.reshape(-1, 9), axis=0)
    assert (lengths[:4] > 0.1).all() and not lengths[4:].any()
    assert np.isfinite(bias).all()


def test_too_small_a_map_and_too_many_descriptors_are_refused(noise):
    with pytest.raises(ValueError, match=r"7 x 8 places.*8 x 8"):
        learn_descriptors(noise, 4, 8)
    with pytest.raises(ValueError, match=r"28 descriptors.*at most 27"):
        learn_descriptors(noise, 28, 3)
