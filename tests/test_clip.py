"""CLIP as a whole: geometry, learning, saving."""

import dataclasses

import keras
import numpy as np
import pandas as pd
import pytest

from clip_lib.data.dataset import Dataset
from clip_lib.data.vocabulary import encode
from clip_lib.evaluation.metrics import first_ranks
from clip_lib.models.clip import build_clip, with_labels
from clip_lib.models.contrastive_loss import contrastive_loss
from clip_lib.models.encoders import (
    DISTORTIONS,
    build_image_classifier,
    build_text_classifier,
    without_head,
)
from clip_lib.models.reload import reload_difference
from clip_lib.models.saving import load_clip, save_model, split_encoders
from clip_lib.training.fit import clip_batches, fit_clip


@pytest.fixture(autouse=True)
def same_start():
    """The untrained models are the same in every run."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def batch(tiny_dataset, vectorizer, tiny_config):
    return next(iter(clip_batches(tiny_dataset, vectorizer, tiny_config, "test")))


def test_embeddings_have_length_one(tiny_clip, batch):
    for embeddings in tiny_clip.predict(batch, verbose=0):
        assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_black_pictures_and_wordless_texts_give_finite_vectors(
    tiny_clip, tiny_config, vectorizer
):
    inputs = {
        "image_input": np.zeros((2, *tiny_config.image_shape), "uint8"),
        "text_input": encode(vectorizer, ["", "!?"]),
    }
    for embeddings in tiny_clip.predict(inputs, verbose=0):
        assert np.isfinite(embeddings).all()


def test_eight_pairs_are_memorised(tmp_path, tiny_dataset, vectorizer, tiny_config):
    rows = tiny_dataset.train.groupby("label").head(2)
    both = [rows.assign(split=split) for split in ("train", "validation")]
    eight = Dataset(tiny_dataset.folder, pd.concat(both), tiny_dataset.class_names)
    config = dataclasses.replace(
        tiny_config,
        clip_epochs=80,
        clip_learning_rate=1e-3,
        clip_patience=80,
        locked_images=False,
        feature_dropout=0.0,
        label_smoothing=0.0,
        label_share=0.0,
        word_dropout=0.0,
    )
    images = build_image_classifier(config, 4)
    texts = build_text_classifier(config, vectorizer.vocabulary_size(), 4)
    clip = build_clip(without_head(images), without_head(texts), config)
    clip, _ = fit_clip(clip, eight, vectorizer, config, tmp_path / "eight.keras")
    image_embeddings, text_embeddings = clip.predict(
        clip_batches(eight, vectorizer, config, "validation"), verbose=0
    )
    logits = image_embeddings @ text_embeddings.T
    assert first_ranks(logits, np.eye(8)).tolist() == [1] * 8
    assert first_ranks(logits.T, np.eye(8)).tolist() == [1] * 8


@pytest.fixture
def labelled(tiny_dataset, vectorizer, tiny_config):
    """A batch of the training, with its labels."""
    return next(iter(clip_batches(tiny_dataset, vectorizer, tiny_config, "train")))


def test_labels_are_an_input_of_the_training_alone(tiny_clip):
    trained = with_labels(tiny_clip)
    assert set(trained.input) == {"image_input", "text_input", "label_input"}
    assert set(tiny_clip.input) == {"image_input", "text_input"}
    assert trained.input["label_input"].shape == (None,)


def test_the_labelled_loss_is_the_one_of_its_embeddings(
    tiny_clip, labelled, tiny_config
):
    trained = with_labels(tiny_clip)
    images, texts = trained(labelled, training=False)
    logits = images @ np.transpose(texts) / tiny_config.temperature
    labels = labelled["label_input"]
    assert len(set(labels.numpy())) < len(labels)
    settings = tiny_config.label_smoothing, labels, tiny_config.label_share
    expected = float(contrastive_loss(logits, *settings))
    (loss,) = trained.losses
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    pair = {name: labelled[name] for name in tiny_clip.input}
    tiny_clip(pair, training=False)
    (loss,) = tiny_clip.losses
    plain = float(contrastive_loss(logits, tiny_config.label_smoothing))
    assert float(loss) == pytest.approx(plain, rel=1e-5)
    assert plain != pytest.approx(expected, rel=1e-3)


def test_training_with_labels_trains_the_clip(tmp_path, tiny_clip, batch, labelled):
    trained = with_labels(tiny_clip)
    assert {id(one) for one in trained.weights} == {id(w) for w in tiny_clip.weights}
    before = tiny_clip.predict(batch, verbose=0)
    trained.compile(keras.optimizers.AdamW(1e-2))
    trained.train_on_batch(labelled)
    after = tiny_clip.predict(batch, verbose=0)
    for old, new in zip(before, after, strict=True):
        assert np.abs(old - new).max() > 1e-3
    # And the other way round.
    tiny_clip.set_weights([0.9 * weights for weights in tiny_clip.get_weights()])
    for one, other in zip(trained.weights, tiny_clip.weights, strict=True):
        assert np.allclose(one, other)
    after = tiny_clip.predict(batch, verbose=0)
    again = load_clip(save_model(tiny_clip, tmp_path / "clip.keras"))
    assert set(again.input) == {"image_input", "text_input"}
    for one, other in zip(again.predict(batch, verbose=0), after, strict=True):
        assert np.allclose(one, other, atol=1e-5)
    share = tiny_clip.get_layer("contrastive_loss").label_share
    assert again.get_layer("contrastive_loss").label_share == share > 0
    assert set(with_labels(again).input) == set(trained.input)


@pytest.mark.parametrize("locked", [True, False])
def test_locked_image_features_stay_as_they_were(
    tiny_config, vectorizer, labelled, locked
):
    """Else they move; in both cases pictures are mirrored and not distorted."""
    config = dataclasses.replace(tiny_config, locked_images=locked)
    images = without_head(build_image_classifier(config, 4))
    texts = build_text_classifier(config, vectorizer.vocabulary_size(), 4)
    clip = build_clip(images, without_head(texts), config)
    encoder = split_encoders(clip)[0]
    projection = encoder.get_layer("projection").kernel
    # Of the copy that is trained, not of what it was made from.
    inside = [weights for weights in encoder.weights if "seed" not in weights.path]
    inside = [weights for weights in inside if "projection" not in weights.path]
    before = [weights.numpy() for weights in inside]
    start = projection.numpy()
    trained = with_labels(clip)
    trained.compile(keras.optimizers.AdamW(1e-2), run_eagerly=True)
    trained.train_on_batch(labelled)
    moved = [
        (weights.numpy() != old).any()
        for weights, old in zip(inside, before, strict=True)
    ]
    assert any(moved) != locked
    for name in DISTORTIONS:
        assert isinstance(encoder.get_layer(name), keras.layers.Identity)
    assert isinstance(encoder.get_layer("flip"), keras.layers.RandomFlip)
    assert np.abs(projection.numpy() - start).max() > 1e-3


def test_a_fresh_process_gives_the_same_vectors(tmp_path, tiny_clip, batch):
    path = save_model(tiny_clip, tmp_path / "clip.keras")
    assert reload_difference(tiny_clip, path, batch) < 1e-5
    tiny_clip.set_weights([weights + 0.01 for weights in tiny_clip.get_weights()])
    assert reload_difference(tiny_clip, path, batch) > 1e-3


def test_the_encoders_stand_on_their_own(tmp_path, tiny_clip, batch):
    expected = tiny_clip.predict(batch, verbose=0)
    inputs = (batch["image_input"], batch["text_input"])
    for encoder, array, vectors in zip(
        split_encoders(tiny_clip), inputs, expected, strict=True
    ):
        path = save_model(encoder, tmp_path / f"{encoder.name}.keras")
        again = keras.saving.load_model(path)
        assert np.allclose(again.predict(array, verbose=0), vectors, atol=1e-5)


def test_what_was_saved_keeps_its_temperature(tmp_path, tiny_clip):
    tiny_clip.get_layer("contrastive_loss").log_scale.assign(3.0)
    again = load_clip(save_model(tiny_clip, tmp_path / "clip.keras"))
    loss = again.get_layer("contrastive_loss")
    assert loss.temperature == pytest.approx(np.exp(-3.0))


def test_a_failing_save_leaves_the_old_model(tmp_path, tiny_clip, monkeypatch):
    path = save_model(tiny_clip, tmp_path / "clip.keras")
    before = path.read_bytes()

    def half(target):
        target.write_bytes(b"half a model")
        raise OSError("disk full")

    monkeypatch.setattr(tiny_clip, "save", half)
    with pytest.raises(OSError, match="disk full"):
        save_model(tiny_clip, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["clip.keras"]


def test_a_model_that_is_missing_or_not_ours_is_named(tmp_path, vectorizer):
    with pytest.raises(ValueError, match=r"none\.keras: no such model"):
        load_clip(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.keras: not a CLIP"):
        load_clip(tmp_path / "text.keras")
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match=r"other\.keras: not a CLIP"):
        load_clip(tmp_path / "other.keras")


def test_encode_and_model_agree_on_the_length(tiny_clip, vectorizer):
    _, text_encoder = split_encoders(tiny_clip)
    assert encode(vectorizer, ["grass"]).shape[1:] == text_encoder.input.shape[1:]
