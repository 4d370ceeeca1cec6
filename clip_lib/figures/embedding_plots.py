"""Draw what the embeddings of a gallery show (embeddings.py), in French.

Every function returns its figure and shows nothing.
"""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clip_lib.evaluation.embeddings import level_means
from clip_lib.figures.french import french
from clip_lib.figures.image_grids import show_picture, wrap

REASONS = {
    "found": "trouvée",
    "unknown words": "mots inconnus",
    "wrong label": "autre étiquette",
    "within label": "même étiquette",
}


def similarity_maps(tables: dict[str, pd.DataFrame]) -> Figure:
    """Draw `similarity_table`s side by side, in blocks of labels.

    Above each stand its key and its `level_means`.
    """
    limit = max(np.abs(table.to_numpy()).max() for table in tables.values())
    figure, line = plt.subplots(
        1, len(tables), figsize=(10, 5), squeeze=False, layout="constrained"
    )
    for axes, (title, table) in zip(line[0], tables.items(), strict=True):
        drawn = axes.imshow(table, cmap="RdBu_r", vmin=-limit, vmax=limit)
        means = level_means(table).map(french)
        axes.set_title(
            f"{title}, en moyenne\nbonnes paires {means['pair']}, même étiquette "
            f"{means['same label']}, autres {means['other label']}",
            fontsize=9,
        )
        axes.set(xlabel="légende j", ylabel="image i")
        for axis, items in ((axes.yaxis, table.index), (axes.xaxis, table.columns)):
            counts = items.get_level_values("label").value_counts(sort=False)
            ends = counts.cumsum()
            axis.set_ticks(ends - counts / 2 - 0.5, counts.index)
            # Between two labels, a line.
            axis.set_ticks(ends[:-1] - 0.5, minor=True)
            axis.set_tick_params(which="both", length=0)
            axis.grid(which="minor", color="black", linewidth=0.8)
    figure.colorbar(drawn, ax=line, shrink=0.7, label="cosinus")
    return figure


def tsne_map(points: pd.DataFrame) -> Figure:
    """Draw a `tsne_table`: pictures and captions, each pair joined by a line."""
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    images, texts = (points.loc[name].set_index("path") for name in ("image", "text"))
    own = images.loc[texts.index]
    axes.plot(
        [own["x"], texts["x"]], [own["y"], texts["y"]], color="0.8", lw=0.6, zorder=1
    )
    labels = sorted(points["label"].unique())
    shades = matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, len(labels)))
    colours = dict(zip(labels, shades, strict=True))
    for part, marker, name in ((images, "o", "image"), (texts, "^", "légende")):
        colour = [colours[label] for label in part["label"]]
        axes.scatter(part["x"], part["y"], 26, c=colour, marker=marker)
        axes.scatter([], [], color="0.3", marker=marker, label=name)
    for label, colour in colours.items():
        axes.scatter([], [], color=colour, marker="s", label=label)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes.set(xticks=[], yticks=[], title="t-SNE des images et des légendes")
    return figure


def hardest(pairs: pd.DataFrame) -> Figure:
    """Draw rows of `hardest_pairs`: both pictures, and why the model may fail."""
    size = (10, 1.65 * len(pairs) + 0.3)
    ratios = {"width_ratios": (1, 1, 2.6), "squeeze": False, "layout": "constrained"}
    figure, grid = plt.subplots(len(pairs), 3, figsize=size, **ratios)
    for (left, middle, right), pair in zip(grid, pairs.itertuples(), strict=True):
        show_picture(left, pair.paths, below=pair.labels)
        show_picture(middle, pair.rival_paths, below=pair.rival_labels)
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
    grid[0, 0].set_title("la bonne image", fontsize=10)
    grid[0, 1].set_title("la meilleure autre", fontsize=10)
    return figure
