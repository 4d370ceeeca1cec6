"""Tables, curves and matrices, in French: they go into the notebook and the report.

Every function returns what it made and shows nothing.
"""

import math

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from clip_lib.evaluate import report_table

_COLUMNS = {
    "recall@1": "R@1",
    "recall@5": "R@5",
    "recall@10": "R@10",
    "median_rank": "rang médian",
    "mean_rank": "rang moyen",
    "label_precision@5": "P@5 étiquette",
}
_ROWS = {
    "image_to_text": "image → texte",
    "text_to_image": "texte → image",
    "measured": "mesuré",
    "chance": "hasard",
    "label_oracle": "oracle",
}
_CURVES = {
    "loss": "perte, entraînement",
    "val_loss": "perte, validation",
    "accuracy": "exactitude, entraînement",
    "val_accuracy": "exactitude, validation",
    "val_recall": "rappel moyen, validation",
}


_CHECKED = {
    "pictures": "images",
    "captions": "légendes",
    "train": "entraînement",
    "median words": "mots (médiane)",
    "most words": "mots (maximum)",
    "cut": "part coupée",
}

# Layers whose name Keras made up: the inside of a residual block.
_UNNAMED = ("conv2d", "batch_norm", "re_lu", "add", "average_pooling2d", "dropout")


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


def _curves(axes, history, names, chance: float, chance_label: str) -> None:
    epochs = np.arange(1, len(history["loss"]) + 1)
    for name in names:
        axes.plot(epochs, history[name], label=_CURVES[name])
    axes.axhline(chance, color="grey", linestyle="--", label=chance_label)
    axes.set_xlabel("époque")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def classifier_curves(history, num_classes: int, title: str) -> Figure:
    """Plot loss and accuracy of a classifier, beside the chance levels.

    Args:
        history: ``History.history`` of the training.
        num_classes: Number of labels: chance is ln(num_classes) and 1 / num_classes.
        title: Heading of the figure.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    chance = math.log(num_classes)
    _curves(left, history, ("loss", "val_loss"), chance, f"hasard : {chance:.2f}")
    left.set_ylabel("entropie croisée")
    chance = 1 / num_classes
    names = ("accuracy", "val_accuracy")
    _curves(right, history, names, chance, f"hasard : {chance:.2f}")
    right.set_ylabel("exactitude")
    figure.suptitle(title)
    return figure


def clip_curves(history, batch_size: int, candidates: int) -> Figure:
    """Plot the contrastive loss and the validation recall of CLIP.

    Args:
        history: ``History.history`` of the training.
        batch_size: Pairs a batch: a loss of ln(batch_size) tells nothing apart.
        candidates: Validation pairs, among which the right one is searched.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    chance = math.log(batch_size)
    label = f"hasard : ln {batch_size} = {chance:.2f}"
    _curves(left, history, ("loss", "val_loss"), chance, label)
    left.set_ylabel("perte contrastive")
    chance = float(np.mean([min(k / candidates, 1) for k in (1, 5, 10)]))
    _curves(right, history, ("val_recall",), chance, f"hasard : {chance:.2f}")
    best = int(np.argmax(history["val_recall"]))
    right.plot(best + 1, history["val_recall"][best], "o", label="époque gardée")
    right.set_ylabel("moyenne des rappels à 1, 5 et 10")
    right.legend(fontsize="small")
    return figure


def confusion(labels, predictions, class_names, title: str) -> Figure:
    """Draw the confusion matrix of a classifier.

    Args:
        labels, predictions: Label numbers (N,).
        class_names: Names, by number.
        title: Heading of the figure.
    """
    figure, axes = plt.subplots(figsize=(4, 3.6), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        labels,
        predictions,
        labels=range(len(class_names)),
        display_labels=class_names,
        cmap="Blues",
        ax=axes,
        colorbar=False,
    )
    axes.set(xlabel="étiquette prédite", ylabel="étiquette réelle", title=title)
    return figure


def similarity_matrices(matrices: dict[str, np.ndarray]) -> Figure:
    """Draw similarity matrices side by side: row = image i, column = text j.

    Args:
        matrices: Heading -> (B, B) cosines; the right pairs are on the diagonal.
    """
    limit = max(np.abs(matrix).max() for matrix in matrices.values())
    figure, panels = plt.subplots(
        1, len(matrices), figsize=(4.6 * len(matrices), 4), layout="constrained"
    )
    for axes, (title, matrix) in zip(
        np.atleast_1d(panels), matrices.items(), strict=True
    ):
        drawn = axes.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set(title=title, xlabel="texte j", ylabel="image i")
    figure.colorbar(drawn, ax=panels, shrink=0.8, label="cosinus")
    return figure
