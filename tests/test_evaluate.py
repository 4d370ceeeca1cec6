"""The report of a gallery, on embeddings made by hand."""

import numpy as np
import pytest

from clip_lib.evaluate import (
    evaluate_dataset,
    evaluate_retrieval,
    report_table,
    zero_shot,
)
from clip_lib.retrieval import MODEL_FILE, Clip


def test_perfect_pairs():
    vectors = np.eye(20)
    report = evaluate_retrieval(vectors, vectors, np.arange(20), list("ab") * 10)
    for direction in ("image_to_text", "text_to_image"):
        figures = report[direction]
        assert figures["recall@1"] == 1
        assert figures["median_rank"] == figures["mean_rank"] == 1
        assert figures["chance"]["recall@5"] == pytest.approx(5 / 20)
        assert figures["chance"]["median_rank"] == pytest.approx(10.5)
        assert figures["chance"]["label_precision@5"] == pytest.approx(0.5)
        assert figures["label_oracle"]["recall@5"] == pytest.approx(5 / 10)
        assert figures["label_oracle"]["label_precision@5"] == 1


def test_directions_are_not_swapped():
    # Every text is nearest to image 0; every image is nearest to its own text.
    images = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    texts = np.array([[9.0, 0.1, 0.1], [2.0, 1.0, 0.1], [2.0, 0.1, 1.0]])
    report = evaluate_retrieval(images, texts, np.arange(3), ["a", "b", "c"])
    assert report["image_to_text"]["recall@1"] == 1
    assert report["text_to_image"]["recall@1"] == pytest.approx(1 / 3)


def test_an_oracle_that_sorts_by_label_reaches_the_oracle_level():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 30)
    recalls = []
    for _ in range(40):
        vectors = np.eye(4)[labels] + 1e-3 * random.normal(size=(120, 4))
        other = np.eye(4)[labels] + 1e-3 * random.normal(size=(120, 4))
        report = evaluate_retrieval(vectors, other, np.arange(120), labels)
        recalls.append(report["text_to_image"]["recall@10"])
    oracle = report["text_to_image"]["label_oracle"]["recall@10"]
    assert oracle == pytest.approx(10 / 30)
    assert np.mean(recalls) == pytest.approx(oracle, abs=0.03)


def test_several_texts_of_an_image():
    images = np.eye(2)
    texts = np.array([[1.0, 0.0], [0.4, 0.6], [0.0, 1.0]])
    report = evaluate_retrieval(images, texts, [0, 0, 1], ["a", "b"])
    assert report["pairs"] == 3 and report["images"] == 2
    assert report["image_to_text"]["recall@1"] == 1
    assert report["text_to_image"]["recall@1"] == pytest.approx(2 / 3)
    chance = report["image_to_text"]["chance"]["recall@1"]
    assert chance == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_a_saved_model_is_measured_on_one_part(run_config, tiny_dataset):
    clip = Clip.load(run_config.model_path(MODEL_FILE))
    report = evaluate_dataset(clip, tiny_dataset, "test")
    assert report["pairs"] == len(tiny_dataset.test)
    table = report_table(report)
    assert table.shape == (6, 6)
    assert np.isfinite(table.to_numpy()).all()
    assert evaluate_dataset(clip, tiny_dataset, "all")["pairs"] == 48


def test_zero_shot_takes_the_nearest_label():
    class Prompts:
        def embed_texts(self, texts):
            return np.array(
                [[1.0, 0.0] if "dog" in text else [0.0, 1.0] for text in texts]
            )

    labels = zero_shot(Prompts(), np.array([[0.2, 0.9], [0.9, 0.2]]), ["cat", "dog"])
    assert labels.tolist() == ["cat", "dog"]
