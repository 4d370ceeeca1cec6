"""Tables in French: they go into the notebook and the report."""

import pandas as pd

from clip_lib.evaluation.evaluate import report_table

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
    "95 % low": "95 %, de",
    "95 % high": "95 %, à",
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
_VARIANTS = {
    "usual": "comme ci-dessus",
    "pretrained": "nos poids préentraînés",
    "distilbert": "DistilBERT",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "enriched": "légendes enrichies",
}


def check_table(report: dict) -> pd.DataFrame:
    """Format the counts of a `check_folder` report: one row per label, one for all."""
    table = pd.DataFrame.from_dict(report["labels"], orient="index")
    return table.rename(columns=_CHECKED, index={"all labels": "toutes"}).round(3)


def retrieval_table(report: dict) -> pd.DataFrame:
    """Format a report of `evaluate_dataset`, with chance and oracle below each row."""
    return report_table(report).rename(columns=_METRICS, index=_ROWS)


def summary_table(table: pd.DataFrame) -> pd.DataFrame:
    """Format a `summary` of several runs: mean ± deviation, with the levels beside."""
    numbers = table.rename(index=_ROWS | _METRICS).map("{:.2f}".format)
    numbers = numbers.replace("nan", "")
    spread = (" ± " + numbers["deviation"]).replace(" ± ", "")
    return pd.DataFrame(
        {
            "mesuré": numbers["mean"] + spread,
            "hasard": numbers["chance"],
            "oracle": numbers["label_oracle"],
        }
    )


def options_table(results: dict[str, dict]) -> pd.DataFrame:
    """Format the metrics of the subject's options; see `lacking_options` for the rest.

    Args:
        results: Returned by `measure_options`, with "usual" before them.
    """
    measured = {
        _VARIANTS[key]: result for key, result in results.items() if "report" in result
    }
    rows = {name: {"secondes": f"{r['seconds']:.0f}"} for name, r in measured.items()}
    rows["hasard"] = {"secondes": ""}
    ways = {"image_to_text": "i → t", "text_to_image": "t → i"}
    for metric, title in {"recall@10": "R@10", "label_precision@5": "P@5"}.items():
        for direction, way in ways.items():
            for name, result in measured.items():
                value = result["report"][direction][metric]
                rows[name][f"{title}, {way}"] = f"{value:.2f}"
            chance = results["usual"]["report"][direction]["chance"][metric]
            rows["hasard"][f"{title}, {way}"] = f"{chance:.2f}"
    return pd.DataFrame.from_dict(rows, orient="index")


def lacking_options(results: dict[str, dict]) -> str:
    """List what each option that was not trained lacks, one line each."""
    return "\n".join(
        f"{_VARIANTS[key]} : il manque {result['lacks']}"
        for key, result in results.items()
        if "lacks" in result
    )
