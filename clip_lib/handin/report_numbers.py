"""The numbers of the report, by key: what it prints, and what its claims compare.

``\\resultat{folds/image_to_text/recall@10}`` prints one of them. Keys begin with:

* ``folds``, ``five``, ``untouched``, ``tuned``, ``handed_out``, ``as_served``: what
  benchmarks/results holds, summed up; then ``accuracy`` or a direction, then a figure.
  Behind these, ``mean``, ``percent``, ``chance``, ``label_oracle``, ``times_chance``,
  and for a single run ``low`` and ``high``, its interval;
* ``config``: the settings that were measured; ``code``: constants of the code;
* ``ablation``, ``cleaning``, ``cost``, ``speed``: as their files are;
* ``pretraining``: its last run, that of all the pictures;
* ``model``: the saved model: its sizes, its own figures, what its pictures are.
"""

import math

import numpy as np

from clip_lib.evaluation import metrics
from clip_lib.evaluation.evaluate import DIRECTIONS, LEVELS
from clip_lib.evaluation.results import read_result, spread, summary
from clip_lib.handin.latex import escape, number
from clip_lib.models import contrastive_loss as losses
from clip_lib.models import descriptors, encoders

RUNS = {
    "folds": "pipeline_folds",
    "five": "pipeline_five",
    "untouched": "pipeline_untouched",
    "tuned": "pipeline_tuned",
    "handed_out": "handed_out_folds",
}


class Numbers:
    """Key -> LaTeX text and, for what is a number, key -> value."""

    def __init__(self):
        self.texts: dict[str, str] = {}
        self.values: dict[str, float] = {}

    def add(self, key: str, value, digits: int | None = None) -> None:
        """Add a number, or a text that LaTeX shall print as it is."""
        key = key.replace(" ", "_").replace(",", "")
        if isinstance(value, str):
            self.texts[key] = escape(value)
            return
        if digits is None and key.endswith("temperature"):
            digits = 3
        self.values[key] = float(value)
        self.texts[key] = number(value, digits)
        if isinstance(value, float) and 0 <= value <= 1:
            self.values[f"{key}/percent"] = 100 * value
            self.texts[f"{key}/percent"] = rf"{number(100 * value, 0)}~\%"

    def add_all(self, key: str, values) -> None:
        """Add whatever numbers and texts a nested dict holds; lists are left out."""
        for name, value in values.items():
            if isinstance(value, dict):
                self.add_all(f"{key}/{name}", value)
            elif name == "machine":
                french = value.replace("cores", "cœurs").replace("no GPU", "sans GPU")
                self.add(f"{key}/{name}", french)
            elif isinstance(value, str | float | int):
                self.add(f"{key}/{name}", value)

    def add_spread(self, key: str, mean: float, deviation: float) -> None:
        """Add a mean with its deviation, if there is one; the mean alone besides."""
        digits = 2 if mean < 10 else 1
        self.add(f"{key}/mean", float(mean), digits)
        self.add(key, float(mean), digits)
        if not math.isnan(deviation):
            self.texts[key] += rf"~\ensuremath{{\pm}}~{number(deviation, digits)}"

    def to_latex(self) -> str:
        """Return the file that defines them all."""
        lines = [rf"\definir{{{key}}}{{{text}}}" for key, text in self.texts.items()]
        return "\n".join([*lines, ""])


def benchmark_numbers() -> Numbers:
    """Collect what benchmarks/results and the settings say.

    Raises:
        ClipError: If a result is missing; see `read_result`.
    """
    numbers = Numbers()
    for name, file in RUNS.items():
        _add_runs(numbers, name, read_result(file)["runs"])
    served = [
        run | {"clip": run["clip_as_served"]}
        for run in read_result(RUNS["handed_out"])["runs"]
    ]
    _add_runs(numbers, "as_served", served)
    config = read_result(RUNS["folds"])["config"]
    for name, value in config.items():
        for part, each in zip(
            ("height", "width") if name == "image_size" else "abc",
            value if isinstance(value, list) else [],
            strict=False,
        ):
            numbers.add(f"config/{name}/{part}", each)
        if isinstance(value, float):
            # As it was set: 0.4 is not 0.40.
            digits = None if value < 0.005 else len(f"{value:g}".partition(".")[2])
            numbers.add(f"config/{name}", value, digits)
        elif isinstance(value, int):
            numbers.add(f"config/{name}", value)
    _add_code(numbers)
    _add_ablation(numbers)
    for name in ("cost", "speed"):
        numbers.add_all(name, read_result(name))
    numbers.add_all("pretraining", read_result("pretraining")["runs"][-1])
    cleaning = read_result("cleaning")
    numbers.add_all("cleaning", cleaning["summary"] | cleaning["planted"])
    numbers.add("cleaning/runs", len(cleaning["runs"]))
    return numbers


