"""Benchmarks of growth: parts lie in each other, copies are files, parts add up."""

import dataclasses
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from clip_lib.data.dataset import load_dataset
from clip_lib.data.pipelines import CachedFeatures
from clip_lib.models.learner import learner, locked_features
from clip_lib.training.fit import clip_batches
from clip_lib.training.optimizer import build_optimizer

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import curves
import growth
import pretraining
import tables


def test_smaller_parts_lie_in_larger_ones(tiny_dataset):
    parts = [
        set(pretraining.part_of(tiny_dataset, size, seed=3).train["image_path"])
        for size in (5, 12, len(tiny_dataset.train))
    ]
    assert [len(part) for part in parts] == [5, 12, len(tiny_dataset.train)]
    assert parts[0] < parts[1] < parts[2]
    other = pretraining.part_of(tiny_dataset, 5, seed=4)
    assert set(other.train["image_path"]) != parts[0]
    assert other.test.equals(tiny_dataset.test)
    assert other.validation.equals(tiny_dataset.validation)


@pytest.fixture
def captioned(tiny_dataset, tmp_path):
    """Two captions a picture; the split is written into the table."""
    records = tiny_dataset.records.loc[tiny_dataset.records.index.repeat(2)]
    records = records.reset_index(drop=True)
    second = records.index % 2 == 1
    records.loc[second, "caption"] = records["caption"][second] + " again"
    return dataclasses.replace(tiny_dataset, records=records)


def test_the_first_caption_is_kept(captioned, tiny_dataset):
    one = pretraining.one_caption(captioned, "test")
    assert one.test["caption"].tolist() == tiny_dataset.test["caption"].tolist()


def test_copies_are_pictures_of_their_own(captioned, tiny_config, tmp_path):
    count = len(captioned.pictures("train"))
    folder = growth.repeated_folder(captioned, 2 * count + 3, tmp_path / "more")
    config = dataclasses.replace(tiny_config, dataset_dir=str(folder))
    dataset = load_dataset(config)
    assert dataset.class_names == ()
    assert len(dataset.pictures("train")) == 2 * count + 3
    assert len(dataset.train) == 2 * (2 * count + 3)
    assert len(dataset.test) == len(captioned.test)
    first, second = dataset.paths(dataset.pictures("train"))[: count + 1 : count]
    assert Path(first).resolve() == Path(second).resolve() and first != second


def test_parts_of_a_step_are_timed(
    tiny_clip, tiny_dataset, vectorizer, tiny_config, tmp_path
):
    paths = tiny_dataset.paths(tiny_dataset.train)
    kept = CachedFeatures(locked_features(tiny_clip), paths, (64, 64), tmp_path)
    batches = clip_batches(tiny_dataset, vectorizer, tiny_config, "train", kept)
    model = learner(tiny_clip, labelled=True)
    model.compile(build_optimizer(1e-3, 0.01, 10))
    before = keras.ops.convert_to_numpy(model.trainable_weights[0]).copy()
    found = growth.parts(model, next(iter(batches)), repeats=2)
    assert set(found) == {"forward", "backward", "optimiser"}
    assert found["forward"] > 0 and found["optimiser"] > 0
    assert np.abs(before - model.trainable_weights[0]).max() > 0  # It was applied.


def run_of(pictures, recall):
    ways = {way: {"recall@10": recall} for way in ("image_to_text", "text_to_image")}
    report = ways | {"pairs": 90, "images": 90}
    report["chance"] = {way: {"recall@10": 0.111} for way in ways}
    return {
        "pictures": pictures,
        "captions": 5 * pictures,
        "words": 1234,
        "minutes": 2.0,
        "peak_gigabytes": 1.5,
        "validation": report,
        "test": report | {"pairs": 80},
    }


def test_the_tables_say_what_was_measured(monkeypatch):
    result = {"runs": [run_of(500, 0.12), run_of(5000, 0.34)]}
    monkeypatch.setattr(tables, "read_result", lambda name: result)
    lines = tables.pretraining_table().splitlines()
    assert lines[2].startswith("| 500 | 2,500 | 1,234 | 0.12 | 0.12 | 2.0 |")
    assert lines[3].startswith("| 5,000 | ") and "on test | " in lines[4]
    assert lines[-1] == (
        "90 validation pairs, chance 0.111; 80 test pairs, chance 0.111."
    )


def test_the_curves_are_those_of_the_runs():
    figure = curves.pretraining_curve({"runs": [run_of(500, 0.1), run_of(5000, 0.3)]})
    line, other, chance = figure.axes[0].lines
    assert line.get_ydata().tolist() == other.get_ydata().tolist() == [0.1, 0.3]
    assert line.get_xdata().tolist() == [500, 5000]
    assert chance.get_ydata()[0] == 0.111
    seconds = ("features, once", "first epoch", "later epochs", "reading, later")
    runs = [
        {
            "axis": axis,
            "pictures": pictures,
            "seconds": dict.fromkeys(seconds, pictures / 100),
            "gigabytes": {"peak": 1.5},
            "features_gigabytes": pictures / 1e5,
        }
        for axis, pictures in (("pictures", 600), ("pictures", 60), ("batch", 600))
    ]
    left, right = curves.growth_curves({"runs": runs}).axes
    assert left.lines[0].get_xdata().tolist() == [60, 600]
    assert right.lines[0].get_ydata().tolist() == [1.5, 1.5]
    assert left.get_xscale() == left.get_yscale() == "log"
