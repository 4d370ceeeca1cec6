"""Recorded benchmark results: read benchmarks/results and summarise runs.

README, the notebook and the report show these numbers; none contains its own.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from clip_lib.errors import ClipError
from clip_lib.evaluation.evaluate import DIRECTIONS, LEVELS
from clip_lib.evaluation.metrics import LEVEL

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
ACCURACIES = ("image_accuracy", "text_accuracy", "zero_shot_accuracy")
METRICS = ("recall@1", "recall@5", "recall@10", "median_rank", "label_precision@5")


def read_result(name: str) -> dict:
    """Return the content of ``<name>.json``, which a benchmark wrote.

    Raises:
        ClipError: If there is no such file.
    """
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        raise ClipError(f"{path}: no such result; see benchmarks/README.md.")
    return json.loads(path.read_text(encoding="utf-8"))


def summary(runs: list[dict]) -> pd.DataFrame:
    """Summarise the ``runs`` of benchmarks/pipeline.py or benchmarks/handed_out.py.

    Returns:
        Table with the columns mean, deviation (of the runs, n - 1; NaN for a single
        one), chance and label_oracle (NaN where there is none). Rows (subject, metric):
        a direction and one of its metrics, or "accuracy" and whose it is.
    """
    rows = {}
    for name in ACCURACIES:
        zero_shot = [run["clip"].get("zero_shot", {}).get("accuracy") for run in runs]
        own = [run.get(name) for run in runs]
        values = zero_shot if name == "zero_shot_accuracy" else own
        if None not in values:
            chance = np.mean([run["chance_accuracy"] for run in runs])
            rows["accuracy", name] = (*spread(values), chance, np.nan)
    for direction in DIRECTIONS:
        reports = [run["clip"][direction] for run in runs]
        for metric in METRICS:
            rows[direction, metric] = (
                *spread([report[metric] for report in reports]),
                *(np.mean([each[name][metric] for each in reports]) for name in LEVELS),
            )
    table = pd.DataFrame(rows, index=["mean", "deviation", *LEVELS]).T
    return table.set_axis(pd.MultiIndex.from_tuples(rows))


def decimals(metric: str) -> int:
    """Return how many decimals of a metric mean something with some hundred pairs."""
    return 1 if "rank" in metric else 2


def spread(values) -> tuple[float, float]:
    """Return mean and standard deviation; the latter is NaN for a single value."""
    return np.mean(values), np.std(values, ddof=1) if len(values) > 1 else np.nan


def paired_difference(values, others) -> tuple[float, float]:
    """Compare runs on the same splits, one by one.

    Returns:
        Mean of their differences, and half its 95 % interval (Student's, paired); the
        latter is NaN for a single run.
    """
    mean, deviation = spread(np.subtract(values, others))
    width = student.ppf((1 + LEVEL) / 2, max(len(values) - 1, 1))
    return mean, width * deviation / len(values) ** 0.5