def _add_runs(numbers: Numbers, name: str, runs: list[dict]) -> None:
    numbers.add(f"{name}/runs", len(runs))
    numbers.add(f"{name}/pairs/test", runs[0]["clip"]["pairs"])
    for row, levels in summary(runs).iterrows():
        key = "/".join((name, *row))
        numbers.add_spread(key, levels["mean"], levels["deviation"])
        for level in LEVELS:
            if not math.isnan(levels[level]):
                numbers.add(f"{key}/{level}", float(levels[level]))
        times = float(levels["mean"] / levels["chance"])
        numbers.add(f"{key}/times_chance", times, 1)
    if len(runs) == 1:
        _add_intervals(numbers, name, runs[0]["clip"])
    for figure, value in runs[0].items():
        if isinstance(value, float | int):
            mean = np.mean([run[figure] for run in runs])
            numbers.add(f"{name}/{figure}", type(value)(mean))
    pairs = runs[0].get("pairs", {})
    numbers.add_all(f"{name}/pairs", pairs)
    chosen = sum(pairs.values())
    numbers.add(f"{name}/pairs/chosen_on", chosen)
    numbers.add(f"{name}/pairs/all", chosen + runs[0]["clip"]["pairs"])


def _add_intervals(numbers: Numbers, name: str, report: dict) -> None:
    for direction in DIRECTIONS:
        for figure, bounds in report[direction]["interval"].items():
            for side, bound in zip(("low", "high"), bounds, strict=True):
                numbers.add(f"{name}/{direction}/{figure}/{side}", bound)


def _add_code(numbers: Numbers) -> None:
    for name, value in {
        "piece": encoders.PIECE,
        "directions": encoders.DIRECTIONS,
        "max_scale": int(losses.MAX_SCALE),
        "samples": descriptors.SAMPLES,
        "resamples": metrics.RESAMPLES,
        "level": metrics.LEVEL,
    }.items():
        numbers.add(f"code/{name}", value)


def _add_ablation(numbers: Numbers) -> None:
    result = read_result("ablation")
    runs = result["runs"]
    numbers.add("ablation/runs", len(runs))
    for name in runs[0]["variants"]:
        reports = [run["variants"][name]["clip"] for run in runs]
        key = f"ablation/{name}"
        numbers.add(f"{key}/pairs", reports[0]["pairs"])
        for figure in ("recall@10", "label_precision@5"):
            values = [
                np.mean([report[way][figure] for way in DIRECTIONS])
                for report in reports
            ]
            numbers.add_spread(f"{key}/{figure}", *spread(values))
    for name in runs[0]["best_accuracy"]:
        values = [run["best_accuracy"][name] for run in runs]
        numbers.add_spread(f"ablation/accuracy/{name}", *spread(values))


def add_model(numbers: Numbers, report: dict, about: dict) -> None:
    """Add what the saved model is and measures.

    Args:
        numbers: Receives the keys that begin with ``model``.
        report: What `evaluate_indexes` returned for its test part.
        about: Whatever else is known of it: name -> number, text or dict.
    """
    _add_intervals(numbers, "model", report)
    for direction in DIRECTIONS:
        figures = dict(report[direction])
        del figures["interval"]
        numbers.add_all(f"model/{direction}", figures)
    numbers.add("model/pairs/test", report["pairs"])
    numbers.add_all("model", about)
