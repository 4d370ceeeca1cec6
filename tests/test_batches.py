"""The streams: fresh shuffles, nothing dropped for ever, captions kept apart."""

import keras
import numpy as np
import pytest

from clip_lib.data.images import load_image
from clip_lib.data.pipelines import image_batches, pair_batches, text_batches


@pytest.fixture(scope="module")
def paths(tiny_dataset):
    return tiny_dataset.paths(tiny_dataset.records)


def order(batches):
    """The labels of one epoch, batch by batch."""
    return [labels.numpy().tolist() for _, labels in batches]


def flat(epoch):
    return [label for batch in epoch for label in batch]


def test_served_and_trained_pictures_are_the_same_pixels(paths):
    served = np.concatenate([*image_batches(paths, (64, 64), 8).as_numpy_iterator()])
    by_hand = np.stack([load_image(path, (64, 64)) for path in paths])
    assert (served == by_hand).all()


def test_each_epoch_is_shuffled_anew(paths):
    batches = image_batches(paths, (64, 64), 8, range(len(paths)), training=True)
    one, two = order(batches), order(batches)
    assert one != two
    assert sorted(flat(one)) == sorted(flat(two)) == list(range(len(paths)))


def test_what_one_epoch_drops_another_sees(paths):
    batches = image_batches(paths, (64, 64), 32, range(len(paths)), training=True)
    epochs = [set(flat(order(batches))) for _ in range(12)]
    assert all(len(epoch) == 32 for epoch in epochs)
    assert set.union(*epochs) == set(range(len(paths)))


def test_serving_keeps_the_order_and_the_short_last_batch(paths):
    batches = image_batches(paths, (64, 64), 32, range(len(paths)))
    assert flat(order(batches)) == list(range(len(paths)))


def test_a_batch_is_never_larger_than_the_data(paths):
    batches = image_batches(paths[:5], (64, 64), 32, range(5), training=True)
    assert [len(batch) for batch in order(batches)] == [5]


def test_captions_of_one_picture_never_meet_in_a_batch(paths):
    # Four captions a picture; a caption's token says whose it is and which one.
    rows = [path for path in paths for _ in range(4)]
    token_ids = np.arange(10, 10 + len(rows))[:, None]
    batches = pair_batches(rows, token_ids, (64, 64), 16, training=True)
    keras.utils.set_random_seed(0)  # As every training does.
    drawn = set()
    for _ in range(10):
        for batch in batches:
            tokens = batch["text_input"].numpy()[:, 0] - 10
            assert len(set(tokens // 4)) == len(tokens)
            for token, image in zip(tokens, batch["image_input"].numpy(), strict=True):
                assert (image == load_image(rows[token], (64, 64))).all()
            drawn |= set(tokens)
    assert len(drawn) > 0.8 * len(rows)  # All captions serve, in turn.


def test_uneven_numbers_of_captions_are_drawn_fairly(paths):
    rows = [paths[0], paths[1], paths[1], paths[1]]
    token_ids = np.array([[10], [20], [21], [22]])
    keras.utils.set_random_seed(0)
    batches = pair_batches(rows, token_ids, (64, 64), 2, training=True)
    drawn = [
        tuple(batch["text_input"].numpy()[:, 0]) for _ in range(60) for batch in batches
    ]
    assert all(10 in pair for pair in drawn)
    counts = np.bincount([token for pair in drawn for token in pair])[20:]
    assert counts.min() >= 8  # 20 expected of each.


@pytest.mark.parametrize("training", [False, True])
def test_a_label_is_that_of_the_picture_in_its_row(paths, training):
    """One to three captions a picture, their rows apart; the pixels tell whose."""
    pictures = [0, 1, 2, 3, 4, 5, 1, 2, 2, 5]
    rows = [paths[picture] for picture in pictures]
    token_ids = 10 + np.arange(len(rows))[:, None]
    labels = 100 + np.array(pictures)
    keras.utils.set_random_seed(0)
    batches = pair_batches(rows, token_ids, (64, 64), 3, labels, training=training)
    pixels = [load_image(path, (64, 64)) for path in paths[:6]]
    for _ in range(4):
        seen = []
        for batch in batches:
            assert batch["label_input"].dtype == "int32"
            found = [array.numpy() for array in batch.values()]
            for image, (token,), label in zip(*found, strict=True):
                assert (image == pixels[label - 100]).all()
                assert labels[token - 10] == label
                seen.append(label)
        assert sorted(seen) == sorted(set(labels))
        assert training or seen == sorted(seen)


def test_without_labels_none_are_streamed(paths):
    token_ids = np.full((4, 2), 5)
    for training in (False, True):
        batches = pair_batches(paths[:4], token_ids, (64, 64), 2, training=training)
        assert set(batches.element_spec) == {"image_input", "text_input"}
    labelled = pair_batches(paths[:4], token_ids, (64, 64), 2, np.arange(4))
    assert list(labelled.element_spec) == ["image_input", "text_input", "label_input"]


def test_serving_takes_the_first_caption(paths):
    rows = [paths[0], paths[0], paths[1]]
    batches = pair_batches(rows, np.array([[10], [11], [20]]), (64, 64), 8)
    assert next(iter(batches))["text_input"].numpy().tolist() == [[10], [20]]


def test_each_epoch_hides_other_words_under_a_global_seed():
    keras.utils.set_random_seed(0)
    token_ids = np.full((50, 32), 5)
    batches = text_batches(token_ids, range(50), 50, word_dropout=0.3, training=True)
    hidden = []
    for _ in range(3):
        token_ids, labels = next(iter(batches))
        hidden.append(token_ids.numpy()[np.argsort(labels)] == 1)
    agreement = (hidden[0] == hidden[1]).mean(), (hidden[1] == hidden[2]).mean()
    assert max(agreement) < 0.65  # 0.58 by chance.


def test_pictures_that_are_not_kept_are_shuffled_as_names(paths, monkeypatch):
    monkeypatch.setattr("clip_lib.data.pipelines.CACHE_BYTES", 0)
    decoded = []
    monkeypatch.setattr(
        "clip_lib.data.pipelines.load_image",
        lambda path, size: decoded.append(path) or load_image(path, size),
    )
    batches = image_batches(paths, (64, 64), 4, range(len(paths)), training=True)
    epochs = iter(batches)
    next(epochs)
    assert len(decoded) < len(paths)  # The shuffle did not wait for all of them.
    assert order(batches) != order(batches)


def test_word_dropout_hides_words_but_never_touches_padding():
    token_ids = np.tile(np.array([[5] * 10 + [0] * 22]), (200, 1)).astype("int32")
    batches = text_batches(
        token_ids, np.zeros(200), 200, word_dropout=0.3, training=True
    )
    dropped = next(iter(batches))[0].numpy()
    assert (dropped[:, 10:] == 0).all()
    assert set(np.unique(dropped[:, :10])) == {1, 5}
    assert 0.25 < (dropped[:, :10] == 1).mean() < 0.35
    served = next(iter(text_batches(token_ids, np.zeros(200), 200, word_dropout=0.3)))[
        0
    ]
    assert (served.numpy() == token_ids).all()
