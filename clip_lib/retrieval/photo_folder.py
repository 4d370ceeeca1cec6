"""What a model searches: the pictures of its training, or any folder, indexed here.

A picture is read again only if its size or modification time differs from what the
index noted, as in rsync. The indexes, one per model and folder, lie in the user's cache
directory: never among the photos, nor beside the model, where they would be handed in
or committed with it.
"""

import dataclasses
import hashlib
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from platformdirs import user_cache_path
from tqdm import tqdm

from clip_lib.config import Config
from clip_lib.data.captions_table import (
    ENRICHED,
    ORIGIN,
    READ,
    TABLE,
    picture_files,
    read_records,
)
from clip_lib.data.dataset import SPLITS
from clip_lib.data.images import SUFFIXES, load_image
from clip_lib.data.source import DEFAULT_FOLDER, SCENES_FOLDER, find_folder
from clip_lib.errors import ClipError
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.runtime import open_clip
from clip_lib.retrieval.search import IMAGE_INDEX_FILE, Clip, Search
from clip_lib.scenes.folder import MARKER

CHUNK = 64
"""Pictures embedded at a time: memory does not grow with their number."""
COLUMNS = ["paths", "size", "mtime_ns"]


@dataclasses.dataclass(frozen=True)
class Changes:
    """Numbers of pictures read and kept by an update, a sentence for each left out."""

    read: int
    kept: int
    unreadable: list[str]

    def __str__(self) -> str:
        """Return everything on one line."""
        lost = len(self.unreadable)
        return f"{self.read} read, {self.kept} kept, {lost} unreadable"


def index_file(clip: Clip, folder) -> Path:
    """Return the file of a model's index of a folder."""
    folder = Path(folder).resolve()
    # Two folders may both be called photos.
    key = f"{clip.fingerprint} {folder}".encode("utf-8", "surrogateescape")
    name = re.sub(r"\W+", "_", folder.name)[:40]
    digest = hashlib.sha256(key).hexdigest()[:16]
    return user_cache_path("clip_lib") / f"{name}_{digest}.npz"


def embed_files(clip: Clip, paths) -> tuple[list[str], np.ndarray, list[str]]:
    """Embed the picture files that can be read, with a progress bar.

    Returns:
        The R paths that could be read; their unit vectors (R, D); and a sentence for
        each of the others, which names it.
    """

    def load(path: str) -> np.ndarray | str:
        try:
            path.encode()
            return load_image(path, clip.image_size)
        except UnicodeEncodeError:
            # Linux allows any bytes in a name; nothing could print or store this one.
            shown = path.encode("utf-8", "backslashreplace").decode()
            return f"{shown}: expected a file name in UTF-8."
        except ClipError as error:
            return str(error)

    paths = [str(path) for path in paths]
    read, faults, embeds = [], [], [np.empty((0, clip.width), "float32")]
    starts = tqdm(range(0, len(paths), CHUNK), "Embedding", delay=2, leave=False)
    with ThreadPoolExecutor() as pool:
        for start in starts:
            chunk = paths[start : start + CHUNK]
            loaded = dict(zip(chunk, pool.map(load, chunk), strict=True))
            faults += [found for found in loaded.values() if isinstance(found, str)]
            good = [path for path in chunk if not isinstance(loaded[path], str)]
            if good:
                images = np.stack([loaded[path] for path in good])
                embeds.append(clip.image_encoder.predict_on_batch(images))
            read += good
    return read, np.concatenate(embeds), faults


