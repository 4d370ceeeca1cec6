"""Training: what is kept, what is read."""

import contextlib
import dataclasses
import json
import shutil

import keras
import numpy as np
import pandas as pd
import pytest

from clip_lib.__main__ import main
from clip_lib.config import Config
from clip_lib.data.dataset import Dataset, load_dataset
from clip_lib.data.images import load_image
from clip_lib.data.pipelines import image_batches, labelled_batches
from clip_lib.data.vocabulary import encode, learn_vocabulary, vocabulary_fingerprint
from clip_lib.evaluation.metrics import first_ranks
from clip_lib.models import initialization
from clip_lib.models.clip import build_clip, without_head
from clip_lib.models.initialization import start_image_classifier, start_text_classifier
from clip_lib.models.smallbert import build_text_classifier
from clip_lib.retrieval.search import Search
from clip_lib.training.callbacks import KeepBest, ValidationRecall
from clip_lib.training.fit import (
    build_optimizer,
    clip_batches,
    fit_clip,
    fit_image_classifier,
    fit_text_classifier,
)


@pytest.fixture(autouse=True)
def few_patches(monkeypatch):
    monkeypatch.setattr(initialization, "PATCHES", 1000)


@pytest.fixture
def text_features(tiny_config, vectorizer):
    keras.utils.set_random_seed(0)
    words = vectorizer.vocabulary_size()
    return without_head(build_text_classifier(tiny_config, words, 4))


@pytest.fixture
def image_features(started_image_classifier):
    return without_head(started_image_classifier, frozen=True)


class Scripted(keras.callbacks.Callback):
    """Give each epoch a weight and a metric, as a training would."""

    def __init__(self, metrics):
        super().__init__()
        self.metrics = metrics

    def on_epoch_end(self, epoch, logs=None):
        self.model.layers[0].set_weights([np.array([[epoch]]), np.array([0.0])])
        logs["metric"] = self.metrics[epoch]
        if self.metrics[epoch] is None:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("metrics", "best"), [([0.1, 0.5, 0.3, 0.5], 1), ([-3.0, -2.0, -1.0, None], 2)]
)
def test_the_best_epoch_is_kept_also_of_an_interrupted_training(
    tmp_path, metrics, best
):
    path = tmp_path / "best.keras"
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callbacks = [Scripted(metrics), KeepBest(path, "metric")]
    try:
        zeros = np.zeros((4, 1))
        model.fit(zeros, zeros, epochs=4, verbose=0, callbacks=callbacks)
    except KeyboardInterrupt:
        assert None in metrics
    assert keras.saving.load_model(path).get_weights()[0] == best


def test_a_training_goes_on_without_a_checkpoint(tmp_path, full_disk, capsys):
    """The second epoch is the best, but the disk is full until its end."""
    path = tmp_path / "best.keras"
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    best, zeros = KeepBest(path, "metric"), np.zeros((4, 1))
    with contextlib.ExitStack() as disk:
        disk.enter_context(full_disk())
        freed = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: epoch == 1 and disk.close()
        )
        callbacks = [Scripted([0.1, 0.5, 0.3, 0.2]), best, freed]
        model.fit(zeros, zeros, epochs=4, verbose=0, callbacks=callbacks)
    said = capsys.readouterr().err
    assert said.count("is not saved") == 2 and "epoch 1 is not saved: [Errno" in said
    assert keras.saving.load_model(path).get_weights()[0] == 2
    callbacks = [Scripted([0.1]), KeepBest(tmp_path / "other.keras", "metric")]
    with full_disk(), pytest.raises(OSError, match=r"other\.keras"):
        model.fit(zeros, zeros, verbose=0, callbacks=callbacks)


def test_the_kept_classifier_is_the_best_epoch(tmp_path, tiny_dataset, tiny_config):
    config = dataclasses.replace(tiny_config, image_epochs=3)
    model, history = fit_image_classifier(
        start_image_classifier(tiny_dataset, config),
        tiny_dataset,
        config,
        tmp_path / "image.keras",
    )
    rows = tiny_dataset.validation
    batches = image_batches(tiny_dataset.paths(rows), config.image_size)
    predictions = model.predict(batches, verbose=0).argmax(axis=1)
    accuracy = (predictions == tiny_dataset.labels(rows)).mean()
    assert accuracy == pytest.approx(max(history["val_accuracy"]))


