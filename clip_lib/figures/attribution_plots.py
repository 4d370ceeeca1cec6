"""What one answer rests on, as figures in French; computed in `reliance`.

Red spoke for the pair, blue against it. Every function returns its figure and shows
nothing.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clip_lib.data.images import load_image
from clip_lib.figures.image_grids import wrap


def word_bars(reliance: pd.DataFrame, words: pd.DataFrame, text: str) -> Figure:
    """Draw how far the cosine falls without each word: of one text, of many.

    Args:
        reliance: What `word_reliance` returned.
        words: What `word_table` returned; its first 15 rows are drawn.
        text: The text of ``reliance``.
    """
    words = words.head(15)
    rows = max(len(reliance), len(words))
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 0.24 * rows + 1.3), layout="constrained"
    )
    for axes, names, drops, title in (
        (left, reliance["word"], reliance["drop"], wrap(f"«\u00a0{text}\u00a0»", 55)),
        (
            right,
            words["token"] + " (" + words["count"].astype(str) + ")",
            words["drop"],
            "moyenne par mot (occurrences)",
        ),
    ):
        axes.barh(range(len(drops)), drops, color=_signs(drops))
        axes.set_yticks(range(len(drops)), [wrap(name, 30) for name in names])
        axes.tick_params(axis="y", labelsize=9)
        axes.invert_yaxis()
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("baisse du cosinus sans ce mot")
    unknown = reliance["token"] == "[UNK]"
    for label, is_unknown in zip(left.get_yticklabels(), unknown, strict=True):
        label.set_style("italic" if is_unknown else "normal")
    return figure


def _signs(values) -> list[str]:
    return ["tab:red" if value > 0 else "tab:blue" for value in values]


def heat_row(answers: pd.DataFrame, maps, text: str) -> Figure:
    """Show the answers to a text, and below each one what in it supports the text.

    Args:
        answers: What `Search.images_for` returned.
        maps: An `occlusion_map` (height, width) for each answer.
        text: The text.
    """
    limit = max(np.abs(one).max() for one in maps) or 1.0
    figure, grid = plt.subplots(
        2,
        len(answers),
        figsize=(max(2 * len(answers), 4), 4.4),
        layout="constrained",
        squeeze=False,
    )
    for upper, lower, answer, heat in zip(
        *grid, answers.itertuples(), maps, strict=True
    ):
        picture = load_image(answer.paths, heat.shape)
        upper.imshow(picture)
        # In grey: the only colours are those of the map, and they fade where it is 0.
        lower.imshow(picture.mean(axis=2), cmap="gray", vmin=0, vmax=255)
        for axes in (upper, lower):
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
