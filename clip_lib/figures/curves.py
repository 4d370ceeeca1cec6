"""Draw the curves of a training and confusion matrices, in French.

Every function returns its figure and shows nothing.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from clip_lib.figures.french import french

_CURVES = {
    "loss": "perte, entraînement",
    "val_loss": "perte, validation",
    "accuracy": "exactitude, entraînement",
    "val_accuracy": "exactitude, validation",
    "val_recall": "leur moyenne",
    "val_recall@1": "rappel à 1",
    "val_recall@5": "rappel à 5",
    "val_recall@10": "rappel à 10",
    "temperature": "température",
}


def _curves(axes, title: str, history, names, level: float, level_name: str) -> None:
    """Draw curves over the epochs, and a dashed line at a level."""
    epochs = np.arange(1, len(history["loss"]) + 1)
    for name in names:
        axes.plot(epochs, history[name], label=_CURVES[name])
    axes.axhline(level, color="grey", linestyle="--", label=level_name)
    axes.set(xlabel="époque", ylabel=title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def classifier_curves(history, num_classes: int, title: str) -> Figure:
    """Draw loss and accuracy of a classifier (``History.history``), beside chance."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    for axes, name, metric, chance in (
        (panels[0], "entropie croisée", "loss", math.log(num_classes)),
        (panels[1], "exactitude", "accuracy", 1 / num_classes),
    ):
        names = (metric, f"val_{metric}")
        _curves(axes, name, history, names, chance, f"hasard : {french(chance)}")
        best = int(np.argmax(history["val_accuracy"])) + 1
        axes.axvline(best, color="k", linewidth=1, label=f"époque gardée : {best}")
        axes.legend(fontsize="small")
    figure.suptitle(title)
    return figure


def clip_curves(history, batch_size: int, candidates: int) -> Figure:
    """Draw the contrastive loss, the validation recalls and the temperature of CLIP.

    A loss of ln(batch_size) tells nothing apart; ``candidates`` are the validation
    pairs, among which the right one is searched.
    """
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(10, 4), width_ratios=(3, 3, 2), layout="constrained"
    )
    chance = math.log(batch_size)
    label = f"hasard : ln {batch_size} = {french(chance)}"
    _curves(left, "perte contrastive", history, ("loss", "val_loss"), chance, label)
    chance = float(np.mean([min(k / candidates, 1) for k in (1, 5, 10)]))
    label = f"hasard, moyenne : {french(chance)}"
    names = ("val_recall@1", "val_recall@5", "val_recall@10", "val_recall")
    _curves(middle, "rappels en validation, deux sens", history, names, chance, label)
    best = int(np.argmax(history["val_recall"]))
    middle.plot(best + 1, history["val_recall"][best], "ko")
    start = history["temperature"][0]
    label = f"époque 1 : {french(start)}"
    _curves(right, "température", history, ("temperature",), start, label)
    for axes in (left, middle, right):
        axes.axvline(best + 1, color="k", linewidth=1, label="époque gardée")
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, fontsize="small"
        )
    return figure


def confusion(labels, predictions, class_names, title: str) -> Figure:
    """Draw the confusion matrix of label numbers (N,) and predicted ones."""
    figure, axes = plt.subplots(figsize=(4, 3.6), layout="constrained")
    names = {"labels": range(len(class_names)), "display_labels": class_names}
    style = {"cmap": "Blues", "ax": axes, "colorbar": False}
    ConfusionMatrixDisplay.from_predictions(labels, predictions, **names, **style)
    axes.set(xlabel="étiquette prédite", ylabel="étiquette réelle", title=title)
    return figure