def test_on_a_frozen_encoder_the_head_alone_is_trained(
    image_features, tiny_dataset, tiny_config, tmp_path, monkeypatch
):
    """On features that are computed once, of each picture and of its mirror image."""
    config = dataclasses.replace(tiny_config, image_epochs=5, learning_rate=1e-2)
    read = []

    def load(path, size):
        read.append(path)
        return load_image(path, size)

    monkeypatch.setattr("clip_lib.data.pipelines.load_image", load)

    def with_head(body, inputs):
        keras.utils.set_random_seed(0)
        return keras.Model(inputs, keras.layers.Dense(4, "softmax", name="label")(body))

    classifier = with_head(image_features.output, image_features.input)
    start = classifier.get_layer("label").get_weights()
    before = image_features.get_weights()
    kept, history = fit_image_classifier(
        classifier, tiny_dataset, config, tmp_path / "image.keras"
    )
    parts = tiny_dataset.train, tiny_dataset.validation
    paths = [path for rows in parts for path in tiny_dataset.paths(rows)]
    assert sorted(read) == sorted(paths)
    # The same training by hand.
    features, streams = keras.Input(image_features.output.shape[1:]), []
    head = with_head(features, features)
    head.set_weights(start)
    for rows, views in zip(parts, (2, 1), strict=True):
        images = np.stack(
            [load_image(path, (64, 64)) for path in tiny_dataset.paths(rows)]
        )
        both = np.stack([images, images[:, :, ::-1]][:views], axis=1)
        found = image_features.predict(both.reshape(-1, 64, 64, 3), verbose=0)
        labels = np.repeat(tiny_dataset.labels(rows), views)
        streams.append(labelled_batches(found, labels, 8, views == 2, config.seed))
    head.compile(
        build_optimizer(config.learning_rate, 5 * len(streams[0])),
        "sparse_categorical_crossentropy",
    )
    expected = head.fit(streams[0], epochs=5, validation_data=streams[1], shuffle=False)
    assert set(history) == {"loss", "val_loss", "accuracy", "val_accuracy"}
    for name in ("loss", "val_loss"):
        assert history[name] == pytest.approx(expected.history[name], rel=5e-4)
    # What is kept takes pictures.
    pairs = zip(kept.get_weights(), before, strict=False)
    assert all((one == other).all() for one, other in pairs)
    accuracy = (kept.predict(images, verbose=0).argmax(axis=1) == labels).mean()
    assert accuracy == pytest.approx(max(history["val_accuracy"]))