def list_pictures(folder) -> list[tuple[str, int, int]]:
    """List the pictures of a folder and its subfolders.

    Of a data folder those of its table; of any other all files named like pictures, but
    no hidden files and folders, and no links that are broken or lead out of the folder.
    Each has its absolute path, size in bytes and time of the last change in
    nanoseconds.

    Raises:
        ClipError: If there is no such folder, or no picture in it; see `read_captions`.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise ClipError(f"{folder}: no such folder of photos.")
    if (captions := read_captions(folder)) is not None:
        paths = captions["image_paths"].unique()
    else:
        names = tqdm(picture_files(folder), "Listing", delay=2, leave=False)
        paths = [folder / name for name in names]
    paths = [path for path in paths if Path(path).resolve().is_relative_to(folder)]
    if not paths:
        listing = ", ".join(sorted(SUFFIXES))
        raise ClipError(f"{folder}: no picture in it; expected files named {listing}.")
    found = []
    for path in map(str, paths):
        # A missing one is named where it is read.
        about = os.stat(path if os.path.isfile(path) else folder)
        found.append((path, about.st_size, about.st_mtime_ns))
    return found


def read_captions(folder: Path) -> pd.DataFrame | None:
    """Read the captions of a data folder, with the columns of a text index.

    None if it is no data folder; ClipError if its table is faulty.
    """
    if not (folder / TABLE).is_file() and not any(folder.glob("captions/*.txt")):
        return None
    records = read_records(folder).reindex(columns=READ, fill_value="")
    # What a language model wrote is for training alone.
    records = records[records[ORIGIN] != ENRICHED]
    paths = [str(folder / path) for path in records["image_path"]]
    columns = {"captions": records["caption"], "image_paths": paths}
    columns |= {"labels": records["label"]} if any(records["label"]) else {}
    return pd.DataFrame(columns)


def update_index(clip: Clip, folder) -> Changes:
    """Make a model's index of a folder, or bring it up to date.

    The file is written once, at the end: after a failure or an interruption it is as
    before.

    Raises:
        ClipError: If there is no such folder, or no readable picture in it.
    """
    files, path = list_pictures(folder), index_file(clip, folder)
    rows, vectors = [], {}
    if earlier := _cached(path):
        rows = list(earlier.items[COLUMNS].itertuples(index=False, name=None))
        vectors = dict(zip(rows, earlier.embeds, strict=True))
    kept = vectors.keys() & files
    stale = {file[0]: file for file in files if file not in kept}
    read, embeds, faults = embed_files(clip, stale)
    vectors |= {stale[name]: vector for name, vector in zip(read, embeds, strict=True)}
    files = [file for file in files if file in vectors]
    if not files:
        raise ClipError(f"{folder}: not one of its pictures is readable ({faults[0]})")
    if files != rows:
        Index(
            np.stack([vectors[file] for file in files]),
            pd.DataFrame(files, columns=COLUMNS),
            clip.fingerprint,
            str(Path(folder).resolve()),
        ).save(path)
    return Changes(len(read), len(kept), faults)


def _cached(path: Path) -> Index | None:
    """Load an index of the cache; None if it is missing or damaged: it is remade."""
    try:
        return Index.load(path)
    except ClipError:
        return None


def open_folder(clip: Clip, folder) -> Search:
    """Bring the index of a folder up to date, and open it to search there.

    A data folder brings its captions and labels. What was read and what was left out is
    said on standard error.

    Raises:
        ClipError: See `update_index`.
    """
    folder = Path(folder).resolve()
    changes = update_index(clip, folder)
    for fault in changes.unreadable:
        print(f"left out: {fault}", file=sys.stderr)
    if changes.read:
        print(f"{folder}: indexed for this model, {changes}", file=sys.stderr)
    images = Index.load(index_file(clip, folder))
    if (folder / MARKER).is_file():
        images = dataclasses.replace(images, source="drawn scenes")
    if (captions := read_captions(folder)) is None:
        return Search(clip, images)
    shown = captions["image_paths"].isin(images.items["paths"])
    captions = captions[shown].reset_index(drop=True)
    if "labels" in captions:
        first = captions.drop_duplicates("image_paths").set_index("image_paths")
        labels = images.items["paths"].map(first["labels"])
        images = dataclasses.replace(images, items=images.items.assign(labels=labels))
    path = index_file(clip, folder / TABLE)
    texts = _cached(path)
    if not texts or texts.items.to_dict("list") != captions.to_dict("list"):
        embeds = clip.embed_texts(captions["captions"])
        texts = Index(embeds, captions, clip.fingerprint, images.source)
        texts.save(path)
    return Search(clip, images, texts)


def find_data(config: Config) -> Path:
    """Find the data folder as `find_folder` does, but do not retry the download.

    While data/flickr is empty, scenes that were drawn before are taken at once.
    """
    here = {path.name for path in DEFAULT_FOLDER.glob("*")} - {"README.md"}
    if config.dataset_dir or here or not (SCENES_FOLDER / TABLE).is_file():
        return find_folder(config)[0]
    return SCENES_FOLDER


def open_gallery(model_file, gallery: str | None, config: Config) -> tuple[Search, str]:
    """Load a model and the gallery to search; return the search and its split.

    The gallery is a folder, or a split of the training's data (train, validation, test,
    all), by default test. A model without indexes beside it, such as the pretrained
    weights, searches all of the data that is found.
    """
    splits = (*SPLITS, "all")
    if gallery not in (None, *splits):
        if not Path(gallery).is_dir():
            expected = ", ".join(splits)
            raise ClipError(f"gallery {gallery!r}: expected {expected} or a folder.")
        return open_folder(open_clip(model_file), gallery), "all"
    if Path(model_file).with_name(IMAGE_INDEX_FILE).is_file():
        return Search.load(model_file, open_clip), gallery or "test"
    return open_folder(open_clip(model_file), find_data(config)), gallery or "all"
