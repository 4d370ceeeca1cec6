"""Draw what the embeddings of a gallery show (embeddings.py), in French.

Every function returns its figure and shows nothing.
"""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.special import softmax

from clip_lib.evaluation.embeddings import block_means, level_means
from clip_lib.figures.image_grids import show_picture, wrap

REASONS = {
    "found": "trouvée",
    "unknown words": "mots inconnus",
    "wrong label": "autre étiquette",
    "within label": "même étiquette",
}


def similarity_by_label(similarity: pd.DataFrame) -> Figure:
    """Draw a `similarity_table` in blocks of labels, and the mean of each block."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4.9), width_ratios=(1.5, 1), layout="constrained"
    )
    cosines, blocks = similarity.to_numpy(), block_means(similarity)
    limit = np.abs(cosines).max()
    style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    drawn = left.imshow(cosines, **style)
    left.set(xlabel="légende j", ylabel="image i")
    left.set_title(f"{len(similarity)} images, {similarity.shape[1]} légendes")
    for axis, items in (
        (left.yaxis, similarity.index),
        (left.xaxis, similarity.columns),
    ):
        counts = items.get_level_values("label").value_counts(sort=False)
        ends = counts.cumsum()
        axis.set_ticks(ends - counts / 2 - 0.5, counts.index)
        # Between two labels, a line.
        axis.set_ticks(ends[:-1] - 0.5, minor=True)
        axis.set_tick_params(which="both", length=0)
        axis.grid(which="minor", color="black", linewidth=0.8)
    right.imshow(blocks, **style)
    right.set_xticks(range(len(blocks)), blocks.columns)
    right.set_yticks(range(len(blocks)), blocks.index)
    right.set(title="moyenne de chaque bloc", xlabel="légendes", ylabel="images")
    for (row, column), mean in np.ndenumerate(blocks.to_numpy()):
        colour = "white" if abs(mean) > 0.6 * limit else "black"
        right.text(column, row, f"{mean:.2f}", ha="center", va="center", color=colour)
    figure.colorbar(drawn, ax=[left, right], shrink=0.7, label="cosinus")
    means = level_means(similarity)
    figure.suptitle(
        f"Cosinus moyen : bonnes paires {means['pair']:.2f}, autres paires de même "
        f"étiquette {means['same label']:.2f}, d'étiquettes différentes "
        f"{means['other label']:.2f}",
        fontsize=11,
    )
    return figure


def tsne_map(points: pd.DataFrame) -> Figure:
    """Draw a `tsne_table`: pictures and captions, each pair joined by a line."""
    figure, axes = plt.subplots(figsize=(8, 6), layout="constrained")
    images, texts = (
        points[points["modality"] == modality].set_index("path")[["x", "y"]]
        for modality in ("image", "text")
    )
    own = images.loc[texts.index]
    axes.plot(
        [own["x"], texts["x"]], [own["y"], texts["y"]], color="0.8", lw=0.6, zorder=1
    )
    labels = sorted(points["label"].unique())
    colours = matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, len(labels)))
    for modality, marker, name in (("image", "o", "image"), ("text", "^", "légende")):
        part = points[points["modality"] == modality]
        colour = [colours[labels.index(label)] for label in part["label"]]
        axes.scatter(part["x"], part["y"], 26, c=colour, marker=marker)
        axes.scatter([], [], color="0.3", marker=marker, label=name)
    for label, colour in zip(labels, colours, strict=True):
        axes.scatter([], [], color=colour, marker="s", label=label)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes.set(xticks=[], yticks=[], title="t-SNE des images et des légendes")
    return figure


def hardest(pairs: pd.DataFrame) -> Figure:
    """Draw rows of `hardest_pairs`: both pictures, and why the model may fail."""
    size = (10, 1.95 * len(pairs) + 0.3)
    ratios = {"width_ratios": (1, 1, 2.6), "squeeze": False, "layout": "constrained"}
    figure, grid = plt.subplots(len(pairs), 3, figsize=size, **ratios)
    grid[0, 0].set_title("la bonne image", fontsize=10)
    grid[0, 1].set_title("la meilleure autre", fontsize=10)
    for (left, middle, right), pair in zip(grid, pairs.itertuples(), strict=True):
        show_picture(left, pair.paths)
        left.set_xlabel(pair.labels, fontsize=9)
        show_picture(middle, pair.rival_paths)
        middle.set_xlabel(pair.rival_labels, fontsize=9)
        lines = (
            wrap(f"«\u00a0{pair.captions}\u00a0»", 66),
            f"rang de l'image : {pair.text_to_image}, de la légende : "
            f"{pair.image_to_text}",
            wrap(f"meilleure autre légende : «\u00a0{pair.rival_captions}\u00a0»", 66),
            f"mots connus : {100 * pair.known_words:.0f} %",
            f"raison : {REASONS[pair.reason]}",
        )
        right.text(0, 0.5, "\n".join(lines), fontsize=10, va="center")
        right.axis("off")
    return figure


def temperature_bars(
    cosines, temperatures: dict[str, float], shown: int = 20
) -> Figure:
    """Draw the softmax of one query's cosines (N,) at several temperatures, sorted.

    Each temperature has a panel, headed by its key, of the first ``shown`` answers.
    """
    cosines = np.sort(np.asarray(cosines))[::-1]
    figure, line = plt.subplots(
        1, len(temperatures), figsize=(10, 3), sharey=True, layout="constrained"
    )
    chance = 1 / len(cosines)
    for axes, (title, temperature) in zip(line, temperatures.items(), strict=True):
        probabilities = softmax(cosines / temperature)
        axes.bar(range(1, len(cosines[:shown]) + 1), probabilities[:shown])
        label = f"hasard : {chance:.3f}"
        axes.axhline(chance, color="grey", linestyle="--", label=label)
        axes.set_title(f"température {title} ({temperature:.3g})", fontsize=10)
        axes.set_xlabel(f"n° de la réponse, sur {len(cosines)}")
        axes.legend(title=f"première : {probabilities[0]:.3f}", fontsize="small")
    line[0].set_ylabel("probabilité")
    return figure
