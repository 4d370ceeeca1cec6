"""Results of several runs, summarised."""

import numpy as np
import pytest

from clip_lib.evaluation.evaluate import evaluate_retrieval
from clip_lib.evaluation.results import summary
from clip_lib.figures import tables


def run(seed: int, zero_shot=None, **others) -> dict:
    vectors = np.random.default_rng(seed).normal(size=(2, 40, 8))
    report = evaluate_retrieval(*vectors, np.arange(40), list("ab") * 20)
    if zero_shot:
        report["zero_shot"] = {"accuracy": zero_shot, "chance": 0.25}
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


def test_tables_have_french_names_and_a_deviation_if_there_is_one():
    one, two = (summary([run(n, 0.5) for n in range(m)]) for m in (1, 2))
    assert not tables.summary_table(one)["mesuré"].str.contains("±").any()
    shown = tables.summary_table(two)
    assert shown["mesuré"].str.contains(" ± ").all()
    assert shown.loc["exactitude", "CLIP, zéro-shot"]["oracle"] == ""
    assert shown.loc["image → texte", "R@10"]["hasard"] == "0,25"
    for table in (tables.retrieval_table(run(0)["clip"]), shown):
        words = table.to_string()
        assert "label" not in words and "low" not in words and "nan" not in words
