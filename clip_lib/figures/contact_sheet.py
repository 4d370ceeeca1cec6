"""Draw the most suspicious pairs of a data set, in French."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clip_lib.data.images import load_image
from clip_lib.errors import ClipError
from clip_lib.figures.image_grids import wrap
from clip_lib.retrieval.index import Index

SIDE = 224
FRENCH = {
    "near-duplicate": "quasi-doublons",
    "off-topic pair": "légende hors sujet",
    "label outlier": "étiquette douteuse",
}


def contact_sheet(suspicions: pd.DataFrame, images: Index, per_kind: int = 5) -> Figure:
    """Draw the first pairs of each kind of `find_suspicions`, with their scores.

    Raises:
        ClipError: If a suspicion is not of this image index, which knows the labels.
    """
    label = images.items.set_index("paths")["labels"]
    foreign = set(suspicions["image_path"]) - set(label.index)
    if foreign:
        raise ClipError(f"{min(foreign)}: a suspicion, but not in the image index.")
    figure, grid = plt.subplots(
        3, per_kind, figsize=(2.1 * per_kind, 8.5), layout="constrained", squeeze=False
    )
    for line, (kind, title) in zip(grid, FRENCH.items(), strict=True):
        rows = suspicions[suspicions["kind"] == kind].head(per_kind)
        line[0].set_ylabel(title, fontsize=11)
        for axes in line:
            axes.set(xticks=[], yticks=[], frame_on=False)
        if rows.empty:
            line[0].text(0.5, 0.5, "rien trouvé", ha="center")
        for axes, row in zip(line, rows.itertuples(), strict=False):
            picture = load_image(row.image_path, (SIDE, SIDE))
            note = f"{label[row.image_path]} : «\u00a0{row.other}\u00a0»"
            if kind == "near-duplicate":
                other = load_image(row.other, (SIDE, SIDE))
                gap = np.full((SIDE, SIDE // 16, 3), 255, "uint8")
                picture = np.hstack([picture, gap, other])
                note = f"{Path(row.image_path).name} | {Path(row.other).name}"
            elif kind == "label outlier":
                note = f"étiquette {label[row.image_path]}, plutôt {row.other}\u00a0?"
            axes.imshow(picture)
            axes.set_title(f"n° {row.rank}   score {row.score:.3f}", fontsize=9)
            axes.set_xlabel(wrap(note, 26), fontsize=9)
    return figure
