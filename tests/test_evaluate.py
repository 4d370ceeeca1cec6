"""The report of a gallery, on embeddings made by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from clip_lib.evaluation.evaluate import (
    evaluate_dataset,
    evaluate_indexes,
    evaluate_retrieval,
    report_table,
)
from clip_lib.figures import tables
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import MODEL_FILE, Clip
from clip_lib.retrieval.zero_shot import TEMPLATES, knows_label, zero_shot

FIGURES = (
    "recall@1",
    "recall@5",
    "recall@10",
    "median_rank",
    "mean_rank",
    "label_precision@5",
    "label_map",
)


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
        assert figures["interval"]["recall@1"] == [1, 1]
        # The own text comes first; the 19 others are equal, those of the label last.
        late = np.mean([1, *((2 + i) / (12 + i) for i in range(9))])
        assert figures["label_map"] == pytest.approx(late)
        assert figures["label_oracle"]["label_map"] == 1


def random_report(images=40, captions=1, seed=0):
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(images, 8))
    owner = np.repeat(np.arange(images), captions)
    texts = vectors[owner] + 2 * random.normal(size=(len(owner), 8))
    return evaluate_retrieval(vectors, texts, owner, np.arange(images) % 4)


def test_every_figure_has_an_interval_and_levels_beside_it():
    report = json.loads(json.dumps(random_report()))
    for direction in ("image_to_text", "text_to_image"):
        figures = report[direction]
        for name in FIGURES:
            low, high = figures["interval"][name]
            assert low <= figures[name] <= high and low < high
            for level in ("chance", "label_oracle"):
                assert np.isfinite(figures[level][name])
                assert report[level][direction] == figures[level]
        assert set(figures) == {*FIGURES, "interval", "chance", "label_oracle"}


def test_levels_of_the_label_figures_are_those_of_simulated_retrievers():
    """Vectors at random for chance; labels and random noise for the oracle."""
    labels = np.repeat(np.arange(4), 3)
    random = np.random.default_rng(0)
    found = {"chance": [], "label_oracle": []}
    for _ in range(60):
        noise = random.normal(size=(2, 12, 12))
        for level, scale in (("chance", 0), ("label_oracle", 1e3)):
            marks = scale * np.eye(4)[labels]
            images, texts = (np.hstack([vectors, marks]) for vectors in noise)
            report = evaluate_retrieval(images, texts, np.arange(12), labels)
            found[level].append(report["text_to_image"])
    for level, reports in found.items():
        for name in ("label_precision@5", "label_map"):
            mean = np.mean([figures[name] for figures in reports])
            assert reports[0][level][name] == pytest.approx(mean, abs=0.03)
    assert reports[0]["label_oracle"]["label_precision@5"] == pytest.approx(3 / 5)


def test_captions_of_one_picture_are_not_independent_queries():
    """Five times the same caption teaches nothing: the interval stays as wide."""
    random = np.random.default_rng(0)
    vectors, texts = random.normal(size=(2, 40, 8))
    labels = np.arange(40) % 4
    once = evaluate_retrieval(vectors, texts, np.arange(40), labels)
    owner = np.repeat(np.arange(40), 5)
    five = evaluate_retrieval(vectors, texts[owner], owner, labels)
    for name in FIGURES:
        one, other = (
            report["text_to_image"]["interval"][name] for report in (once, five)
        )
        assert other == pytest.approx(one), name


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
    assert table.shape == (10, 7)
    assert np.isfinite(table.to_numpy()).all()
    rows = table.loc["text_to_image"]
    assert (rows.loc["95 % low"] <= rows.loc["measured"]).all()
    assert (rows.loc["measured"] <= rows.loc["95 % high"]).all()
    assert evaluate_dataset(clip, tiny_dataset, "all")["pairs"] == 48


def test_the_table_has_french_names():
    printed = tables.retrieval_table(random_report()).to_string()
    assert "mAP étiquette" in printed and "95 %, de" in printed
    assert "label" not in printed and "low" not in printed


class Prompts:
    """A text encoder of known vectors: sentence -> vector."""

    def __init__(self, vectors):
        self.vectors = vectors

    def embed_texts(self, texts):
        return np.array([self.vectors[text] for text in texts])


def test_zero_shot_takes_the_nearest_label():
    clip = Prompts({"a dog": [1.0, 0.0], "a big cat": [0.0, 1.0]})
    pictures = np.array([[0.2, 0.9], [0.9, 0.2]])
    labels = zero_shot(clip, pictures, ["big_cat", "dog"], ["a {}"])
    assert labels.tolist() == ["big_cat", "dog"]
    assert zero_shot(clip, pictures, ["dog", "big_cat"], "a {}")[0] == "big_cat"


def test_zero_shot_averages_its_templates_on_the_unit_sphere():
    """Of label b one sentence is nearest, of label a the mean is."""
    angles = {"a a": 30, "the a": -30, "a b": 20, "the b": 160}
    radians = {text: np.deg2rad(angle) for text, angle in angles.items()}
    clip = Prompts({text: [np.cos(x), np.sin(x)] for text, x in radians.items()})
    pictures = np.array([[np.cos(x), np.sin(x)] for x in np.deg2rad([20, 42, 50])])
    alone = zero_shot(clip, pictures, ["a", "b"], ["a {}"])
    assert alone.tolist() == ["b", "a", "a"]
    # The means stand at 0 and 90 degrees: unless both get back to unit length, the
    # long one of label a would also take the picture at 50 degrees.
    both = zero_shot(clip, pictures, ["a", "b"], ["a {}", "the {}"])
    assert both.tolist() == ["a", "a", "b"]


@pytest.mark.parametrize("templates", [[], "a dog", ["a {}", "the"]])
def test_templates_need_a_place_for_the_label(templates):
    with pytest.raises(ValueError, match="expected sentences such as"):
        zero_shot(Prompts({}), np.eye(2), ["a", "b"], templates)


def test_zero_shot_stands_in_the_report(run_config, tiny_dataset):
    clip = Clip.load(run_config.model_path(MODEL_FILE))
    found = evaluate_dataset(clip, tiny_dataset, "all")["zero_shot"]
    embeddings = clip.embed_images(tiny_dataset.paths(tiny_dataset.records))
    right = zero_shot(clip, embeddings, tiny_dataset.class_names)
    accuracy = np.mean(right == tiny_dataset.records["label"].to_numpy())
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["chance"] == 1 / 4 and found["templates"] == list(TEMPLATES)


def test_a_label_of_unknown_words_has_no_zero_shot_figure(run_config):
    clip = Clip.load(run_config.model_path(MODEL_FILE))
    assert knows_label(clip, "red_ball")
    assert not knows_label(clip, "zeppelin") and not knows_label(clip, "---")
    random = np.random.default_rng(0)
    vectors = random.normal(size=(4, clip.text_encoder.output.shape[1]))
    paths = [f"{number}.jpg" for number in range(4)]
    texts = Index(vectors, pd.DataFrame({"image_paths": paths}))
    for label, expected in (("dog", True), ("zeppelin", False)):
        labels = ["ball", "ball", label, label]
        images = Index(vectors, pd.DataFrame({"paths": paths, "labels": labels}))
        report = evaluate_indexes(images, texts, clip)
        assert ("zero_shot" in report) == expected
        assert "zero_shot" not in evaluate_indexes(images, texts)
        assert report["pairs"] == 4
