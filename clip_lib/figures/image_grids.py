"""Draw pictures with their captions and scores, in French."""

import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clip_lib.data.dataset import Dataset
from clip_lib.data.images import open_picture
from clip_lib.retrieval.index import Index

RIGHT = "tab:green"
_FRENCH = {
    "train": " d'entraînement",
    "validation": " de validation",
    "test": " de test",
    "all": "",
    "drawn scenes": " (scènes dessinées)",
    "photographs": " (photographies)",
}


def show_picture(axes, path, frame=None) -> None:
    """Draw a picture file without axes, in a frame of a colour if one is given."""
    axes.imshow(open_picture(path))
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(visible=frame is not None, color=frame, linewidth=3)


def wrap(text: str, width: int) -> str:
    """Break a text for a figure into lines of at most ``width`` characters."""
    # A dollar sign would start a formula.
    return textwrap.fill(str(text), width).replace("$", r"\$")


def gallery_name(index: Index, split: str) -> str:
    """Describe a gallery for a figure: how many items, which split, what they are."""
    noun = "légendes" if "captions" in index.items else "images"
    count = len(index.part(split).items)
    return f"{count} {noun}{_FRENCH[split]}{_FRENCH.get(index.source, '')}"


def dataset_sample(dataset: Dataset, per_label: int = 5, seed: int = 0) -> Figure:
    """Draw a few training pictures of each label, with their captions."""
    rows = len(dataset.class_names)
    figure, grid = plt.subplots(
        rows, per_label, figsize=(2 * per_label, 2.7 * rows), layout="constrained"
    )
    for line, label in zip(grid, dataset.class_names, strict=True):
        pictures = dataset.pictures("train")
        pictures = pictures[pictures["label"] == label]
        pictures = pictures.sample(per_label, random_state=seed)
        for axes, (_, row) in zip(line, pictures.iterrows(), strict=True):
            show_picture(axes, dataset.folder / row["image_path"])
            axes.set_xlabel(wrap(row["caption"], 24), fontsize=9)
        line[0].set_ylabel(label, fontsize=12)
    return figure


def pixel_row(images, title: str) -> Figure:
    """Draw images (N, height, width, 3), clipped to values 0 to 1, side by side."""
    figure, line = plt.subplots(
        1, len(images), figsize=(1.4 * len(images), 1.8), layout="constrained"
    )
    for axes, image in zip(line, images, strict=True):
        axes.imshow(np.clip(image, 0, 1))
        axes.set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize=10)
    return figure


def image_answers(
    answers: pd.DataFrame, query: str, gallery: str, own: str = ""
) -> Figure:
    """Draw the answers of `Search.images_for` to a text, the ``own`` path in green.

    ``gallery`` is the name of `gallery_name`.
    """
    figure, line = plt.subplots(
        1, len(answers), figsize=(2.4 * len(answers), 3.1), layout="constrained"
    )
    for axes, answer in zip(np.atleast_1d(line), answers.itertuples(), strict=True):
        show_picture(axes, answer.paths, RIGHT if answer.paths == own else None)
        axes.set_title(f"n° {answer.rank}   score {answer.score:.3f}", fontsize=9)
        # One's own photos have no label, but a name.
        name = getattr(answer, "labels", Path(answer.paths).name)
        axes.set_xlabel(wrap(name, 30), fontsize=9)
    title = wrap(f"«\u00a0{query}\u00a0»", 110)
    figure.suptitle(f"{title}\nparmi {gallery}", fontsize=11)
    return figure


def text_answers(picture, answers: pd.DataFrame, gallery: str) -> Figure:
    """Draw the answers of `Search.texts_for` to a picture file, its own ones in green.

    ``gallery`` is the name of `gallery_name`.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 2.9), width_ratios=(1, 2.6), layout="constrained"
    )
    show_picture(left, picture)
    left.set_xlabel("image demandée", fontsize=9)
    right.axis("off")
    right.set_title(f"parmi {gallery}", fontsize=10, loc="left")
    for answer in answers.itertuples():
        own = answer.image_paths == str(picture)
        label = f"[{answer.labels}] " if "labels" in answers else ""
        text = wrap(f"{label}{answer.captions}", 75)
        mark = "   <- la sienne" if own else ""
        right.text(
            0,
            1 - (answer.rank - 0.5) / len(answers),
            f"{answer.rank}.  {answer.score:.3f}   {text}{mark}",
            fontsize=9,
            va="center",
            color=RIGHT if own else "black",
            transform=right.transAxes,
        )
    return figure
