"""The figures of several runs, summed up."""

import numpy as np
import pytest

from clip_lib.evaluation.evaluate import evaluate_retrieval
from clip_lib.evaluation.results import read_result, summary
from clip_lib.figures import tables


def run(seed: int, **others) -> dict:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(2, 40, 8))
    report = evaluate_retrieval(*vectors, np.arange(40), list("ab") * 20)
    return {"clip": report, "chance_accuracy": 0.25} | others


def test_mean_and_deviation_of_the_runs():
    runs = [run(seed) for seed in range(3)]
    table = summary(runs)
    values = [each["clip"]["text_to_image"]["recall@10"] for each in runs]
    row = table.loc["text_to_image", "recall@10"]
    assert row["mean"] == pytest.approx(sum(values) / 3)
    spread = sum((value - sum(values) / 3) ** 2 for value in values) / 2
    assert row["deviation"] == pytest.approx(spread**0.5)
    assert row["chance"] == pytest.approx(10 / 40)
    assert row["label_oracle"] == pytest.approx(10 / 20)


def test_accuracies_stand_only_where_they_were_measured():
    runs = [run(seed, image_accuracy=0.4 + 0.2 * seed) for seed in range(2)]
    runs[0]["clip"]["zero_shot"] = {"accuracy": 0.5, "chance": 0.25}
    table = summary(runs)
    assert table.loc[("accuracy", "image_accuracy"), "mean"] == pytest.approx(0.5)
    assert table.loc[("accuracy", "image_accuracy"), "chance"] == 0.25
    assert ("accuracy", "text_accuracy") not in table.index
    assert ("accuracy", "zero_shot_accuracy") not in table.index  # Of one run only.
    runs[1]["clip"]["zero_shot"] = {"accuracy": 0.7, "chance": 0.25}
    row = summary(runs).loc["accuracy", "zero_shot_accuracy"]
    assert row["mean"] == pytest.approx(0.6) and row["chance"] == 0.25


def test_a_single_run_has_no_deviation():
    table = summary([run(0)])
    assert table["deviation"].isna().all()
    shown = tables.summary_table(table)
    assert not shown["mesuré"].str.contains("±").any()
    assert "image → texte" in shown.index.get_level_values(0)


def test_a_result_that_was_not_measured_is_named():
    with pytest.raises(ValueError, match=r"nothing\.json: no such result"):
        read_result("nothing")
