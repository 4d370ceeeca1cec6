"""List what a perceptual hash, words and CLIP find odd in a data set.

Nothing is deleted. `duplicate_groups` finds what any folder holds twice. Each other
detector returns a table, most suspicious first, with the columns kind, image_path,
other (the other picture, the caption, or the label that fits better), score (compare
within one kind only), rank, and the measures that the score is made of. Which measures
are worth combining is measured by benchmarks/cleaning.py.
"""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import logit
from scipy.stats import zscore
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from tqdm import tqdm

from clip_lib.atomic import replacing
from clip_lib.data.captions_table import read_records
from clip_lib.data.images import FORMATS, open_picture
from clip_lib.errors import ClipError, first_line
from clip_lib.evaluation.evaluate import picture_rows
from clip_lib.retrieval.index import Index

HASH_SIDE = 12
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""What a spreadsheet takes for the start of a formula, and the sign against it."""
KEPT = 0.92  # Share of width and height that a crop of `hash_views` keeps.


def hash_views(path) -> np.ndarray:
    """Hash a picture as it is, mirrored, and cropped in nine places.

    Whichever of two near-duplicates was cropped or mirrored, a view of one is nearly
    the other. `imagehash.phash` holds the signs of the low cosine frequencies.

    Returns:
        bool (20, 144): the whole picture first, each view followed by its mirror image.
    """
    picture = open_picture(path, enough=16 * HASH_SIDE).convert("L")
    width, height = picture.size
    dx, dy = (1 - KEPT) * width, (1 - KEPT) * height
    boxes = [(0, 0, width, height)]
    for x, y in itertools.product((0, 0.5, 1), repeat=2):
        boxes.append((x * dx, y * dy, width - (1 - x) * dx, height - (1 - y) * dy))
    size = (4 * HASH_SIDE, 4 * HASH_SIDE)  # To which the hash would shrink them.
    views = [picture.resize(size, Image.Resampling.LANCZOS, box) for box in boxes]
    views = [side for view in views for side in (view, ImageOps.mirror(view))]
    return np.array([imagehash.phash(view, HASH_SIDE).hash.ravel() for view in views])


def near_duplicates(images: Index, min_agreement: float = 0.55) -> pd.DataFrame:
    """Find pairs of pictures that show the same thing, by their hashes.

    The agreement of two hashes is 1 if all bits are equal, 0 if half of them are. A
    picture that cannot be read any more is left out.

    Returns:
        Table with hash_agreement, the score, and cosine. ``other`` stands before
        ``image_path`` in the index.
    """
    paths = images.items["paths"].to_numpy()

    def views_of(path: str) -> np.ndarray | None:
        try:
            return hash_views(path)
        except ClipError:
            return None

    with ThreadPoolExecutor() as pool:
        views = pool.map(views_of, paths)
        views = list(tqdm(views, "Hashing", len(paths), delay=2, leave=False))
    rows = np.array([row for row, found in enumerate(views) if found is not None], int)
    views = [found for found in views if found is not None]
    signs = 2 * np.array(views, "float32").reshape(len(rows), -1, HASH_SIDE**2) - 1
    found = []
    for one, views in enumerate(signs):  # One by one: memory for all pairs would burst.
        later = signs[one + 1 :]
        # Either of the two may be the one that was cropped or mirrored.
        as_it_is = np.tensordot(later, views[0], 1)
        agreement = np.maximum(as_it_is, later[:, 0] @ views.T).max(axis=1)
        agreement /= views.shape[1]
        others = np.flatnonzero(agreement >= min_agreement)
        found += [(one, one + 1 + other, agreement[other]) for other in others]
    one, other, score = np.reshape(found, (-1, 3)).T
    one, other = rows[one.astype(int)], rows[other.astype(int)]
    cosine = (images.embeds[one] * images.embeds[other]).sum(axis=1)
    measures = {"hash_agreement": score, "cosine": cosine}
    return _table("near-duplicate", paths[other], paths[one], score, measures)


def duplicate_groups(images: Index, min_agreement=0.6, min_cosine=0.3) -> pd.DataFrame:
    """Group the near-duplicates of any folder, with the best copy of each group marked.

    The larger the folder, the more hashes agree by chance; the embeddings of such a
    pair, which must be this close too, are not.

    Returns:
        Table, group by group, best copy first: group (from 1), keep (of the largest
        resolution, then of the most bytes), width and height in pixels, bytes, path.
    """
    pairs = near_duplicates(images, min_agreement)
    pairs = pairs[pairs["cosine"] >= min_cosine]
    place = pd.Index(images.items["paths"])
    ends = [place.get_indexer(pairs[name]) for name in ("image_path", "other")]
    graph = coo_array((np.ones(len(pairs)), ends), shape=(len(place), len(place)))
    _, numbers = connected_components(graph, directed=False)
    table = pd.DataFrame({"group": numbers, "path": place}).iloc[np.unique(ends)]
    sizes = []
    for path in table["path"]:
        with Image.open(path, formats=FORMATS) as picture:
            sizes.append((*picture.size, os.path.getsize(path)))
    names = ["width", "height", "bytes"]
    table[names] = np.reshape(sizes, (-1, 3)).astype(int)
    pixels = table["width"] * table["height"]
    table = table.assign(pixels=-pixels, less=-table["bytes"])
    table = table.sort_values(["group", "pixels", "less", "path"], ignore_index=True)
    table["group"] = pd.factorize(table["group"])[0] + 1
    table["keep"] = ~table["group"].duplicated()
    return table[["group", "keep", *names, "path"]]


def write_list(table: pd.DataFrame, path) -> None:
    """Write a table as CSV for a person: no cell is a formula to a spreadsheet.

    A text that begins like one gets an apostrophe, which `read_list` takes off.
    """
    texts = table.select_dtypes(exclude=["number", "bool"]).columns
    safe = table.copy()
    for name in texts:
        risky = safe[name].astype(str).str.startswith(FORMULA)
        safe[name] = safe[name].where(~risky, "'" + safe[name].astype(str))
    with replacing(path) as temporary:
        safe.to_csv(temporary, index=False)


def read_list(path) -> pd.DataFrame:
    """Read what `write_list` wrote; ClipError if it is not a CSV file."""
    try:
        table = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError) as error:
        why = first_line(error)
        raise ClipError(f"{path}: not a CSV file ({why}).") from error
    for name in table.select_dtypes(exclude=["number", "bool"]).columns:
        texts = table[name]
        marked = texts.str.startswith("'") & texts.str[1:].str.startswith(FORMULA)
        table[name] = texts.where(~marked.fillna(False).astype(bool), texts.str[1:])
    return table


def label_doubt(texts: Index) -> tuple[np.ndarray, np.ndarray]:
    """Predict each caption's label from word counts that leave that caption out.

    A trained CLIP has learned the faults of its training captions; the other folds have
    not. Source: Northcutt et al. 2021, *Confident Learning* (self-confidence).

    Returns:
        Doubt of each caption (T,), one minus the probability of its row's label, and
        the most likely one of the other labels (T,).

    Raises:
        ClipError: If there are not two labels with two pictures each.
    """
    if "labels" not in texts.items:
        raise ClipError("an index has no labels: expected pictures with labels.")
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
    training pairs by heart, the wrong ones too.

    Returns:
        Table (see above), one row per caption, with similarity_z and label_doubt; the
        score is their weighted mean, both in standard deviations.

    Raises:
        ClipError: See `label_doubt` and `picture_rows`.
    """
    own_images = images.embeds[picture_rows(images, texts)].astype("float64")
    doubt, likely = label_doubt(texts)
    labels, similarity_z = texts.items["labels"].to_numpy(), np.empty(len(doubt))
    for label in np.unique(labels):
        rows = labels == label
        cosines = own_images[rows] @ texts.embeds[rows].T
        both = zscore(cosines, axis=1) + zscore(cosines, axis=0)
        similarity_z[rows] = both.diagonal() / 2
    measures = {"similarity_z": similarity_z, "label_doubt": doubt, "likely": likely}
    score = (2 * zscore(logit(doubt)) - zscore(similarity_z)) / 3
    paths, captions = texts.items["image_paths"], texts.items["captions"]
    return _table("off-topic pair", paths, captions, score, measures)


