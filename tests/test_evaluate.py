"""The report of a gallery, on embeddings made by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from clip_lib.errors import ClipError
from clip_lib.evaluation.evaluate import (
    evaluate_dataset,
    evaluate_indexes,
    evaluate_retrieval,
    report_table,
)
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import MODEL_FILE, Clip
from clip_lib.retrieval.zero_shot import TEMPLATES, zero_shot

METRICS = ("recall@1", "recall@5", "recall@10", "median_rank", "label_precision@5")


@pytest.fixture(scope="module")
def clip(run_config):
    return Clip.load(run_config.model_path(MODEL_FILE))


def test_perfect_pairs():
    vectors = np.eye(20)
    report = evaluate_retrieval(vectors, vectors, np.arange(20), list("ab") * 10)
    for direction in ("image_to_text", "text_to_image"):
        measured = report[direction]
        assert measured["recall@1"] == 1
        assert measured["median_rank"] == 1
        assert measured["chance"]["recall@5"] == pytest.approx(5 / 20)
        assert measured["chance"]["median_rank"] == pytest.approx(10.5)
        assert measured["chance"]["label_precision@5"] == pytest.approx(0.5)
        assert measured["label_oracle"]["recall@5"] == pytest.approx(5 / 10)
        assert measured["label_oracle"]["label_precision@5"] == 1
        assert measured["interval"]["recall@1"] == [1, 1]


def random_report(captions):
    """Forty pictures; each has the same caption once or several times."""
    vectors, noise = np.random.default_rng(0).normal(size=(2, 40, 8))
    texts = vectors + 2 * noise
    owner = np.repeat(np.arange(40), captions)
    return evaluate_retrieval(vectors, texts[owner], owner, np.arange(40) % 4)


def test_every_metric_has_an_interval_and_levels_beside_it():
    report = json.loads(json.dumps(random_report(1)))
    for direction in ("image_to_text", "text_to_image"):
        measured = report[direction]
        assert set(measured) == {*METRICS, "interval", "chance", "label_oracle"}
        for name in METRICS:
            low, high = measured["interval"][name]
            assert low <= measured[name] <= high and low < high
            for level in ("chance", "label_oracle"):
                assert np.isfinite(measured[level][name])
                assert report[level][direction] == measured[level]


def test_captions_of_one_picture_are_not_independent_queries():
    """Five times the same caption teaches nothing: the interval stays as wide."""
    once, five = (random_report(n)["text_to_image"]["interval"] for n in (1, 5))
    for name in METRICS:
        assert five[name] == pytest.approx(once[name]), name


def test_directions_are_not_swapped():
    # Every text is nearest to image 0; every image is nearest to its own text.
    texts = np.array([[9.0, 0.1, 0.1], [2.0, 1.0, 0.1], [2.0, 0.1, 1.0]])
    report = evaluate_retrieval(np.eye(3), texts, np.arange(3), ["a", "b", "c"])
    assert report["image_to_text"]["recall@1"] == 1
    assert report["text_to_image"]["recall@1"] == pytest.approx(1 / 3)


def test_several_texts_of_an_image():
    texts = np.array([[1.0, 0.0], [0.4, 0.6], [0.0, 1.0]])
    report = evaluate_retrieval(np.eye(2), texts, [0, 0, 1], ["a", "b"])
    assert report["pairs"] == 3 and report["images"] == 2
    assert report["image_to_text"]["recall@1"] == 1
    assert report["text_to_image"]["recall@1"] == pytest.approx(2 / 3)
    chance = report["image_to_text"]["chance"]["recall@1"]
    assert chance == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_a_saved_model_is_measured_on_one_part(clip, tiny_dataset):
    report = evaluate_dataset(clip, tiny_dataset, "test")
    assert report["pairs"] == len(tiny_dataset.test)
    table = report_table(report)
    assert table.shape == (10, 5)
    assert np.isfinite(table.to_numpy()).all()
    rows = table.loc["text_to_image"]
    assert (rows.loc["95 % low"] <= rows.loc["measured"]).all()
    assert (rows.loc["measured"] <= rows.loc["95 % high"]).all()

    report = evaluate_dataset(clip, tiny_dataset, "all")
    assert report["pairs"] == 48
    found = report["zero_shot"]
    embeddings = clip.embed_images(tiny_dataset.paths(tiny_dataset.records))
    right = zero_shot(clip, embeddings, tiny_dataset.class_names)
    accuracy = np.mean(right == tiny_dataset.records["label"].to_numpy())
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["chance"] == 1 / 4 and found["templates"] == list(TEMPLATES)


def test_labels_may_be_unknown_or_missing(clip):
    vectors = np.random.default_rng(0).normal(size=(4, clip.width))
    paths = [f"{number}.jpg" for number in range(4)]
    texts = Index(vectors, pd.DataFrame({"image_paths": paths}))
    for label, expected in (("dog", True), ("zeppelin", False)):
        labels = ["ball", "ball", label, label]
        images = Index(vectors, pd.DataFrame({"paths": paths, "labels": labels}))
        report = evaluate_indexes(images, texts, clip)
        assert ("zero_shot" in report) == expected and report["pairs"] == 4
    report = evaluate_indexes(Index(vectors, images.items[["paths"]]), texts, clip)
    assert "label_oracle" not in report
    assert report_table(report).shape == (8, 4)
    texts.items.loc[1, "image_paths"] = "elsewhere.jpg"
    with pytest.raises(ClipError, match=r"elsewhere\.jpg: .* not in the image index"):
        evaluate_indexes(images, texts)