def test_the_same_seed_gives_the_same_training(
    tmp_path, tiny_dataset, vectorizer, tiny_config
):
    losses = [
        fit_text_classifier(
            start_text_classifier(tiny_dataset, vectorizer, tiny_config),
            tiny_dataset,
            vectorizer,
            tiny_config,
            tmp_path / "text.keras",
        )[1]["loss"]
        for _ in range(2)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_frozen_clip_memorises_eight_pairs(
    tmp_path, tiny_dataset, vectorizer, tiny_config, image_features, text_features
):
    rows = tiny_dataset.train.groupby("label").head(2)
    both = [rows.assign(split=split) for split in ("train", "validation")]
    eight = Dataset(tiny_dataset.folder, pd.concat(both), tiny_dataset.class_names)
    config = dataclasses.replace(
        tiny_config,
        clip_epochs=25,
        clip_learning_rate=1e-2,
        feature_dropout=0.0,
        label_share=0.0,
    )
    clip = build_clip(image_features, text_features, config)
    clip, _ = fit_clip(clip, eight, vectorizer, config, tmp_path / "eight.keras")
    image_embeddings, text_embeddings = clip.predict(
        clip_batches(eight, vectorizer, config, "validation"), verbose=0
    )
    logits = image_embeddings @ text_embeddings.T
    assert first_ranks(logits, np.eye(8)).tolist() == [1] * 8
    assert first_ranks(logits.T, np.eye(8)).tolist() == [1] * 8


def test_nothing_is_learned_from_test(
    tmp_path, tiny_dataset, vectorizer, tiny_config, capsys
):
    """The whole training runs with the test images gone and their captions wrong."""
    folder = tmp_path / "without_test"
    shutil.copytree(tiny_dataset.folder, folder)
    for path in tiny_dataset.test["image_path"]:
        (folder / path).unlink()
    records = tiny_dataset.records.copy()
    records.loc[records["split"] == "test", "caption"] = "nothing of the kind"
    blind = Dataset(folder, records, tiny_dataset.class_names)
    again = learn_vocabulary(blind.train["caption"], tiny_config)
    assert again.get_vocabulary() == vectorizer.get_vocabulary()
    images, _ = fit_image_classifier(
        start_image_classifier(blind, tiny_config),
        blind,
        tiny_config,
        tmp_path / "image.keras",
    )
    texts, _ = fit_text_classifier(
        start_text_classifier(blind, again, tiny_config),
        blind,
        again,
        tiny_config,
        tmp_path / "text.keras",
    )
    clip = build_clip(without_head(images, True), without_head(texts), tiny_config)
    capsys.readouterr()
    kept, history = fit_clip(clip, blind, again, tiny_config, tmp_path / "clip.keras")
    assert len(history["val_recall"]) == tiny_config.clip_epochs
    recalls = {f"val_recall@{k}" for k in (1, 5, 10)}
    assert set(history) >= {"loss", "val_loss", "temperature"} | recalls
    assert set(kept.input) == {"image_input", "text_input"}
    loss = kept.get_layer("contrastive_loss")
    assert loss.vocabulary == vocabulary_fingerprint(vectorizer)
    bar = capsys.readouterr().out
    assert "val_recall=" in bar and "val_recall@" not in bar
    # The settings lie beside the model.
    assert Config.load(tmp_path / "config.json") == tiny_config


@pytest.mark.parametrize(("perfect", "size"), [(True, 4), (False, 3)])
def test_validation_recall_of_perfect_and_of_equal_answers(
    tiny_clip, tiny_dataset, vectorizer, tiny_config, perfect, size
):
    pairs = clip_batches(tiny_dataset, vectorizer, tiny_config, "validation")
    count = len(tiny_dataset.validation)
    embeddings = np.eye(count) if perfect else np.tile(np.eye(1, 4), (count, 1))

    class Model:
        predict = staticmethod(lambda pairs, verbose: (embeddings, embeddings))
        get_layer = tiny_clip.get_layer

    tiny_clip.get_layer("contrastive_loss").log_scale.assign(np.log(100) / 10)
    logs = {}
    ValidationRecall(Model(), pairs, size).on_epoch_end(0, logs)
    if perfect:
        assert logs["val_recall"] == logs["val_recall@1"] == 1.0
        assert logs["val_loss"] < 1e-3
    else:  # All ties: every answer is last. The loss is that of one batch.
        assert logs["val_recall@1"] == 0.0
        assert logs["val_loss"] == pytest.approx(np.log(size), rel=1e-5)
    assert logs["temperature"] == pytest.approx(0.01, rel=1e-4)


@pytest.fixture(scope="module")
def plain_folder(tiny_dataset, tmp_path_factory):
    """The tiny images, without labels, two captions each, split by the table."""
    folder = tmp_path_factory.mktemp("plain")
    lines = ["image_path,split,caption_number,caption"]
    parts = ("train", "train", "dev", "test")
    for number, path in enumerate(tiny_dataset.pictures("all")["image_path"]):
        for caption in range(2):
            words = f"number {number} in words {caption}"
            lines.append(f"{path},{parts[number % 4]},{caption},{words}")
    (folder / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    (folder / "images").symlink_to(tiny_dataset.folder / "images")
    return folder


def test_training_needs_no_labels_and_no_notebook(plain_folder, tmp_path, capsys):
    command = ["train", "--data", str(plain_folder), "--models", str(tmp_path)]
    command += ["--preset", "quick", "--set", "clip_batch_size=8", "--json"]
    assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["images"] == 12 and report["pairs"] == 24
    assert report["chance"]["text_to_image"]["recall@1"] == pytest.approx(1 / 12)
    assert "label_oracle" not in report and "zero_shot" not in report
    assert len(Search.load(report["model"]).images_for("number in words")) == 5
    assert not list(tmp_path.glob("*classifier*"))


def test_captions_of_one_image_are_never_in_one_batch(plain_folder):
    config = Config.quick(dataset_dir=str(plain_folder), clip_batch_size=8)
    dataset = load_dataset(config)
    vectorizer = learn_vocabulary(dataset.train["caption"], config)
    token_ids = encode(vectorizer, dataset.train["caption"])
    image_of = dict(
        zip(map(bytes, token_ids), dataset.train["image_path"], strict=True)
    )
    drawn = set()
    batches = clip_batches(dataset, vectorizer, config, "train")
    for _ in range(4):
        for batch in batches:
            captions = list(map(bytes, batch["text_input"].numpy()))
            drawn |= set(captions)
            assert len({image_of[caption] for caption in captions}) == len(captions)
    assert len(drawn) > len(set(image_of.values()))  # Second captions as well.


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("clip_epoch=5", "expected NAME=VALUE"),
        ("clip_epochs", "expected NAME=VALUE"),
        ("clip_epochs=many", "expected a value such as 30"),
        ("image_encoder=vit", "expected one of cnn"),
        ("image_size=(128,)", "expected (height, width)"),
        ("clip_batch_size=0", "clip_batch_size = 0: expected a number from 1 on"),
        ("clip_epochs=0", "clip_epochs = 0: expected a number from 1 on"),
        ("test_share=0.9", "test_share = 0.9: expected shares above 0, together below"),
    ],
)
def test_a_wrong_setting_is_refused(setting, message, capsys):
    assert main(["train", "--data", "scenes", "--set", setting]) == 1
    assert message in capsys.readouterr().err
