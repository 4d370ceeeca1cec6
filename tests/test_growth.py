"""More pictures: no labels, a split of their own, features kept in a file."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from clip_lib.__main__ import main
from clip_lib.cli.common import Answer
from clip_lib.config import Config
from clip_lib.data.cached_features import StoredFeatures
from clip_lib.data.captions_table import read_records
from clip_lib.data.check import check_folder
from clip_lib.data.dataset import load_dataset
from clip_lib.data.pairs import pair_batches
from clip_lib.data.pipelines import image_batches
from clip_lib.data.split import split_records
from clip_lib.data.vocabulary import encode
from clip_lib.evaluation.evaluate import evaluate_retrieval, report_table
from clip_lib.models.clip import with_labels
from clip_lib.models.initialization import start_text_classifier
from clip_lib.models.learner import learner, locked_features
from clip_lib.retrieval.search import Search


def write_table(folder, text):
    (folder / "captions.csv").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def plain_folder(tiny_dataset, tmp_path_factory):
    """The tiny pictures, without labels, two captions each, split by the table."""
    folder = tmp_path_factory.mktemp("plain")
    lines = ["image_path,split,caption_number,caption"]
    parts = ("train", "train", "dev", "test")
    for number, path in enumerate(tiny_dataset.pictures("all")["image_path"]):
        for caption in range(2):
            words = f"number {number} in words {caption}"
            lines.append(f"{path},{parts[number % 4]},{caption},{words}")
    write_table(folder, "\n".join(lines))
    (folder / "images").symlink_to(tiny_dataset.folder / "images")
    return folder


@pytest.fixture(scope="module")
def plain_config(plain_folder, tmp_path_factory):
    models = tmp_path_factory.mktemp("plain_models")
    return Config.quick(
        dataset_dir=str(plain_folder), model_dir=str(models), clip_batch_size=8
    )


def test_without_labels_there_are_none(plain_config):
    dataset = load_dataset(plain_config)
    assert dataset.class_names == ()
    assert dataset.labels(dataset.train) is None
    sizes = [len(part) for part in (dataset.train, dataset.validation, dataset.test)]
    assert sizes == [48, 24, 24]
    assert dataset.pictures("validation")["image_path"].tolist() == [
        path
        for number, path in enumerate(read_records(dataset.folder)["image_path"][::2])
        if number % 4 == 2
    ]


@pytest.mark.parametrize(
    ("rows", "folds", "message"),
    [
        ("a.jpg,train,x\nb.jpg,learn,x\n", 0, "split 'learn' of b.jpg"),
        ("a.jpg,train,x\na.jpg,test,y\nb.jpg,val,z\n", 0, "a.jpg: in 2 parts"),
        ("a.jpg,train,x\nb.jpg,dev,x\n", 0, "whose split is test"),
        ("a.jpg,train,x\nb.jpg,,x\n", 0, "line 3: no split"),
        ("a.jpg,train,x\nb.jpg,dev,x\nc.jpg,test,x\n", 5, "a split of its own"),
    ],
)
def test_a_split_that_is_none_is_refused(tmp_path, tiny_config, rows, folds, message):
    folder = write_table(tmp_path, "image_path,split,caption\n" + rows)
    config = dataclasses.replace(tiny_config, dataset_dir=str(folder), folds=folds)
    with pytest.raises(ValueError, match=message):
        split_records(read_records(folder), config)


def test_check_reads_a_folder_without_labels(plain_folder, plain_config):
    report = check_folder(plain_folder, plain_config)
    assert report.status == 0, report
    assert report.labels.index.tolist() == ["all labels"]
    assert report.labels["validation"].tolist() == [12]


def test_without_labels_no_figure_is_of_labels():
    similarity = np.array([[0.9, 0.1, 0.3], [0.2, 0.1, 0.8]])
    report = evaluate_retrieval(np.eye(2, 3), similarity.T @ np.eye(2, 3), [0, 0, 1])
    assert "label_oracle" not in report
    assert set(report["chance"]["image_to_text"]) == {
        *(f"recall@{k}" for k in (1, 5, 10)),
        "median_rank",
        "mean_rank",
    }
    labelled = evaluate_retrieval(
        np.eye(2, 3), similarity.T @ np.eye(2, 3), [0, 0, 1], ["a", "b"]
    )
    for name, value in report["image_to_text"].items():
        if name not in ("interval", "chance"):
            assert labelled["image_to_text"][name] == value
    levels = report_table(report).index.get_level_values(1)
    assert "chance" in levels and "label_oracle" not in levels


def test_features_are_those_of_the_encoder(tmp_path, tiny_clip, tiny_dataset):
    paths = tiny_dataset.paths(tiny_dataset.validation)
    model = locked_features(tiny_clip)
    kept = StoredFeatures(model, [*paths, *paths], (64, 64), tmp_path)
    images = np.concatenate(list(image_batches(paths, (64, 64))))
    order = [3, 0, 5, 0]
    rows = kept.rows([paths[place] for place in order])
    expected = model.predict(images[order], verbose=0)
    assert np.allclose(kept.read(rows), expected, rtol=2e-3, atol=2e-3)
    mirrored = model.predict(images[order][:, :, ::-1], verbose=0)
    assert np.allclose(kept.read(rows + 1), mirrored, rtol=2e-3, atol=2e-3)
    assert np.abs(expected - mirrored).max() > 0.1
    assert not list(tmp_path.iterdir())  # No name that could stay behind.
    with pytest.raises(KeyError):
        kept.rows(["other.jpg"])


def test_the_learner_is_the_rest_of_the_clip(
    tmp_path, tiny_clip, tiny_dataset, vectorizer, tiny_config
):
    rows = tiny_dataset.validation
    paths, token_ids = tiny_dataset.paths(rows), encode(vectorizer, rows["caption"])
    kept = StoredFeatures(locked_features(tiny_clip), paths, (64, 64), tmp_path)
    whole = next(iter(pair_batches(paths, token_ids, (64, 64))))
    batch = next(iter(pair_batches(paths, token_ids, (64, 64), features=kept)))
    assert set(batch) == {"feature_input", "text_input"}
    for one, other in zip(
        learner(tiny_clip).predict(batch, verbose=0),
        tiny_clip.predict(whole, verbose=0),
        strict=True,
    ):
        assert np.allclose(one, other, atol=2e-3)
    # With labels, and the loss of the whole.
    labels = keras.ops.convert_to_tensor(tiny_dataset.labels(rows))
    small, large = learner(tiny_clip, labelled=True), with_labels(tiny_clip)
    small({**batch, "label_input": labels})
    large({**whole, "label_input": labels})
    assert float(small.losses[0]) == pytest.approx(float(large.losses[0]), rel=1e-3)
    # Its weights are those of the clip that learn; the locked ones are not its.
    trained = {id(weights) for weights in small.trainable_weights}
    assert trained == {id(weights) for weights in tiny_clip.trainable_weights}
    assert len(small.weights) < len(tiny_clip.weights)


def test_half_of_the_pictures_are_mirrored_others_each_epoch(tmp_path, tiny_dataset):
    paths = tiny_dataset.paths(tiny_dataset.train)

    class Rows:
        width = 1

        def rows(self, paths):
            return np.arange(0, 2 * len(paths), 2, "int32")

        def fill(self, batch):
            return batch

    token_ids = np.ones((len(paths), 4), "int32")
    stream = pair_batches(
        paths, token_ids, (64, 64), 8, training=True, seed=3, features=Rows()
    )
    seen = [np.concatenate([b["feature_input"] for b in stream]) for _ in range(6)]
    shares = [np.mean(epoch % 2) for epoch in seen]
    assert 0.3 < np.mean(shares) < 0.7
    mirrored = [frozenset((epoch // 2)[epoch % 2 == 1].tolist()) for epoch in seen]
    assert len(set(mirrored)) == len(mirrored)
    served = next(iter(pair_batches(paths, token_ids, (64, 64), features=Rows())))
    assert not (served["feature_input"].numpy() % 2).any()


def test_captions_of_one_picture_are_never_together(plain_config):
    dataset = load_dataset(plain_config)
    words = {caption: row for row, caption in enumerate(dataset.train["caption"])}
    token_ids = np.array([[row + 2] for row in words.values()])
    paths = dataset.paths(dataset.train)
    pictures = np.array([list(dict.fromkeys(paths)).index(path) for path in paths])
    drawn = set()
    stream = pair_batches(paths, token_ids, (64, 64), 8, training=True)
    for _ in range(4):
        for batch in stream:
            rows = batch["text_input"].numpy()[:, 0] - 2
            rows = rows[rows >= 0]
            assert len(set(pictures[rows])) == len(rows)
            drawn |= set(rows.tolist())
    assert len(drawn) > len(set(paths))  # Second captions as well.


def test_train_needs_no_label_and_no_notebook(
    plain_folder, tmp_path, capsys, monkeypatch
):
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")
    command = ["train", "--data", str(plain_folder), "--models", str(tmp_path)]
    command += ["--preset", "quick", "--set", "clip_batch_size=8", "--json"]
    assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["images"] == 12 and report["pairs"] == 24
    assert report["chance"]["text_to_image"]["recall@1"] == pytest.approx(1 / 12)
    assert "label_oracle" not in report and "zero_shot" not in report
    engine = Search.load(report["model"])
    assert len(engine.images_for("number in words")) == 5
    assert not list(tmp_path.glob("*classifier*"))
    assert main(["search", "in words", "--model", report["model"]]) == 0
    assert "label" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("clip_epoch=5", "expected NAME=VALUE"),
        ("clip_epochs", "expected NAME=VALUE"),
        ("clip_epochs=many", "expected a value such as 30"),
        ("clip_epochs=2.5", "expected a value such as 30"),
        ("image_encoder=vit", "expected one of cnn"),
    ],
)
def test_a_setting_that_is_none_is_refused(setting, message, capsys, monkeypatch):
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")
    assert main(["train", "--data", "scenes", "--set", setting]) == 1
    assert message in capsys.readouterr().err


def test_the_notebook_refuses_pictures_without_labels(
    plain_folder, capsys, monkeypatch
):
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")
    assert main(["run", "--data", str(plain_folder)]) == 1
    error = capsys.readouterr().err
    assert str(plain_folder) in error and "no labels" in error


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("locked_texts=yes", "expected a value such as None"),
        ("image_size=(128,)", "expected (height, width)"),
        ("clip_batch_size=0", "from 1"),
    ],
)
def test_a_value_that_is_none_is_refused(setting, message, capsys, monkeypatch):
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")
    assert main(["train", "--data", "scenes", "--set", setting]) == 1
    assert message in capsys.readouterr().err


def test_what_is_asked_for_last_counts(plain_folder, monkeypatch):
    """An exported CLIP_PRESET does not shrink a preset that is named."""
    seen = []
    monkeypatch.setattr(
        "clip_lib.cli.train.train",
        lambda arguments, config: seen.append(config) or Answer(),
    )
    for name in ("CLIP_DATA_DIR", "CLIP_MODEL_DIR", "CLIP_PRESET"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("CLIP_PRESET", "1")
    main(["train", "--data", str(plain_folder), "--preset", "pretraining"])
    assert seen[0].descriptors == Config.pretraining().descriptors


def test_two_labels_for_one_picture_are_refused_beside_a_split(tmp_path, tiny_config):
    text = "image_path,label,split,caption\na.jpg,x,train,one\na.jpg,y,train,two\n"
    records = read_records(write_table(tmp_path, text))
    with pytest.raises(ValueError, match=r"a\.jpg: two labels"):
        split_records(records, tiny_config)


def test_the_start_reads_so_many_captions_at_most(
    tiny_dataset, vectorizer, tiny_config, monkeypatch
):
    """Their counts would grow with the data; all of them, while they are few."""
    seen = []

    def learn(token_ids, vocabulary, width):
        seen.append(len(token_ids))
        return np.zeros((len(vocabulary), width), "float32")

    monkeypatch.setattr("clip_lib.models.initialization.learn_word_vectors", learn)
    start_text_classifier(tiny_dataset, vectorizer, tiny_config)
    monkeypatch.setattr("clip_lib.models.initialization.START_CAPTIONS", 5)
    start_text_classifier(tiny_dataset, vectorizer, tiny_config)
    assert seen == [len(tiny_dataset.train), 5]
