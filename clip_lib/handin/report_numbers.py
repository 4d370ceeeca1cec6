"""Collect the numbers of the report, by key: what it prints, what its claims compare.

They are written as LaTeX reads them, in French.

``\\resultat{folds/image_to_text/recall@10}`` prints one of them. Keys begin with:

* ``folds``, ``five``, ``untouched``, ``tuned``, ``start`` (what ``tuned`` started
  from), ``handed_out``, ``as_served``: what benchmarks/results holds, summed up; then
  ``accuracy`` or a direction, then a metric. Behind these, ``mean``, ``percent``,
  ``chance``, ``label_oracle``, ``times_chance``, and for runs on one test part ``low``
  and ``high``, their mean interval over the pictures;
* ``ablation``: each variant; ``difference`` is that to the recipe on the same folds,
  ``low`` and ``high`` its interval;
* ``cleaning``: as its file is;
* ``pretraining``: its last run, that of all the images;
* ``code``: constants of the code;
* ``config``: the settings of the saved model, read from its config.json;
* ``model``: its sizes, its own metrics, what its images are.
"""

import re
import unicodedata

import numpy as np

from clip_lib.evaluation.evaluate import DIRECTIONS
from clip_lib.evaluation.metrics import LEVEL
from clip_lib.evaluation.results import (
    decimals,
    paired_difference,
    read_result,
    spread,
    summary,
)
from clip_lib.figures.french import french
from clip_lib.models.contrastive_loss import MAX_SCALE

RUNS = {
    "folds": "pipeline_folds",
    "five": "pipeline_five",
    "untouched": "pipeline_untouched",
    "tuned": "pipeline_tuned",
    "handed_out": "handed_out_folds",
}
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    # As typed: TeX would print another character, which a search does not find.
    "'": r"\textquotesingle{}",
    '"': r"\textquotedbl{}",
} | {character: f"\\{character}" for character in "{}$&#%_"}
_DIGITS = {"temperature": 2, "times_chance": 0}


def escape(text) -> str:
    """Write a text so that LaTeX prints these very characters, on one line.

    Letters stay as they are, accents included: the report is compiled by LuaLaTeX.
    """
    # A Mac may give an accent as a character of its own.
    text = " ".join(unicodedata.normalize("NFC", str(text)).split())
    text = "".join(_SPECIAL.get(character, character) for character in text)
    # Two of these in a row would become a dash or a quotation mark: \coupe, of
    # report/resultats.sty, keeps them apart.
    return re.sub(r"([-<>,?!])(?=[-<>,\\])", r"\1\\coupe{}", text)


def number(value: float, digits: int | None = None) -> str:
    """Write a number, with a decimal comma; good in text and in formulas.

    Args:
        value: The number.
        digits: Decimals. By default none for an int; of a float, two up to 1, one up to
            10, then none; and a very small one as a power of ten.
    """
    if digits is None:
        if isinstance(value, int):
            digits = 0
        elif 0 < abs(value) < 0.005:
            mantissa, exponent = f"{value:.0e}".split("e")
            return rf"\ensuremath{{{mantissa}\times 10^{{{int(exponent)}}}}}"
        else:
            digits = 2 if abs(value) <= 1 else int(abs(value) < 10)
    text = french(value, digits).replace(",", "{,}").replace("\u202f", r"\,")
    return text.replace("-", r"\ensuremath{-}")


class Numbers:
    """Key -> LaTeX text and, for what is a number, key -> value."""

    def __init__(self):
        self.texts: dict[str, str] = {}
        self.values: dict[str, float] = {}

    def add(self, key: str, value) -> None:
        """Add a number or a text; of a dict, a key for each of its own.

        A dict with a ``mean`` and a ``deviation`` is a number as well; an ``interval``
        gives its metrics a ``low`` and a ``high``; a tuple is numbered from 1. Other
        lists are left out.
        """
        key = key.replace(" ", "_").replace(",", "")
        value = dict(enumerate(value, 1)) if isinstance(value, tuple) else value
        if isinstance(value, dict):
            for name, one in value.items():
                self.add(f"{key}/{name}", one)
            if "mean" in value:
                self.add(key, value["mean"])
            if "deviation" in value:
                deviation = number(value["deviation"], decimals(key))
                self.texts[key] += rf"~\ensuremath{{\pm}}~{deviation}"
        elif isinstance(value, list) and "/interval/" in key:
            low, high = value
            self.add(key.replace("/interval/", "/"), {"low": low, "high": high})
        elif isinstance(value, str):
            self.texts[key] = escape(value)
        elif isinstance(value, float | int):
            self.values[key] = float(value)
            digits = _DIGITS.get(key.rpartition("/")[2])
            if digits is None and re.search("rank|difference", key):
                digits = decimals(key)
            self.texts[key] = number(value, digits)
            if isinstance(value, float) and 0 <= value <= 1:
                self.values[f"{key}/percent"] = 100 * value
                self.texts[f"{key}/percent"] = rf"{number(100 * value, 0)}~\%"

    def to_latex(self) -> str:
        """Return the file that defines them all."""
        lines = [rf"\definir{{{key}}}{{{text}}}" for key, text in self.texts.items()]
        return "\n".join([*lines, ""])


