"""The architecture of a saved CLIP: its sizes, and the figure of its two halves."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from clip_lib.encoders import FEATURES, STATISTICS
from clip_lib.retrieval import Clip

_LEARNED, _LOCKED = "white", "0.86"
_LEFT, _RIGHT, _WIDTH, _HEIGHT, _STEP = 1.4, 4.9, 2.72, 0.42, 0.585


def architecture_sizes(clip: Clip) -> dict[str, int]:
    """Read from a saved CLIP what a reader would ask: widths, places, weights.

    Returns:
        Name -> number. ``map_3`` is the side of the map of the cells of 3 pixels;
        ``weights_image`` counts the weights of the image half, ``trained_image`` those
        that CLIP's training may change.
    """
    image, text = clip.image_encoder, clip.text_encoder
    describe, embedding = image.get_layer("descriptors"), text.get_layer("embedding")
    blocks = [layer for layer in text.layers if layer.name.startswith("transformer")]
    sizes = {
        "image_height": image.input.shape[1],
        "image_width": image.input.shape[2],
        "half_height": image.get_layer("half_size").output.shape[1],
        "half_width": image.get_layer("half_size").output.shape[2],
        "directions": image.get_layer("edges").filters,
        "piece": describe.kernel_size[0],
        "statistics": describe.kernel.shape[2],
        "descriptors": describe.filters,
        "second_order": image.get_layer("second_order").output.shape[-1],
        "sequence_length": text.input.shape[1],
        "vocabulary": embedding.token_embedding.input_dim,
        "word_width": embedding.token_embedding.output_dim,
        "blocks": len(blocks),
        "heads": blocks[0].get_config()["num_heads"],
        "ff_dim": blocks[0].get_config()["intermediate_dim"],
        "text_features": text.get_layer(FEATURES).output.shape[-1],
        "embed_dim": text.output.shape[-1],
    }
    for layer in image.layers:
        if layer.name.startswith(STATISTICS):
            cell = layer.name.removeprefix(f"{STATISTICS}_")
            sizes[f"map_{cell}"] = layer.output.shape[1]
    for name, model in (("image", image), ("text", text)):
        trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
        sizes |= {f"weights_{name}": model.count_params(), f"trained_{name}": trained}
    return sizes


def _by_thousands(value: int) -> str:
    return f"{value:,}".replace(",", "\u00a0")


def _boxes(clip: Clip, labels: int) -> tuple[list, list]:
    """Both columns: (heading, line below, whether CLIP's training may change it)."""
    size = architecture_sizes(clip)
    cells = [name.removeprefix("map_") for name in size if name.startswith("map_")]
    sides = ", ".join(f"{size[f'map_{cell}']}" for cell in cells)
    learned = bool(clip.image_encoder.get_layer("descriptors").trainable_weights)
    head = f"la tête à {labels} étiquettes, coupée, la lisait"
    pixels = f"{size['image_height']} × {size['image_width']}"
    half = f"{size['half_height']} × {size['half_width']}"
    projection = (
        "Projection linéaire, longueur 1",
        f"largeur {size['embed_dim']}",
        True,
    )
    image = [
        ("Image", f"{pixels} pixels, de 0 à 255", True),
        ("Moitié, échelle, miroir", f"{half} pixels, de −1 à 1", learned),
        (
            f"Cellules de {', '.join(cells)} pixels",
            f"{size['statistics']} mesures (couleurs, bords), côtés {sides}",
            learned,
        ),
        (
            f"Convolution {size['piece']} × {size['piece']}, partagée",
            f"{size['descriptors']} descripteurs par endroit",
            learned,
        ),
        (
            "Produits deux à deux, racine de matrice",
            f"{_by_thousands(size['second_order'])} nombres par image",
            learned,
        ),
        ("Centrage, une échelle pour tout", head, learned),
        projection,
    ]
    text = [
        ("Légende", f"{size['sequence_length']} tokens, remplissage compris", True),
        (
            "Vecteurs des mots, positions, masque",
            f"{_by_thousands(size['vocabulary'])} mots, largeur {size['word_width']}",
            True,
        ),
        (
            f"{size['blocks']} bloc{'s'[: size['blocks'] - 1]} Transformer",
            f"{size['heads']} têtes, couche interne de {size['ff_dim']}",
            True,
        ),
        ("Moyenne masquée, en contexte", head, True),
        ("Les deux moyennes bout à bout", f"largeur {size['text_features']}", True),
        ("Normalisation par lot", "chaque nombre à son échelle", True),
        projection,
    ]
    return image, text


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


def architecture_figure(clip: Clip, labels: int) -> Figure:
    """Draw both halves of a saved CLIP, with the sizes read from it, in French.

    Grey: what CLIP's training leaves as it is.

    Args:
        clip: A trained CLIP.
        labels: Number of labels of the classifiers that its halves come from.
    """
    columns = _boxes(clip, labels)
    height = _STEP * (len(columns[0]) + 1) - 0.15
    figure, axes = plt.subplots(figsize=(6.3, height))
    figure.subplots_adjust(0, 0, 1, 1)
    axes.set(xlim=(0, 6.3), ylim=(0, height))
    axes.axis("off")
    rows = height - _HEIGHT / 2 - 0.02 - _STEP * np.arange(len(columns[0]) + 1)
    for x, boxes in zip((_LEFT, _RIGHT), columns, strict=True):
        for y, (heading, line, learned) in zip(rows, boxes, strict=False):
            face = _LEARNED if learned else _LOCKED
            _draw_box(axes, x, y, _WIDTH, heading, line, face)
            _draw_arrow(axes, (x, y - _HEIGHT / 2), (x, y - _STEP + _HEIGHT / 2 + 0.01))
    # The words themselves go around the blocks, to where both means meet.
    side, gap = _RIGHT - _WIDTH / 2, (_LEFT + _RIGHT) / 2
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
