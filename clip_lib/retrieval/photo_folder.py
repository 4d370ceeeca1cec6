"""The index of any folder of photos, updated picture by picture.

A picture is read again only if its size or modification time differs from what the
index noted, as in rsync. The indexes, one per model and folder, lie in the user's cache
directory: never among the photos, nor beside the model, where they would be handed in
or committed with it.
"""

import contextlib
import dataclasses
import hashlib
import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from platformdirs import user_cache_path
from tqdm import tqdm

from clip_lib.data.captions_table import picture_files
from clip_lib.data.dataset import SPLITS
from clip_lib.data.images import SUFFIXES, load_image
from clip_lib.errors import ClipError
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import Clip, Search

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
    """List the files named like pictures in a folder and its subfolders.

    Hidden files and folders are left out, and links that are broken or lead out of the
    folder. Each has its absolute path, size in bytes and time of the last change in
    nanoseconds.

    Raises:
        ClipError: If there is no such folder, or no picture in it.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise ClipError(f"{folder}: no such folder of photos.")
    found = []
    for name in tqdm(picture_files(folder), "Listing", delay=2, leave=False):
        path = folder / name
        if path.resolve().is_relative_to(folder):
            about = path.stat()
            found.append((str(path), about.st_size, about.st_mtime_ns))
    if not found:
        listing = ", ".join(sorted(SUFFIXES))
        raise ClipError(f"{folder}: no picture in it; expected files named {listing}.")
    return found


def update_index(clip: Clip, folder) -> Changes:
    """Make a model's index of a folder, or bring it up to date.

    The file is written once, at the end: after a failure or an interruption it is as
    before.

    Raises:
        ClipError: If there is no such folder, or no readable picture in it.
    """
    files, path = list_pictures(folder), index_file(clip, folder)
    vectors = {}
    if path.exists():
        with contextlib.suppress(ClipError):  # A damaged cache is made again.
            earlier = Index.load(path)
            rows = earlier.items[COLUMNS].itertuples(index=False, name=None)
            vectors = dict(zip(rows, earlier.embeds, strict=True))
    kept = vectors.keys() & files
    stale = {file[0]: file for file in files if file not in kept}
    read, embeds, faults = embed_files(clip, stale)
    vectors |= {stale[name]: vector for name, vector in zip(read, embeds, strict=True)}
    files = [file for file in files if file in vectors]
    if not files:
        raise ClipError(f"{folder}: not one of its pictures is readable ({faults[0]})")
    Index(
        np.stack([vectors[file] for file in files]),
        pd.DataFrame(files, columns=COLUMNS),
        clip.fingerprint,
        str(Path(folder).resolve()),
    ).save(path)
    return Changes(len(read), len(kept), faults)


def open_gallery(model_file, gallery: str) -> tuple[Search, str]:
    """Load a model and the gallery to search; return the search and its split.

    The gallery is a split of the training's data (train, validation, test, all), or a
    folder that was indexed for this model.
    """
    splits = (*SPLITS, "all")
    if gallery in splits:
        return Search.load(model_file), gallery
    if not Path(gallery).is_dir():
        expected = ", ".join(splits)
        raise ClipError(f"gallery {gallery!r}: expected {expected} or a folder.")
    clip = Clip.load(model_file)
    return Search(clip, open_folder(clip, model_file, gallery)), "all"


def open_folder(clip: Clip, model_file, folder) -> Index:
    """Load the index of a folder; ClipError if it was not indexed for this model."""
    path = index_file(clip, folder)
    if not path.is_file():
        raise ClipError(
            f"{folder}: not indexed for this model; "
            f"`python -m clip_lib index {shlex.quote(str(folder))} "
            f"--model {shlex.quote(str(model_file))}` does it."
        )
    return Index.load(path)