def benchmark_numbers() -> Numbers:
    """Collect the numbers of benchmarks/results.

    Raises:
        ClipError: If a result is missing; see `read_result`.
    """
    numbers = Numbers()
    runs = {name: read_result(file)["runs"] for name, file in RUNS.items()}
    runs["as_served"] = [
        run | {"clip": run["clip_as_served"]} for run in runs["handed_out"]
    ]
    runs["start"] = [run | {"clip": run["start"]} for run in runs["tuned"]]
    for name, measured in runs.items():
        numbers.add(name, _summed_up(measured))
    numbers.add("ablation", _ablation(read_result("ablation")["runs"]))
    numbers.add("pretraining", read_result("pretraining")["runs"][-1])
    cleaning = read_result("cleaning")
    planted = cleaning["planted"] | {"runs": len(cleaning["runs"])}
    numbers.add("cleaning", cleaning["summary"] | planted)
    numbers.add("code", {"level": LEVEL, "max_scale": int(MAX_SCALE)})
    return numbers


def _summed_up(runs: list[dict]) -> dict:
    """Return what several runs of one benchmark found: means, pairs, baselines."""
    found = {
        name: type(value)(np.mean([run[name] for run in runs]))
        for name, value in runs[0].items()
        if isinstance(value, float | int)
    }
    pairs, test = runs[0].get("pairs", {}), runs[0]["clip"]["pairs"]
    counts = {"chosen_on": sum(pairs.values()), "all": sum(pairs.values()) + test}
    found |= {"runs": len(runs), "pairs": pairs | {"test": test} | counts}
    one_test = len({(run["seed"], run["fold"]) for run in runs}) == 1
    for (subject, metric), levels in summary(runs).iterrows():
        times = levels["mean"] / levels["chance"]
        levels = dict(levels.dropna()) | {"times_chance": times}
        if one_test and subject in DIRECTIONS:
            bounds = [run["clip"][subject]["interval"][metric] for run in runs]
            levels |= zip(("low", "high"), np.mean(bounds, axis=0), strict=True)
        found.setdefault(subject, {})[metric] = levels
    return found


def _ablation(runs: list[dict]) -> dict:
    """Return what each variant of the recipe measured, as the mean of both ways."""
    found = {"runs": len(runs), "accuracy": {}}
    found["variants"] = len(runs[0]["variants"]) - 1

    def measured(name, metric):
        reports = [run["variants"][name]["clip"] for run in runs]
        ways = [[each[way][metric] for each in reports] for way in DIRECTIONS]
        return np.mean(ways, axis=0)

    for name in runs[0]["variants"]:
        variants = [run["variants"][name] for run in runs]
        reports = [variant["clip"] for variant in variants]
        seconds = int(np.mean([variant["seconds"] for variant in variants]))
        found[name] = {"pairs": reports[0]["pairs"], "seconds": seconds}
        for metric in ("recall@10", "label_precision@5"):
            values = measured(name, metric)
            found[name][metric] = _spread(values)
            mean, half = paired_difference(values, measured("the recipe", metric))
            found[name][metric]["difference"] = {"mean": mean, "deviation": half} | {
                "low": mean - half,
                "high": mean + half,
            }
    for name in runs[0]["best_accuracy"]:
        values = [run["best_accuracy"][name] for run in runs]
        found["accuracy"][name] = _spread(values)
    return found


def _spread(values) -> dict:
    mean, deviation = spread(values)
    return {"mean": mean} | ({} if np.isnan(deviation) else {"deviation": deviation})
