"""Tables, in French: they go into the notebook and the report."""

import keras
import pandas as pd

from clip_lib.evaluation.evaluate import report_table

_COLUMNS = {
    "recall@1": "R@1",
    "recall@5": "R@5",
    "recall@10": "R@10",
    "median_rank": "rang médian",
    "mean_rank": "rang moyen",
    "label_precision@5": "P@5 étiquette",
    "label_map": "mAP étiquette",
}
_ROWS = {
    "image_to_text": "image → texte",
    "text_to_image": "texte → image",
    "measured": "mesuré",
    "95 % low": "95 %, de",
    "95 % high": "95 %, à",
    "chance": "hasard",
    "label_oracle": "oracle",
}
_ACCURACIES = {
    "image_accuracy": "CNN",
    "text_accuracy": "SmallBERT",
    "zero_shot_accuracy": "CLIP, zéro-shot",
}
_CHECKED = {
    "pictures": "images",
    "captions": "légendes",
    "train": "entraînement",
    "median words": "mots (médiane)",
    "most words": "mots (maximum)",
    "cut": "part coupée",
}

_OPTIONS = {
    "usual": "comme ci-dessus",
    "pretrained": "nos poids préentraînés",
    "distilbert": "DistilBERT",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "enriched": "légendes enrichies",
}

# Layers and operations whose name Keras made up.
_UNNAMED = ("average_pooling2d", "dropout")


def layer_table(model: keras.Model) -> pd.DataFrame:
    """List the layers of a model that have a name of their own: type, output shape."""
    return pd.DataFrame(
        [
            (layer.name, type(layer).__name__, str(layer.output.shape[1:]))
            for layer in model.layers
            if not layer.name.startswith(_UNNAMED)
        ],
        columns=["couche", "type", "sortie"],
    )


def check_table(labels: pd.DataFrame) -> pd.DataFrame:
    """Lay the counts of `check_folder` out.

    Args:
        labels: Table of its report: a row a label and one for all.
    """
    table = labels.rename(columns=_CHECKED, index={"all labels": "toutes"})
    return table.round(3)


def retrieval_table(report: dict) -> pd.DataFrame:
    """Lay the figures of `evaluate_dataset` out, chance and oracle under each.

    Args:
        report: What `evaluate_dataset` returned.
    """
    table = report_table(report).rename(columns=_COLUMNS)
    table.index = pd.MultiIndex.from_tuples(
        [(_ROWS[direction], _ROWS[level]) for direction, level in table.index]
    )
    return table


def summary_table(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out what `summary` made of several runs: mean ± deviation, levels beside.

    Args:
        table: What `summary` returned.
    """
    spread = table["deviation"].map(lambda value: f" ± {value:.2f}")
    spread = spread.where(table["deviation"].notna(), "")
    rows = [
        (
            _ROWS.get(subject, "exactitude"),
            _COLUMNS.get(figure, _ACCURACIES.get(figure)),
        )
        for subject, figure in table.index
    ]
    return pd.DataFrame(
        {
            "mesuré": (table["mean"].map("{:.2f}".format) + spread).to_list(),
            "hasard": table["chance"].map("{:.2f}".format).to_list(),
            "oracle": table["label_oracle"].map("{:.2f}".format).to_list(),
        },
        index=pd.MultiIndex.from_tuples(rows),
    ).replace("nan", "")


def options_table(results: dict[str, dict]) -> pd.DataFrame:
    """Lay out what the options of the subject bring; see `lacking_options` for others.

    Args:
        results: What `measure_options` returned, with "usual" before them.
    """
    measured = {
        _OPTIONS[key]: result for key, result in results.items() if "report" in result
    }
    rows = {name: {"secondes": f"{r['seconds']:.0f}"} for name, r in measured.items()}
    rows["hasard"] = {"secondes": ""}
    ways = {"image_to_text": "i → t", "text_to_image": "t → i"}
    for figure, title in {"recall@10": "R@10", "label_precision@5": "P@5"}.items():
        for direction, way in ways.items():
            for name, result in measured.items():
                value = result["report"][direction][figure]
                rows[name][f"{title}, {way}"] = f"{value:.2f}"
            chance = results["usual"]["report"][direction]["chance"][figure]
            rows["hasard"][f"{title}, {way}"] = f"{chance:.2f}"
    return pd.DataFrame.from_dict(rows, orient="index")


def lacking_options(results: dict[str, dict]) -> str:
    """Say of each option that was not trained what it lacks, a line each."""
    return "\n".join(
        f"{_OPTIONS[key]} : il manque {result['lacks']}"
        for key, result in results.items()
        if "lacks" in result
    )
