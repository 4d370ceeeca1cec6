"""What CLIP, words and a perceptual hash find odd in a data set; nothing is deleted.

Each detector returns a table, most suspicious first, with the columns kind, image_path,
other (the other picture, the caption, or the label that fits better), score (compare
within one kind only), rank, reason, and the measures that the score is made of.
"""

import itertools

import imagehash
import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from scipy.special import logit
from scipy.stats import zscore
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline

from clip_lib.data.images import open_picture
from clip_lib.errors import ClipError
from clip_lib.retrieval.index import Index

COLUMNS = ["kind", "image_path", "other", "score", "rank", "reason"]
HASH_SIDE = 12
KEPT = 0.92  # Share of width and height that a crop of `hash_views` keeps.


def hash_views(path) -> np.ndarray:
    """Hash a picture as it is, mirrored, and cropped in nine places.

    Whichever of two near-duplicates was cropped or mirrored, a view of one is nearly
    the other. `imagehash.phash` holds the signs of the low cosine frequencies.

    Returns:
        bool (20, 144): the whole picture first, each view followed by its mirror image.
    """
    picture = open_picture(path).convert("L")
    width, height = picture.size
    dx, dy = (1 - KEPT) * width, (1 - KEPT) * height
    boxes = [(0, 0, width, height)]
    for x, y in itertools.product((0, 0.5, 1), repeat=2):
        boxes.append((x * dx, y * dy, width - (1 - x) * dx, height - (1 - y) * dy))
    size = (4 * HASH_SIDE, 4 * HASH_SIDE)  # To which the hash would shrink them.
    views = [picture.resize(size, Image.Resampling.LANCZOS, box) for box in boxes]
    views = [side for view in views for side in (view, ImageOps.mirror(view))]
    return np.array([imagehash.phash(view, HASH_SIDE).hash.ravel() for view in views])


def near_duplicates(
    images: Index, min_agreement: float = 0.55, min_cosine: float = 0.98
) -> pd.DataFrame:
    """Find pairs of pictures that show the same thing, by hash and by embedding.

    Args:
        images: Image index; its pictures are opened.
        min_agreement: Of two hashes: 1 if all bits are equal, 0 if half of them are.
        min_cosine: Of two embeddings.

    Returns:
        Table (see above) with hash_agreement, the score; cosine; and found_by: "both",
        "hash" or "embedding". ``other`` stands before ``image_path`` in the index.
    """
    paths = images.items["paths"].to_numpy()
    signs = 2 * np.array([hash_views(path) for path in paths], "float32") - 1
    agreement = np.max([signs[:, 0] @ view.T for view in signs.swapaxes(0, 1)], axis=0)
    agreement = np.maximum(agreement, agreement.T) / signs.shape[2]
    cosine = images.embeds @ images.embeds.T
    hashed, embedded = agreement >= min_agreement, cosine >= min_cosine
    one, other = pair = np.nonzero(np.triu(hashed | embedded, 1))
    found_by = np.select([hashed & embedded, hashed], ["both", "hash"], "embedding")
    measures = {"hash_agreement": agreement, "cosine": cosine, "found_by": found_by}
    measures = {name: values[pair] for name, values in measures.items()}
    reason = "hash agreement {:.2f}, cosine {:.3f}: found by {}"
    score = measures["hash_agreement"]
    return _table("near-duplicate", paths[other], paths[one], score, reason, measures)


def label_doubt(texts: Index) -> tuple[np.ndarray, np.ndarray]:
    """Ask a word count that never read a caption which label the caption speaks of.

    A trained CLIP has learned the faults of its training captions; the other folds have
    not. Source: Northcutt et al. 2021, *Confident Learning* (self-confidence).

    Returns:
        Doubt of each caption (T,), one minus the probability of its row's label, and
        the most likely one of the other labels (T,).

    Raises:
        ClipError: If there are not two labels with two pictures each.
    """
    labels, paths = texts.items["labels"], texts.items["image_paths"]
    pictures = paths.groupby(labels).nunique()
    if len(pictures) < 2 or pictures.min() < 2:
        found = pictures.to_dict()
        raise ClipError(f"{found}: expected two labels or more, of two pictures each.")
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    # By picture: its other captions would tell the label.
    folds = StratifiedGroupKFold(min(5, pictures.min()), shuffle=True, random_state=0)
    about = {"groups": paths, "cv": folds, "method": "predict_proba"}
    chances = cross_val_predict(model, texts.items["captions"], labels, **about)
    names = np.unique(labels)
    own = names == labels.to_numpy()[:, None]
    return 1 - chances[own], names[np.where(own, 0, chances).argmax(axis=1)]


