"""Tables in French: they go into the notebook and the report."""

import re

import pandas as pd

from clip_lib.evaluation.evaluate import DIRECTIONS, report_table
from clip_lib.evaluation.results import decimals
from clip_lib.figures.french import french

_METRICS = {
    "recall@1": "R@1",
    "recall@5": "R@5",
    "recall@10": "R@10",
    "median_rank": "rang médian",
    "label_precision@5": "P@5 étiquette",
    "image_accuracy": "CNN",
    "text_accuracy": "SmallBERT",
    "zero_shot_accuracy": "CLIP, zéro-shot",
}
_ROWS = {
    "accuracy": "exactitude",
    "image_to_text": "image → texte",
    "text_to_image": "texte → image",
    "measured": "mesuré",
    "95 % low": "95 %, borne basse",
    "95 % high": "95 %, borne haute",
    "chance": "hasard",
    "label_oracle": "oracle",
}
_CHECKED = {
    "pictures": "images",
    "captions": "légendes",
    "train": "entraînement",
    "median words": "mots (médiane)",
    "most words": "mots (maximum)",
    "cut": "part coupée",
}
_FINDINGS = {
    "unreadable picture": "image illisible",
    "same picture": "image en double",
    "leak": "fuite entre parties",
    "empty caption": "légende vide",
    "long caption": "légende longue, coupée",
    "same caption": "légende en double",
    "unused picture": "image sans légende",
}
_VARIANTS = {
    "usual": "comme ci-dessus",
    "pretrained": "poids préentraînés",
    "distilbert": "DistilBERT",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "enriched": "légendes enrichies",
}


def check_table(report: dict) -> pd.DataFrame:
    """Format the counts of a `check_folder` report: one row per label, one for all."""
    table = pd.DataFrame.from_dict(report["labels"], orient="index")
    table["median words"] = table["median words"].map(lambda words: french(words, 1))
    table["cut"] = table["cut"].map(french)
    return table.rename(columns=_CHECKED, index={"all labels": "toutes"})


def findings_table(report: dict) -> pd.DataFrame:
    """Name what a `check_folder` report found: kind, file, and what it is about."""
    table = pd.DataFrame(report["findings"], columns=["kind", "where", "message"])
    table["kind"] = table["kind"].map(_FINDINGS)
    return table.set_axis(["anomalie", "fichier", "où, ou laquelle"], axis=1)


def retrieval_table(report: dict) -> pd.DataFrame:
    """Format a report of `evaluate_dataset`, with chance and oracle below each row."""
    table = report_table(report)
    written = {name: table[name].map(_writer(name)) for name in table}
    return pd.DataFrame(written).rename(columns=_METRICS, index=_ROWS)


def summary_table(table: pd.DataFrame) -> pd.DataFrame:
    """Format a `summary` of several runs: mean ± deviation, with the levels beside."""
    rows = {row: levels.map(_writer(row[1])) for row, levels in table.iterrows()}
    numbers = pd.DataFrame(rows).T.rename(index=_ROWS | _METRICS)
    spread = (" ± " + numbers["deviation"]).replace(" ± ", "")
    return pd.DataFrame(
        {
            "mesuré": numbers["mean"] + spread,
            "hasard": numbers["chance"],
            "oracle": numbers["label_oracle"],
        }
    )


def _writer(metric: str):
    return lambda value: french(value, decimals(metric))


def options_table(results: dict[str, dict]) -> pd.DataFrame:
    """Format the metrics of the subject's options, and what the others lack.

    Args:
        results: Returned by `measure_options`, with "usual" before them.
    """
    rows = {
        _VARIANTS[key]: {
            "secondes": f"{result['seconds']:.0f}",
            "Mo": f"{result['megabytes']:.0f}",
            "exactitude": french(result["accuracy"]),
        }
        | _option_cells(result["report"])
        if "report" in result
        # Of a path, what is there on every machine.
        else {"il manque": re.sub(r"\S*/(?=\S*/)", "", result["lacks"])}
        for key, result in results.items()
    }
    rows["hasard"] = _option_cells(results["usual"]["report"]["chance"])
    return pd.DataFrame.from_dict(rows, orient="index").fillna("")


def _option_cells(levels: dict[str, dict]) -> dict[str, str]:
    return {
        title: " ; ".join(french(levels[way][metric]) for way in DIRECTIONS)
        for metric, title in {"recall@10": "R@10", "label_precision@5": "P@5"}.items()
    }
