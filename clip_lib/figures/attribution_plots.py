"""Draw what an answer rests on (attribution.py), in French.

Red spoke for the pair, blue against it. Every function returns its figure and shows
nothing.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clip_lib.data.images import load_image
from clip_lib.figures.image_grids import wrap


def word_bars(words: pd.DataFrame, means: pd.DataFrame, text: str) -> Figure:
    """Draw the `word_attribution` of one text, and 15 rows of `word_means`."""
    means = means.head(15)
    names = means["token"] + " (" + means["count"].astype(str) + ")"
    rows = max(len(words), len(means))
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 0.24 * rows + 1.3), layout="constrained"
    )
    _bars(left, words["word"], words["drop"], wrap(f"«\u00a0{text}\u00a0»", 55))
    _bars(right, names, means["drop"], "moyenne par mot (occurrences)")
    for label, token in zip(left.get_yticklabels(), words["token"], strict=True):
        label.set_style("italic" if token == "[UNK]" else "normal")
    return figure


def _bars(axes, names, drops, title: str) -> None:
    colours = np.where(drops > 0, "tab:red", "tab:blue")
    axes.barh(range(len(drops)), drops, color=colours)
    axes.set_yticks(range(len(drops)), [wrap(name, 30) for name in names])
    axes.tick_params(axis="y", labelsize=9)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("baisse du cosinus sans ce mot")


def heat_row(answers: pd.DataFrame, maps, text: str) -> Figure:
    """Draw the answers to a text, and below each its `occlusion_map`."""
    limit = max(np.abs(one).max() for one in maps) or 1.0
    size = (max(2 * len(answers), 4), 4.4)
    figure, grid = plt.subplots(
        2, len(answers), figsize=size, layout="constrained", squeeze=False
    )
    for column, answer, heat in zip(grid.T, answers.itertuples(), maps, strict=True):
        upper, lower = column
        picture = load_image(answer.paths, heat.shape)
        upper.imshow(picture)
        # In grey: the only colours are those of the map, and they fade where it is 0.
        lower.imshow(picture.mean(axis=2), cmap="gray", vmin=0, vmax=255)
        for axes in column:
            axes.set(xticks=[], yticks=[])
        upper.set_title(f"n° {answer.rank}   score {answer.score:.3f}", fontsize=9)
        upper.set_xlabel(answer.labels, fontsize=9)
        shade = 0.8 * np.abs(heat) / limit
        drawn = lower.imshow(heat, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=shade)
    # Both rows make room for it, so that each map stays below its picture.
    bar = figure.colorbar(drawn, ax=grid, shrink=0.45, anchor=(0, 0))
    bar.set_label("baisse du cosinus\nsi l'on cache", fontsize=9)
    figure.suptitle(wrap(f"«\u00a0{text}\u00a0»", 100), fontsize=11)
    return figure