def off_topic_pairs(images: Index, texts: Index) -> pd.DataFrame:
    """Find captions that do not fit their picture, relative to the picture's label.

    The cosine of a pair is compared with those of its picture and its label's other
    captions, and of its caption and the label's other pictures: some labels lie closer
    together than others. Words count twice, see `label_doubt`: CLIP has learned the
    training pairs by heart, the wrong ones too (benchmarks/cleaning.py).

    Returns:
        Table (see above), a row per caption, with similarity_z and label_doubt; the
        score is their weighted mean, both in standard deviations.

    Raises:
        ClipError: See `label_doubt`; or if a text's picture is not among the images.
    """
    similarity = images.embeds[_places(images, texts)] @ texts.embeds.T
    labels = texts.items["labels"].to_numpy()
    same = labels[:, None] == labels
    similarity_z = (_own_z(similarity, same) + _own_z(similarity.T, same)) / 2
    doubt, likely = label_doubt(texts)
    measures = {"similarity_z": similarity_z, "label_doubt": doubt, "likely": likely}
    score = (2 * zscore(logit(doubt)) - zscore(similarity_z)) / 3
    reason = "cosine {:+.1f} deviations from its label's, words doubt {:.0%}, likely {}"
    paths, captions = texts.items["image_paths"], texts.items["captions"]
    return _table("off-topic pair", paths, captions, score, reason, measures)


def label_outliers(images: Index, texts: Index, k: int = 10) -> pd.DataFrame:
    """Find pictures whose neighbours have another label.

    Args:
        images, texts: Indexes of one data set.
        k: Neighbours looked at.

    Returns:
        Table (see above), a row per picture, with image_neighbours and text_neighbours
        (shares of the k nearest that have another label) and label_doubt. The score is
        image_neighbours times label_doubt: a swapped caption would move the other one.

    Raises:
        ClipError: See `off_topic_pairs`.
    """
    place = _places(images, texts)
    doubt, likely = label_doubt(texts)
    measures = {
        "image_neighbours": _strangers(images, k)[place],
        "text_neighbours": _strangers(texts, k),
        "label_doubt": doubt,
    }
    score = measures["image_neighbours"] * doubt
    reason = "other labels: {:.0%} near it, {:.0%} near its caption, words doubt {:.0%}"
    paths = texts.items["image_paths"]
    table = _table("label outlier", paths, likely, score, reason, measures)
    # A picture of several captions stands where the most suspicious one puts it.
    table = table.drop_duplicates("image_path", ignore_index=True)
    return table.assign(rank=table.index + 1)


def find_suspicions(images: Index, texts: Index, limit: int = 30) -> pd.DataFrame:
    """Return the most suspicious rows of the three detectors, with six columns."""
    pairs, labels = off_topic_pairs(images, texts), label_outliers(images, texts)
    tables = [table.head(limit) for table in (near_duplicates(images), pairs, labels)]
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _table(kind, image_path, other, score, reason: str, measures) -> pd.DataFrame:
    """Lay suspicions out, most suspicious first; the reason quotes the measures."""
    reasons = [reason.format(*row) for row in zip(*measures.values(), strict=True)]
    values = (kind, image_path, other, score, 0, reasons)
    table = pd.DataFrame(dict(zip(COLUMNS, values, strict=True)) | measures)
    table = table.sort_values("score", ascending=False, kind="stable")
    return table.assign(rank=np.arange(1, len(table) + 1)).reset_index(drop=True)


def _places(images: Index, texts: Index) -> np.ndarray:
    """Return where the picture of each text stands in the image index (T,)."""
    if "labels" not in images.items or "labels" not in texts.items:
        raise ClipError("an index has no labels: expected pictures with labels.")
    paths = texts.items["image_paths"]
    place = pd.Index(images.items["paths"]).get_indexer(paths)
    if (place < 0).any():
        path = paths[place < 0].iloc[0]
        raise ClipError(f"{path}: not in the image index; expected one training's.")
    return place


def _strangers(index: Index, k: int) -> np.ndarray:
    """Return the share of the k nearest rows that have another label (N,)."""
    labels = index.items["labels"].to_numpy()
    search = NearestNeighbors(n_neighbors=min(k, len(labels) - 1), metric="cosine")
    # Without an argument, a row is not among its own neighbours.
    nearest = search.fit(index.embeds).kneighbors(return_distance=False)
    return (labels[nearest] != labels[:, None]).mean(axis=1)


def _own_z(similarity, same) -> np.ndarray:
    """Return how many deviations the diagonal lies above ``same`` of its row (T,)."""
    rows = np.where(same, similarity, np.nan)
    deviation = np.maximum(np.nanstd(rows, axis=1), 1e-9)
    return (np.diag(similarity) - np.nanmean(rows, axis=1)) / deviation
