"""The figures measured once and for all, read from benchmarks/results.

README, the notebook and the report show these; none of them holds a number of its own.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from clip_lib.errors import ClipError
from clip_lib.evaluation.evaluate import DIRECTIONS, LEVELS

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
ACCURACIES = ("image_accuracy", "text_accuracy", "zero_shot_accuracy")
FIGURES = (
    "recall@1",
    "recall@5",
    "recall@10",
    "median_rank",
    "label_precision@5",
    "label_map",
)


def read_result(name: str) -> dict:
    """Return what a benchmark wrote to ``<name>.json``.

    Raises:
        ClipError: If there is no such file.
    """
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        raise ClipError(f"{path}: no such result; benchmarks/README.md says how.")
    return json.loads(path.read_text(encoding="utf-8"))


def read_runs(name: str) -> list[dict]:
    """Return the runs, one a seed and fold, of ``<name>.json``; see `read_result`."""
    return read_result(name)["runs"]


def summary(runs: list[dict]) -> pd.DataFrame:
    """Sum up runs of benchmarks/pipeline.py or benchmarks/handed_out.py.

    Returns:
        Table with the columns mean, deviation (of the runs, n - 1; NaN for a single
        one), chance and label_oracle (NaN where there is none). Rows (subject, figure):
        a direction and one of its figures, or "accuracy" and whose it is.
    """
    rows = {}
    for name in ACCURACIES:
        values = [_accuracy(run, name) for run in runs]
        if None not in values:
            chance = np.mean([run["chance_accuracy"] for run in runs])
            rows["accuracy", name] = (*spread(values), chance, np.nan)
    for direction in DIRECTIONS:
        for figure in FIGURES:
            reports = [run["clip"][direction] for run in runs]
            levels = (
                np.mean([report[level][figure] for report in reports])
                for level in LEVELS
            )
            values = [report[figure] for report in reports]
            rows[direction, figure] = (*spread(values), *levels)
    columns = ["mean", "deviation", *LEVELS]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).set_axis(
        pd.MultiIndex.from_tuples(rows)
    )


def _accuracy(run: dict, name: str) -> float | None:
    if name == "zero_shot_accuracy":
        return run["clip"].get("zero_shot", {}).get("accuracy")
    return run.get(name)


def spread(values) -> tuple[float, float]:
    """Return mean and standard deviation; the latter is NaN for a single value."""
    return np.mean(values), np.std(values, ddof=1) if len(values) > 1 else np.nan
