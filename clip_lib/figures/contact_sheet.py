"""What follows `cleaning`: see the suspicions, and a table without them."""

import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clip_lib.atomic import replacing
from clip_lib.data.captions_table import read_records
from clip_lib.data.images import load_image
from clip_lib.errors import ClipError
from clip_lib.retrieval.index import Index

SIDE = 224
FRENCH = {
    "near-duplicate": "quasi-doublons",
    "off-topic pair": "légende hors sujet",
    "label outlier": "étiquette douteuse",
}


def contact_sheet(suspicions: pd.DataFrame, images: Index, per_kind: int = 5) -> Figure:
    """Show the most suspicious pairs of each kind with their scores, in French.

    Args:
        suspicions: What `find_suspicions` returned.
        images: Image index, which knows the labels.
        per_kind: Pairs a row.

    Raises:
        ClipError: If a suspicion is not of this index.
    """
    label = dict(zip(images.items["paths"], images.items["labels"], strict=True))
    foreign = set(suspicions["image_path"]) - set(label)
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
            # A dollar sign would start a formula.
            note = textwrap.fill(note, 26).replace("$", r"\$")
            axes.set_xlabel(note, fontsize=9)
    return figure


def write_clean(folder, suspicions: pd.DataFrame, path) -> int:
    """Write captions.csv without the suspicious rows, to another file.

    An off-topic pair costs its one row, the other kinds all rows of ``image_path``.

    Args:
        folder: Data folder, which is only read.
        suspicions: What `find_suspicions` returned, best after a look by eye.
        path: The file to write.

    Returns:
        Number of rows left out.

    Raises:
        ClipError: If ``path`` is the original, a column is missing, or a suspicion is
            not of this folder.
    """
    original = Path(folder) / "captions.csv"
    if Path(path).resolve() == original.resolve():
        raise ClipError(f"{path}: the original, expected another file.")
    missing = {"kind", "image_path", "other"} - set(suspicions.columns)
    if missing:
        names = ", ".join(sorted(missing))
        raise ClipError(f"suspicions without {names}: expected a list by `clean`.")
    records = read_records(folder)
    paths = [str((Path(folder) / name).resolve()) for name in records["image_path"]]
    keys = suspicions["image_path"].map(lambda name: str(Path(name).resolve()))
    foreign = suspicions["image_path"][~keys.isin(paths)]
    if len(foreign):
        raise ClipError(f"{foreign.iloc[0]}: a suspicion, but not in {original}.")
    pair = suspicions["kind"] == "off-topic pair"
    pairs = set(zip(keys[pair], suspicions["other"][pair], strict=True))
    kept = [
        path not in set(keys[~pair]) and (path, caption) not in pairs
        for path, caption in zip(paths, records["caption"], strict=True)
    ]
    if not records["label"].any():
        records = records.drop(columns="label")
    with replacing(path) as temporary:
        records[kept].to_csv(temporary, index=False)
    return len(records) - sum(kept)
