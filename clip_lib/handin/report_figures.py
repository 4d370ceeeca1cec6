"""Draw what the report shows of the saved model, and measure it.

No example is chosen by hand: in each direction the middle one of the queries that
succeed and of those that fail, then the pairs placed worst.
"""

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from clip_lib.errors import ClipError
from clip_lib.evaluation.embeddings import hardest_pairs, outcomes
from clip_lib.evaluation.evaluate import DIRECTIONS, evaluate_indexes
from clip_lib.figures import embedding_plots, image_grids
from clip_lib.retrieval.search import Clip, Search

HARDEST = 3
NOTICE = (
    "Ce sont des scènes dessinées : elles montrent que toute la chaîne fonctionne et "
    "ne disent rien des photographies."
)
SOURCES = {"drawn scenes": "scènes dessinées", "photographs": "photographies"}
STYLE = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "pdf.fonttype": 42,  # Letters stay letters: they can be searched for.
}


def measure(search: Search) -> dict:
    """Return what is known of a saved CLIP: its metrics on test, sizes, failures."""
    clip, source = search.clip, search.images.source
    if "labels" not in search.images.items:
        raise ClipError("the report compares labels: these images have none.")
    parts = [index.part("test") for index in (search.images, search.texts)]
    pairs = hardest_pairs(*parts, clip.vectorizer)
    reasons = pairs["reason"]
    return evaluate_indexes(*parts, clip) | {
        "source": SOURCES.get(source, source),
        "notice": NOTICE if source == "drawn scenes" else "",
        "temperature": clip.temperature,
        "sizes": model_sizes(clip),
        "hardest": HARDEST,
        "answered": {
            way: {name: len(rows) for name, rows in outcomes(pairs, way).items()}
            for way in DIRECTIONS
        },
        "reasons": {
            name: int((reasons == name).sum()) for name in embedding_plots.REASONS
        },
    }


def model_sizes(clip: Clip) -> dict[str, int]:
    """Return the weights of each encoder, those that CLIP trains, the CNN's widths."""
    sizes = {}
    for name, encoder in (("image", clip.image_encoder), ("text", clip.text_encoder)):
        sizes[f"weights_{name}"] = encoder.count_params()
        trained = [int(np.prod(w.shape)) for w in encoder.trainable_weights]
        sizes[f"trained_{name}"] = sum(trained)
    # Pretrained encoders have none of these: the text that speaks of them is refused.
    texts = [layer.name for layer in clip.text_encoder.layers]
    if blocks := sum(name.startswith("transformer") for name in texts):
        sizes["blocks"] = blocks
    images = {layer.name: layer for layer in clip.image_encoder.layers}
    if "descriptors" in images:
        sizes["directions"] = images["edges"].filters
        sizes["patch"] = images["descriptors"].kernel_size[0]
        sizes["descriptors"] = images["descriptors"].filters
        sizes["second_order"] = images["second_order"].output.shape[-1]
    return sizes


def figures(search: Search) -> Iterator[tuple[str, Figure, float, float]]:
    """Draw every figure.

    Returns:
        An iterator: name, figure, its height in the report in inches, and the factor by
        which its letters shrink. All are as wide as the text.
    """
    parts = [index.part("test") for index in (search.images, search.texts)]
    pairs = hardest_pairs(*parts, search.clip.vectorizer)
    for name, way, size in (
        ("images", "text_to_image", (1.9, 0.78)),
        ("texts", "image_to_text", (1.6, 0.7)),
    ):
        for outcome, queries in outcomes(pairs, way).items():
            drawn = image_grids.example(search, queries, way, outcome)
            yield f"{name}_{outcome}", drawn, *size
    worst = embedding_plots.hardest(pairs.head(HARDEST))
    yield "hardest", worst, 0.2 + 1.1 * HARDEST, 0.7


def save_figure(figure: Figure, path: Path, height: float, shrink: float) -> None:
    """Save a figure as PDF at its size in the report; close it."""
    figure.set_size_inches(6.3, height)
    for text in figure.findobj(Text):
        text.set_fontsize(text.get_fontsize() * shrink)
        if text.get_color() == image_grids.RIGHT:
            text.set(color="darkgreen", fontweight="bold")  # Seen in grey too.
    figure.savefig(path, metadata={"CreationDate": None}, dpi=150)
    plt.close(figure)