def label_outliers(texts: Index) -> pd.DataFrame:
    """Find pictures whose captions speak of another label, see `label_doubt`.

    CLIP's embeddings are left aside: with them, fewer wrong labels were found.

    Returns:
        Table (see above), one row per picture: that of its most doubtful caption;
        ``other`` is the label that fits better. The score is the doubt.
    """
    doubt, likely = label_doubt(texts)
    measures = {"label_doubt": doubt, "likely": likely}
    paths = texts.items["image_paths"]
    table = _table("label outlier", paths, likely, doubt, measures)
    table = table.drop_duplicates("image_path", ignore_index=True)
    return table.assign(rank=table.index + 1)


def find_suspicions(images: Index, texts: Index, limit: int = 30) -> pd.DataFrame:
    """Return the most suspicious rows of the three detectors, with their measures."""
    pairs, labels = off_topic_pairs(images, texts), label_outliers(texts)
    tables = [table.head(limit) for table in (near_duplicates(images), pairs, labels)]
    return pd.concat(tables, ignore_index=True).round(3)


def _table(kind, image_path, other, score, measures) -> pd.DataFrame:
    about = {"kind": kind, "image_path": image_path, "other": other, "score": score}
    table = pd.DataFrame(about | {"rank": 0} | measures)
    table = table.sort_values("score", ascending=False, kind="stable")
    return table.assign(rank=range(1, len(table) + 1)).reset_index(drop=True)


def write_clean(folder, suspicions: pd.DataFrame, path) -> int:
    """Write captions.csv without the suspicious rows, to another file.

    An off-topic pair costs its one row, the other kinds all rows of ``image_path``.

    Args:
        folder: Data folder, which is only read.
        suspicions: Table returned by `find_suspicions`, best after a review by eye.
        path: The file to write.

    Returns:
        Number of rows left out.

    Raises:
        ClipError: If ``path`` is the original, or a suspicion is not of this folder.
    """
    folder = Path(folder).resolve()
    if Path(path).resolve() == folder / "captions.csv":
        raise ClipError(
            f"{path}: this is the original captions.csv; name another file."
        )
    if not {"kind", "image_path", "other"} <= set(suspicions.columns):
        raise ClipError("suspicions: expected the columns of a list by `clean`.")
    records = read_records(folder)
    paths = records["image_path"].map(lambda name: str((folder / name).resolve()))
    keys = suspicions["image_path"].map(lambda name: str(Path(name).resolve()))
    if len(foreign := suspicions["image_path"][~keys.isin(paths)]):
        raise ClipError(f"{foreign.iloc[0]}: a suspicion, but not in {folder}.")
    pair = suspicions["kind"] == "off-topic pair"
    pairs = pd.MultiIndex.from_arrays([keys[pair], suspicions["other"][pair]])
    bad = pd.MultiIndex.from_arrays([paths, records["caption"]]).isin(pairs)
    bad |= paths.isin(keys[~pair]).to_numpy()
    if not records["label"].any():
        records = records.drop(columns="label")
    with replacing(path) as temporary:
        records[~bad].to_csv(temporary, index=False)
    return int(bad.sum())
