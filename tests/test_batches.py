"""The streams: fresh shuffles, nothing dropped for ever, captions kept apart."""

import keras
import numpy as np
import pytest

from clip_lib.data.images import load_image
from clip_lib.data.pipelines import (
    CachedFeatures,
    image_batches,
    pair_batches,
)

SIZE = (64, 64)


@pytest.fixture(scope="module")
def paths(tiny_dataset):
    return tiny_dataset.paths(tiny_dataset.records)


def order(batches):
    """The labels of one epoch, batch by batch."""
    return [labels.numpy().tolist() for _, labels in batches]


def flat(epoch):
    return [label for batch in epoch for label in batch]


def test_serving_keeps_the_pixels_the_order_and_the_short_last_batch(paths):
    served = np.concatenate([*image_batches(paths, SIZE, 32).as_numpy_iterator()])
    assert (served == np.stack([load_image(path, SIZE) for path in paths])).all()
    batches = image_batches(paths, SIZE, 32, range(len(paths)))
    assert flat(order(batches)) == list(range(len(paths)))
    # In training a short batch is dropped, unless there is no other.
    batches = image_batches(paths[:5], SIZE, 32, range(5), training=True)
    assert [len(batch) for batch in order(batches)] == [5]


@pytest.mark.parametrize("kept", [True, False])
def test_each_epoch_is_shuffled_anew_and_what_one_drops_another_sees(
    paths, monkeypatch, kept
):
    decoded = []
    monkeypatch.setattr(
        "clip_lib.data.pipelines.load_image",
        lambda path, size: decoded.append(path) or load_image(path, size),
    )
    if not kept:
        monkeypatch.setattr("clip_lib.data.pipelines.CACHE_BYTES", 0)
    batches = image_batches(paths, SIZE, 32, range(len(paths)), training=True)
    epochs = [flat(order(batches)) for _ in range(8)]
    assert len(decoded) == len(paths) * (1 if kept else 8)
    assert all(len(set(epoch)) == len(epoch) == 32 for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 8
    assert set.union(*map(set, epochs)) == set(range(len(paths)))


def test_captions_of_one_picture_are_drawn_fairly_and_never_meet(paths):
    # One to four captions a picture; a caption's token says whose it is and which one.
    owners = np.array([place for place in range(40) for _ in range(1 + place % 4)])
    rows = [paths[place] for place in owners]
    token_ids = np.arange(len(rows))[:, None]
    batches = pair_batches(rows, token_ids, SIZE, 10, training=True).repeat(40)
    keras.utils.set_random_seed(0)  # As every training does.
    drawn = np.stack([batch["text_input"].numpy()[:, 0] for batch in batches])
    assert all(len(set(owners[tokens])) == 10 for tokens in drawn)
    counts = np.bincount(drawn.ravel()) * np.bincount(owners)[owners]
    assert counts.min() >= 12 and counts.sum() == 40 * len(rows)  # 40 expected of each.


@pytest.mark.parametrize("training", [False, True])
def test_a_label_is_that_of_the_picture_in_its_row(paths, training):
    """One to three captions a picture, their rows apart; the pixels tell whose."""
    pictures = [0, 1, 2, 3, 4, 5, 1, 2, 2, 5]
    rows = [paths[picture] for picture in pictures]
    token_ids = 10 + np.arange(len(rows))[:, None]
    labels = 100 + np.array(pictures)
    keras.utils.set_random_seed(0)
    batches = pair_batches(rows, token_ids, SIZE, 3, labels, training=training)
    assert list(batches.element_spec) == ["image_input", "text_input", "label_input"]
    pixels = [load_image(path, SIZE) for path in paths[:6]]
    for _ in range(3):
        seen = []
        for batch in batches:
            assert batch["label_input"].dtype == "int32"
            found = [array.numpy() for array in batch.values()]
            for image, (token,), label in zip(*found, strict=True):
                assert (image == pixels[label - 100]).all()
                assert labels[token - 10] == label
                # Served, it is the picture's first caption, in the order of the table.
                assert training or token - 10 == len(seen)
                seen.append(label)
        assert sorted(seen) == sorted(set(labels))
    batches = pair_batches(rows, token_ids, SIZE, 3, training=training)
    assert set(batches.element_spec) == {"image_input", "text_input"}


@pytest.mark.parametrize("rank", [2, 4])
def test_cached_features_are_those_of_the_picture_or_its_mirror_image(
    paths, tmp_path, rank
):
    inputs = keras.Input((*SIZE, 3))
    outputs = keras.layers.Conv2D(5, 16, 16)(keras.layers.Rescaling(1 / 255)(inputs))
    outputs = keras.layers.Flatten()(outputs) if rank == 2 else outputs
    model = keras.Model(inputs, outputs)
    kept = CachedFeatures(model, [*paths, *paths], SIZE, tmp_path)
    assert not list(tmp_path.iterdir())  # Nothing that could stay behind.
    images = np.stack([load_image(path, SIZE) for path in paths])
    expected = np.stack([model.predict(images), model.predict(images[:, :, ::-1])])
    token_ids = np.arange(len(paths))[:, None]
    for training in (False, True):
        batches = pair_batches(
            paths, token_ids, SIZE, 8, training=training, features=kept
        )
        ways = []
        for batch in batches:
            assert list(batch) == ["feature_input", "text_input"]
            places = batch["text_input"].numpy()[:, 0]
            found = batch["feature_input"].numpy()
            close = np.isclose(found, expected[:, places], atol=2e-3)
            ways.append(close.reshape(*close.shape[:2], -1).all(axis=-1))
        plain, mirrored = np.concatenate(ways, axis=1).sum(axis=1)
        assert plain + mirrored == len(paths)
        assert (0 < mirrored < len(paths)) if training else not mirrored
    with pytest.raises(KeyError):
        kept.rows(["other.jpg"])
