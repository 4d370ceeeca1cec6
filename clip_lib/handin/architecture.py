"""The figure of the architecture of a saved CLIP: its two halves and the loss."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from clip_lib.handin.model_summary import architecture_boxes
from clip_lib.models.encoders import networks_in
from clip_lib.retrieval.search import Clip

_LEARNED, _LOCKED = "white", "0.86"
_LEFT, _RIGHT, _WIDTH, _HEIGHT, _STEP = 1.4, 4.9, 2.72, 0.42, 0.585


def _draw_box(axes, x, y, width, heading, line, face) -> None:
    corner = x - width / 2, y - _HEIGHT / 2
    style = {"facecolor": face, "edgecolor": "black", "linewidth": 0.8}
    shape = "round,pad=0,rounding_size=0.06"
    axes.add_patch(FancyBboxPatch(corner, width, _HEIGHT, shape, **style))
    middle = {"ha": "center", "va": "center"}
    axes.text(x, y + 0.09, heading, fontsize=8.5, fontweight="bold", **middle)
    axes.text(x, y - 0.1, line, fontsize=8, **middle)


def _draw_arrow(axes, *points) -> None:
    """Draw a line through points, an arrow at its end."""
    axes.plot(*zip(*points[:-1], strict=True), color="black", linewidth=0.8)
    style = {"arrowstyle": "-|>", "linewidth": 0.8, "color": "black"}
    style |= {"shrinkA": 0, "shrinkB": 0, "mutation_scale": 8}
    axes.annotate("", points[-1], points[-2], arrowprops=style)


def _draw_way_around(axes, rows, gap: float) -> None:
    """Draw how SmallBERT's words go around the blocks, to where both means meet."""
    side = _RIGHT - _WIDTH / 2
    around = (side, rows[1]), (gap, rows[1]), (gap, rows[4]), (side, rows[4])
    _draw_arrow(axes, *around)
    axes.text(
        gap,
        rows[2] - _STEP / 2,
        "moyenne\nmasquée\ndes mots",
        fontsize=7.5,
        ha="center",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )


def architecture_figure(clip: Clip, labels: int) -> Figure:
    """Draw both halves of a saved CLIP, with the sizes read from it, in French.

    Grey: what CLIP's training leaves as it is.

    Args:
        clip: A trained CLIP.
        labels: Number of labels of the classifiers that its halves come from.
    """
    columns = architecture_boxes(clip, labels)
    longest = max(map(len, columns))
    height = _STEP * (longest + 1) - 0.15
    figure, axes = plt.subplots(figsize=(6.3, height))
    figure.subplots_adjust(0, 0, 1, 1)
    axes.set(xlim=(0, 6.3), ylim=(0, height))
    axes.axis("off")
    rows = height - _HEIGHT / 2 - 0.02 - _STEP * np.arange(longest + 1)
    for x, boxes in zip((_LEFT, _RIGHT), columns, strict=True):
        # The last one leads to the loss, however short the column.
        below = [*rows[1 : len(boxes)], rows[-1]]
        for y, end, (heading, line, learned) in zip(rows, below, boxes, strict=False):
            face = _LEARNED if learned else _LOCKED
            _draw_box(axes, x, y, _WIDTH, heading, line, face)
            _draw_arrow(axes, (x, y - _HEIGHT / 2), (x, end + _HEIGHT / 2 + 0.01))
    gap = (_LEFT + _RIGHT) / 2
    if not networks_in(clip.text_encoder):
        _draw_way_around(axes, rows, gap)
    temperature = f"{clip.temperature:.3f}".replace(".", ",")
    _draw_box(
        axes,
        gap,
        rows[-1],
        6.2,
        "Cosinus de chaque image avec chaque légende du lot",
        f"divisés par la température apprise ({temperature}), puis perte contrastive "
        "symétrique",
        _LEARNED,
    )
    return figure
