"""The index of any folder of photos, kept up to date picture by picture.

A picture is read again only if its size or its time of change differs from what the
index noted, as rsync does by default, or if another model made the index.
"""

import dataclasses
import hashlib
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from clip_lib.data.captions_table import picture_files
from clip_lib.data.dataset import SPLITS
from clip_lib.data.images import SUFFIXES
from clip_lib.errors import ClipError
from clip_lib.retrieval.embed_files import embed_readable
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import Clip, Search, open_index

COLUMNS = ["paths", "size", "mtime_ns"]


@dataclasses.dataclass(frozen=True)
class Changes:
    """What an update found.

    Attributes:
        new, changed, gone, kept: Numbers of pictures. With another model, every picture
            that was there has changed.
        unreadable: A sentence for each picture left out.
    """

    new: int
    changed: int
    gone: int
    kept: int
    unreadable: list[str]

    def __str__(self) -> str:
        return (
            f"{self.new} new, {self.changed} changed, {self.gone} gone, "
            f"{self.kept} kept, {len(self.unreadable)} unreadable"
        )


def index_file(model_file, folder) -> Path:
    """Return where the index of a folder lies, unless told otherwise: by the model."""
    folder = Path(folder).resolve()
    # Two folders may both be called photos.
    digest = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape"))
    name = re.sub(r"\W+", "_", folder.name)[:40]
    return Path(model_file).parent / f"folder_{name}_{digest.hexdigest()[:8]}.npz"


def list_pictures(folder) -> pd.DataFrame:
    """List what is named like a picture in a folder and the folders within it.

    Hidden files and folders are left out, and so is a link that leads out of the folder
    or nowhere.

    Returns:
        Table in the order of the paths: paths (absolute), size (bytes) and mtime_ns
        (time of the last change, nanoseconds since 1970).

    Raises:
        ClipError: If there is no such folder.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise ClipError(f"{folder}: no such folder of photos.")
    rows = []
    for name in tqdm(picture_files(folder), "Listing", delay=2, leave=False):
        path = folder / name
        if path.resolve().is_relative_to(folder):
            about = path.stat()
            rows.append((str(path), about.st_size, about.st_mtime_ns))
    # As objects at first: some names are no text that pandas would take.
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
    return table.astype({"size": "int64", "mtime_ns": "int64"})


def update_index(clip: Clip, folder, path) -> Changes:
    """Make the index of a folder, or bring it up to date.

    The file is written once, at the end: if anything fails or the user interrupts, it
    stays as it was.

    Args:
        clip: A trained CLIP.
        folder: Folder of photos.
        path: The index, a ``.npz`` file.

    Raises:
        ClipError: If there is no such folder or no readable picture in it, or ``path``
            is not a ``.npz`` file or holds something else than this folder's index.
    """
    files = list_pictures(folder)
    folder = str(Path(folder).resolve())
    if files.empty:
        listing = ", ".join(sorted(SUFFIXES))
        raise ClipError(f"{folder}: no picture in it; expected files named {listing}.")
    before = _before(path, folder)
    noted, found = (t[COLUMNS[1:]].to_numpy() for t in (before.items, files))
    place = pd.Index(before.items["paths"]).get_indexer(files["paths"])
    known, same = place >= 0, np.zeros(len(files), bool)
    if before.model == clip.fingerprint:
        same[known] = (noted[place[known]] == found[known]).all(axis=1)

    read, embeds, faults = embed_readable(clip, files["paths"][~same])
    if same.any():
        embeds = np.concatenate([before.embeds[place[same]], embeds])
    now = ~same & files["paths"].isin(read).to_numpy()
    items = pd.concat([files[same], files[now]], ignore_index=True)
    if items.empty:
        raise ClipError(
            f"{folder}: not one of its {len(files)} pictures is readable ({faults[0]})"
        )
    items = items.sort_values("paths")
    Index(
        embeds[items.index], items.reset_index(drop=True), clip.fingerprint, folder
    ).save(path)
    return Changes(
        new=int((now & ~known).sum()),
        changed=int((now & known).sum()),
        gone=len(before.items) - int(known.sum()),
        kept=int(same.sum()),
        unreadable=faults,
    )


def _before(path, folder: str) -> Index:
    """Read the index that an update replaces; an empty one if there is none."""
    path = Path(path)
    if path.suffix != ".npz":
        raise ClipError(f"{path}: expected the name of an index to end in .npz.")
    if not path.exists():
        nothing = pd.DataFrame({name: [] for name in COLUMNS})
        return Index(np.empty((0, 0), "float32"), nothing)
    index = Index.load(path)
    if index.source != folder or not set(COLUMNS) <= set(index.items):
        raise ClipError(
            f"{path}: an index of {index.source or 'something else'}, expected one of "
            f"{folder}; name another file."
        )
    return index


def open_gallery(model_file, gallery: str) -> tuple[Search, str]:
    """Load a model and what it shall search.

    Args:
        model_file: The ``.keras`` file, vocabulary and indexes beside it.
        gallery: A part of the training's data (train, validation, test, all), a folder
            that `update_index` knows, or an index file.

    Returns:
        The search, and the part of its indexes to search.

    Raises:
        ClipError: If a file is missing or of another model, or the folder was not
            indexed yet.
    """
    if not _is_folder(gallery) and Path(gallery).suffix != ".npz":
        if Path(gallery).name != gallery:
            raise ClipError(f"{gallery}: no such folder, and no index (.npz).")
        return Search.load(model_file), gallery
    clip = Clip.load(model_file)
    return Search(clip, open_folder(clip, model_file, gallery)), "all"


def open_folder(clip: Clip, model_file, gallery) -> Index:
    """Load the index of a folder, named by the folder or by the index file.

    Raises:
        ClipError: If the folder was not indexed for this model.
    """
    path = Path(gallery)
    if not path.is_dir() and path.suffix != ".npz":
        raise ClipError(f"{gallery}: no such folder, and no index (.npz).")
    if path.is_dir():
        path = index_file(model_file, gallery)
        if not path.is_file():
            raise ClipError(
                f"{gallery}: not indexed for this model; "
                f"`python -m clip_lib index {shlex.quote(str(gallery))} "
                f"--model {shlex.quote(str(model_file))}` does it."
            )
    # Mapped, as photos may be many; `update_index` must not, or on Windows it could not
    # replace the file.
    images = open_index(clip, path, "make the index again", mapped=True)
    if "paths" not in images.items or images.items.empty:
        raise ClipError(f"{path}: an index without pictures.")
    return images


def _is_folder(gallery: str) -> bool:
    return Path(gallery).is_dir() and gallery not in (*SPLITS, "all")
