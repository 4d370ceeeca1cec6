"""Open what a model searches: the pictures of its training, or any folder of photos."""

import contextlib
import dataclasses
import sys
from pathlib import Path

from clip_lib.config import Config
from clip_lib.data.captions_table import TABLE
from clip_lib.data.dataset import SPLITS
from clip_lib.data.source import DEFAULT_FOLDER, SCENES_FOLDER, find_folder
from clip_lib.errors import ClipError, printable
from clip_lib.retrieval.folder_index import (
    Busy,
    index_file,
    read_captions,
    saved_index,
    update_index,
)
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.runtime import open_clip
from clip_lib.retrieval.search import IMAGE_INDEX_FILE, Clip, Search
from clip_lib.scenes.folder import MARKER


def open_folder(clip: Clip, folder) -> Search:
    """Bring the index of a folder up to date, and open it to search there.

    A data folder brings its captions and labels. What was read and what was left out is
    said on standard error; while another process indexes the folder, what it has saved
    is searched.

    Raises:
        ClipError: See `update_index`.
    """
    folder = Path(folder).resolve()
    try:
        images, changes = update_index(clip, folder)
    except Busy as busy:
        images, changes = saved_index(index_file(clip, folder)), None
        if images is None:
            raise
        _say(f"{busy} {len(images.items)} pictures are searched")
    for fault in changes.unreadable if changes else ():
        _say(f"left out: {fault}")
    if changes and changes.read:
        _say(f"{folder}: indexed for this model, {changes}")
    images = dataclasses.replace(images, source=str(folder))
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
    texts = None
    with contextlib.suppress(ClipError):  # Missing or damaged: it is made again.
        texts = Index.load(path)
    if not texts or texts.items.to_dict("list") != captions.to_dict("list"):
        embeds = clip.embed_texts(captions["captions"])
        texts = Index(embeds, captions, clip.fingerprint, images.source)
        texts.save(path)
    return Search(clip, images, texts)


def _say(message: str) -> None:
    print(printable(message), file=sys.stderr)


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
            raise ClipError(
                f"gallery {gallery!r}: no such folder; expected one, or {expected}."
            )
        return open_folder(open_clip(model_file), gallery), "all"
    if Path(model_file).with_name(IMAGE_INDEX_FILE).is_file():
        return Search.load(model_file, open_clip), gallery or "test"
    return open_folder(open_clip(model_file), find_data(config)), gallery or "all"
