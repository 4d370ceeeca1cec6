"""Draw pictures with their captions and scores, in French.

Every function returns its figure and shows nothing.
"""

import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clip_lib.data.dataset import Dataset
from clip_lib.data.images import load_image, open_picture
from clip_lib.errors import ClipError
from clip_lib.figures.french import french
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import Search

RIGHT = "tab:green"
SIDE = 224
KINDS = {
    "near-duplicate": "quasi-doublons",
    "off-topic pair": "légende hors sujet",
    "label outlier": "étiquette douteuse",
}
"""The kinds of suspicions, see `evaluation.cleaning`."""
OUTCOMES = {"success": "réussite", "failure": "échec"}
"""The keys of `evaluation.embeddings.outcomes`."""
_FRENCH = {
    "train": " d'entraînement",
    "validation": " de validation",
    "test": " de test",
    "all": "",
    "drawn scenes": " (scènes dessinées)",
    "photographs": " (photographies)",
}


def show_picture(axes, picture, above="", below="", frame=None) -> None:
    """Draw a picture, a file or its pixels, between two lines of text.

    Args:
        axes: Where to draw; its ticks are removed.
        picture: Path or array, see `Axes.imshow`.
        above, below: What stands there; the latter may run over several lines.
        frame: Colour of a frame, if there is one.
    """
    try:
        pixels = picture if isinstance(picture, np.ndarray) else open_picture(picture)
    except ClipError:  # Deleted since it was indexed: the others are still drawn.
        pixels, below = np.full((SIDE, SIDE, 3), 230, "uint8"), f"{below} (introuvable)"
    axes.imshow(pixels)
    axes.set(xticks=[], yticks=[])
    axes.set_title(above, fontsize=9)
    axes.set_xlabel(wrap(below, 26), fontsize=9)
    for side in axes.spines.values():
        side.set(visible=frame is not None, color=frame, linewidth=3)


def wrap(text: str, width: int) -> str:
    """Break a text for a figure into lines of at most ``width`` characters."""
    # A dollar sign would start a formula.
    return textwrap.fill(str(text), width).replace("$", r"\$")


def _standing(answer) -> str:
    return f"n° {answer.rank}   score {french(answer.score, 3)}"


def gallery_name(index: Index, split: str) -> str:
    """Describe a gallery for a figure: how many items, which split, what they are."""
    noun = "légendes" if "captions" in index.items else "images"
    count = len(index.part(split).items)
    return f"{count} {noun}{_FRENCH[split]}{_FRENCH.get(index.source, '')}"


def dataset_sample(dataset: Dataset, per_label: int = 5, seed: int = 0) -> Figure:
    """Draw a few training pictures of each label, with their captions."""
    rows = len(dataset.class_names)
    figure, grid = plt.subplots(
        rows, per_label, figsize=(2.4 * per_label, 2.1 * rows), layout="constrained"
    )
    pictures = dataset.pictures("train").groupby("label")
    pictures = pictures.sample(per_label, random_state=seed)
    for axes, row in zip(grid.flat, pictures.itertuples(), strict=True):
        show_picture(axes, dataset.folder / row.image_path, below=row.caption)
    for axes, label in zip(grid[:, 0], dataset.class_names, strict=True):
        axes.set_ylabel(label, fontsize=12)
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
        # One's own photos have no label, but a name.
        name = getattr(answer, "labels", Path(answer.paths).name)
        frame = RIGHT if answer.paths == own else None
        show_picture(axes, answer.paths, _standing(answer), name, frame)
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
    show_picture(left, picture, below="image demandée")
    right.axis("off")
    right.set_title(f"parmi {gallery}".replace("$", r"\$"), fontsize=10, loc="left")
    for answer in answers.itertuples():
        own = answer.image_paths == str(picture)
        label = f"[{answer.labels}] " if "labels" in answers else ""
        text = wrap(f"{label}{answer.captions}", 88)
        mark = "   ← la sienne" if own else ""
        right.text(
            0,
            1 - (answer.rank - 0.5) / len(answers),
            f"{answer.rank}.  {french(answer.score, 3)}   {text}{mark}",
            fontsize=9,
            va="center",
            color=RIGHT if own else "black",
            transform=right.transAxes,
        )
    return figure


def example(search: Search, queries: pd.DataFrame, way: str, outcome: str) -> Figure:
    """Draw the answers to the middle one of some queries, all of one outcome.

    Args:
        search: Whom to ask, among the test part.
        queries: Of `evaluation.embeddings.outcomes`, hardest first.
        way: Their direction, "text_to_image" or "image_to_text".
        outcome: "success" or "failure".
    """
    title = f"{OUTCOMES[outcome]} n° {len(queries) // 2 + 1} sur {len(queries)}"
    if queries.empty:
        figure, axes = plt.subplots(figsize=(10, 0.6))
        axes.axis("off")
        axes.text(0.5, 0.5, f"{OUTCOMES[outcome]} : aucune question", ha="center")
        return figure
    pair = queries.iloc[len(queries) // 2]
    if way == "text_to_image":
        where = f"{gallery_name(search.images, 'test')} ; {title}"
        where += f" : la bonne image est au rang {pair[way]}"
        # A caption is a text as it stands, whatever signs it holds.
        embedding, images = search.clip.embed_text(pair["captions"]), search.images
        answers = images.part("test").search(embedding, 5, search.clip.temperature)
        return image_answers(answers, pair["captions"], where, own=pair["paths"])
    where = f"{gallery_name(search.texts, 'test')} ; {title}\n"
    where += f"rang {pair[way]} : «\u00a0{pair['captions']}\u00a0»"
    return text_answers(pair["paths"], search.texts_for(pair["paths"]), where)


def contact_sheet(suspicions: pd.DataFrame, images: Index, per_kind: int = 5) -> Figure:
    """Draw the first pairs of each kind of `find_suspicions`, with their scores.

    Raises:
        ClipError: If a suspicion is not of this image index, which knows the labels.
    """
    label = images.items.set_index("paths").get("labels", pd.Series(dtype=str))
    foreign = set(suspicions["image_path"]) - set(label.index)
    if foreign:
        raise ClipError(f"{min(foreign)}: a suspicion, but not in the image index.")
    figure, grid = plt.subplots(
        3, per_kind, figsize=(2.1 * per_kind, 8.5), layout="constrained", squeeze=False
    )
    for line, (kind, title) in zip(grid, KINDS.items(), strict=True):
        rows = suspicions[suspicions["kind"] == kind].head(per_kind)
        line[0].set_ylabel(title, fontsize=11)
        for axes in line[len(rows) :]:
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
            show_picture(axes, picture, _standing(row), note)
    return figure
