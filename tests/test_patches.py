"""The patch dictionary, on pictures of which the patches are known."""

import warnings

import numpy as np
import pytest

from clip_lib.patches import learn_patches


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    monkeypatch.setattr("clip_lib.patches.SAMPLES", 2000)


@pytest.fixture
def noise():
    return np.random.default_rng(0).uniform(-1, 1, (6, 14, 12, 3))


def stripes(number, side, across, period=4):
    """Pictures (number, side, side, 3) of stripes, each shifted by one pixel more."""
    lines = np.arange(side) + np.arange(number)[:, None]
    lines = np.where(lines % period < period // 2, 0.8, -0.8)
    lines = lines[:, :, None] if across else lines[:, None, :]
    return np.tile(
        np.broadcast_to(lines, (number, side, side))[..., None], (1, 1, 1, 3)
    )


def answers(pictures, kernel):
    """Largest answer of each filter to each picture, over all places, by loops."""
    size = len(kernel)
    places = [
        np.einsum("nyxc,yxcf->nf", pictures[:, y : y + size, x : x + size], kernel)
        for y in range(pictures.shape[1] - size + 1)
        for x in range(pictures.shape[2] - size + 1)
    ]
    return np.max(places, axis=0)


def test_a_kernel_is_of_the_shape_that_a_convolution_takes(noise):
    kernel = learn_patches(noise, 7, 5)
    assert kernel.shape == (5, 5, 3, 7) and kernel.dtype == "float32"
    assert np.isfinite(kernel).all()
    assert (np.abs(kernel).max(axis=(0, 1, 2)) > 1e-3).all()


def test_a_filter_does_not_see_how_bright_a_patch_is(noise):
    kernel = learn_patches(noise, 4, 6)
    assert np.abs(kernel.sum(axis=(0, 1, 2))).max() < 1e-5
    brighter = answers(noise + 0.5, kernel)
    assert np.allclose(answers(noise, kernel), brighter, atol=1e-4)


def test_the_seed_decides(noise):
    one, again, other = (learn_patches(noise, 4, 6, seed) for seed in (1, 1, 2))
    assert (one == again).all()
    assert np.abs(one - other).max() > 1e-3


def test_two_filters_tell_two_kinds_of_stripes_apart():
    """Pictures as large as a patch: there are but two patches."""
    pictures = np.concatenate([stripes(1, 6, across) for across in (True, False)])
    kernel = learn_patches(pictures, 2, 6)
    dull = 0.5 * pictures + np.random.default_rng(0).normal(0.2, 0.1, (9, 2, 6, 6, 3))
    winners = np.array([answers(pair, kernel).argmax(axis=1) for pair in dull])
    assert set(winners[0]) == {0, 1}
    assert (winners == winners[0]).all()


def test_each_filter_is_one_of_the_patches_as_it_lies():
    """Stripes of four shifts and two directions: eight patches, eight filters."""
    pictures = np.concatenate([stripes(4, 12, across) for across in (True, False)])
    kernel = learn_patches(pictures, 8, 6)
    down, right = kernel.std(axis=0).max((0, 1)), kernel.std(axis=1).max((0, 1))
    across = right < 0.05 * down  # The same from left to right.
    assert across.sum() == 4
    assert (down[~across] < 0.05 * right[~across]).all()
    answered = answers(pictures, kernel)
    assert (answered[:4].argmax(axis=1) != answered[4:].argmax(axis=1)).all()
    assert across[answered[:4].argmax(axis=1)].all()
    assert not across[answered[4:].argmax(axis=1)].any()


@pytest.mark.parametrize("colour", range(3))
def test_a_filter_keeps_rows_columns_and_colours_in_their_order(colour):
    """Stripes across, in one colour: nothing varies from left to right."""
    pictures = np.zeros((4, 12, 12, 3))
    pictures[..., colour] = stripes(4, 12, True)[..., 0]
    kernel = learn_patches(pictures, 4, 6)
    assert (kernel.std(axis=1) < 1e-3 * kernel.std(axis=0).max()).all()
    varies = kernel.std(axis=(0, 1))
    others = np.delete(varies, colour, axis=0)
    assert (varies[colour] > 100 * others.max(axis=0)).all()


@pytest.mark.parametrize("value", [-1.0, 0.0, 0.3, 1.0])
def test_pictures_of_one_colour_give_numbers_and_no_complaint(value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel = learn_patches(np.full((3, 12, 12, 3), value), 4, 6)
    assert np.isfinite(kernel).all()


def test_plain_pictures_of_several_colours_give_numbers():
    random = np.random.default_rng(0)
    pictures = np.zeros((5, 12, 12, 3)) + random.uniform(-1, 1, (5, 1, 1, 3))
    assert np.isfinite(learn_patches(pictures, 16, 6)).all()


def test_a_picture_may_be_as_large_as_a_patch_but_not_smaller(noise):
    assert learn_patches(noise[:, :6, :6], 4, 6).shape == (6, 6, 3, 4)
    with pytest.raises(ValueError, match=r"6 x 6 pixels: larger than the pictures"):
        learn_patches(noise[:, :5], 4, 6)
