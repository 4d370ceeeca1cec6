"""Training: what is kept, what is read, what an interruption leaves."""

import dataclasses
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from clip_lib.data.dataset import Dataset
from clip_lib.data.pipelines import image_batches
from clip_lib.data.vocabulary import learn_vocabulary, vocabulary_fingerprint
from clip_lib.models.clip import build_clip
from clip_lib.models.contrastive_loss import ContrastiveLoss
from clip_lib.models.encoders import without_head
from clip_lib.training.callbacks import KeepBest, ValidationRecall
from clip_lib.training.fit import (
    clip_batches,
    fit_clip,
    fit_image_classifier,
    fit_text_classifier,
)


@pytest.fixture(autouse=True)
def few_pieces(monkeypatch):
    monkeypatch.setattr("clip_lib.models.descriptors.SAMPLES", 1000)


def small_model():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


class Scripted(keras.callbacks.Callback):
    """Give each epoch a weight and a figure, as a training would."""

    def __init__(self, figures):
        super().__init__()
        self.figures = figures

    def on_epoch_end(self, epoch, logs=None):
        self.model.layers[0].set_weights([np.array([[epoch]]), np.array([0.0])])
        logs["figure"] = self.figures[epoch]
        if self.figures[epoch] is None:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("figures", "best"), [([0.1, 0.5, 0.3, 0.5], 1), ([-3.0, -2.0, -1.0, -1.5], 2)]
)
def test_the_best_epoch_is_kept(tmp_path, figures, best):
    path = tmp_path / "best.keras"
    small_model().fit(
        np.zeros((4, 1)),
        np.zeros((4, 1)),
        epochs=4,
        verbose=0,
        callbacks=[Scripted(figures), KeepBest(path, "figure")],
    )
    assert keras.saving.load_model(path).get_weights()[0] == best


def test_an_interruption_keeps_the_best_epoch(tmp_path):
    path = tmp_path / "best.keras"
    with pytest.raises(KeyboardInterrupt):
        small_model().fit(
            np.zeros((4, 1)),
            np.zeros((4, 1)),
            epochs=4,
            verbose=0,
            callbacks=[Scripted([0.1, 0.5, None]), KeepBest(path, "figure")],
        )
    assert keras.saving.load_model(path).get_weights()[0] == 1


def test_another_model_than_the_trained_one_can_be_kept(tmp_path):
    path, kept = tmp_path / "best.keras", small_model()
    kept.set_weights([np.array([[7.0]]), np.array([0.0])])
    small_model().fit(
        np.zeros((4, 1)),
        np.zeros((4, 1)),
        epochs=2,
        verbose=0,
        callbacks=[Scripted([0.1, 0.5]), KeepBest(path, "figure", kept)],
    )
    assert keras.saving.load_model(path).get_weights()[0] == 7


def test_labels_come_with_the_training_pairs_alone(
    tiny_dataset, vectorizer, tiny_config
):
    for split in ("train", "validation", "test"):
        batches = clip_batches(tiny_dataset, vectorizer, tiny_config, split)
        assert ("label_input" in batches.element_spec) == (split == "train")


def test_the_kept_classifier_is_the_best_epoch(tmp_path, tiny_dataset, tiny_config):
    config = dataclasses.replace(tiny_config, image_epochs=3)
    path = tmp_path / "image.keras"
    model, history = fit_image_classifier(tiny_dataset, config, path)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    rows = tiny_dataset.validation
    batches = image_batches(
        tiny_dataset.paths(rows), config.image_size, 8, tiny_dataset.labels(rows)
    )
    accuracy = model.evaluate(batches, verbose=0, return_dict=True)["accuracy"]
    assert accuracy == pytest.approx(max(history.history["val_accuracy"]))


def test_training_twice_under_one_seed_gives_the_same(
    tmp_path, tiny_dataset, vectorizer, tiny_config
):
    losses = [
        fit_text_classifier(
            tiny_dataset, vectorizer, tiny_config, tmp_path / "t.keras"
        )[1].history["loss"]
        for _ in range(2)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_importing_the_library_is_enough_to_load_what_was_trained(
    tmp_path, tiny_dataset, vectorizer, tiny_config
):
    path = tmp_path / "text.keras"
    config = dataclasses.replace(tiny_config, text_epochs=1)
    fit_text_classifier(tiny_dataset, vectorizer, config, path)
    script = "import sys, clip_lib, keras; keras.saving.load_model(sys.argv[1])"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)


def test_nothing_is_learned_from_test(
    tmp_path, tiny_dataset, vectorizer, tiny_config, capsys
):
    """The whole training runs with the test pictures gone and their captions wrong."""
    folder = tmp_path / "without_test"
    shutil.copytree(tiny_dataset.folder, folder)
    for path in tiny_dataset.test["image_path"]:
        (folder / path).unlink()
    records = tiny_dataset.records.copy()
    records.loc[records["split"] == "test", "caption"] = "nothing of the kind"
    blind = Dataset(folder, records, tiny_dataset.class_names)
    again = learn_vocabulary(blind.train["caption"], tiny_config)
    assert again.get_vocabulary() == vectorizer.get_vocabulary()
    images, _ = fit_image_classifier(blind, tiny_config, tmp_path / "image.keras")
    texts, _ = fit_text_classifier(blind, again, tiny_config, tmp_path / "text.keras")
    clip = build_clip(without_head(images), without_head(texts), tiny_config)
    capsys.readouterr()
    kept, history = fit_clip(clip, blind, again, tiny_config, tmp_path / "clip.keras")
    assert len(history.history["val_recall"]) == tiny_config.clip_epochs
    recalls = {f"val_recall@{k}" for k in (1, 5, 10)}
    assert set(history.history) >= {"loss", "val_loss", "temperature"} | recalls
    assert set(kept.input) == {"image_input", "text_input"}
    loss = kept.get_layer("contrastive_loss")
    assert loss.vocabulary == vocabulary_fingerprint(vectorizer)
    bar = capsys.readouterr().out
    assert "val_recall=" in bar and "val_recall@" not in bar


def built_loss(temperature):
    layer = ContrastiveLoss(temperature)
    layer.build(None)
    return layer


def test_validation_recall_is_one_for_a_perfect_model(
    tiny_dataset, vectorizer, tiny_config
):
    pairs = clip_batches(tiny_dataset, vectorizer, tiny_config, "validation")
    count = len(tiny_dataset.validation)

    class Perfect:
        def predict(self, pairs, verbose):
            return np.eye(count), np.eye(count)

        def get_layer(self, name):
            return built_loss(0.01)

    callback, logs = ValidationRecall(Perfect(), pairs, 4), {}
    callback.on_epoch_end(0, logs)
    assert logs["val_recall"] == logs["val_recall@1"] == 1.0
    assert logs["val_loss"] < 1e-3
    assert logs["temperature"] == pytest.approx(0.01, rel=1e-5)


def test_validation_loss_is_over_one_batch(tiny_dataset, vectorizer, tiny_config):
    pairs = clip_batches(tiny_dataset, vectorizer, tiny_config, "validation")
    count = len(tiny_dataset.validation)
    blind = np.tile(np.eye(1, 4), (count, 1))

    class Blind:
        def predict(self, pairs, verbose):
            return blind, blind

        def get_layer(self, name):
            return built_loss(0.07)

    callback, logs = ValidationRecall(Blind(), pairs, 3), {}
    callback.on_epoch_end(0, logs)
    assert logs["val_loss"] == pytest.approx(np.log(3), rel=1e-5)
    assert logs["val_recall"] < 0.7  # All ties: every answer is last.
