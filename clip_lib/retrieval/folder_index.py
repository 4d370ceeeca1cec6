"""Keep the index of any folder of photos up to date.

A picture is read again only if its size or modification time differs from what the
index noted, as in rsync, and no known picture has the same content: one that was moved,
renamed or copied is not read again. The indexes, one per model and folder, lie in the
user's cache directory: never among the photos, nor beside the model, where they would
be handed in or committed with it.
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
from tqdm import tqdm

from clip_lib.atomic import replacing
from clip_lib.data.captions_table import ENRICHED, ORIGIN, READ, TABLE, read_records
from clip_lib.data.images import OTHER_KINDS, SUFFIXES, date_taken, load_image
from clip_lib.errors import ClipError
from clip_lib.retrieval.index import Index, in_cache
from clip_lib.retrieval.search import Clip

CHUNK = 64
"""Pictures embedded, and saved, at a time: what is in memory, and all that a killed
process loses."""
FILE = ["paths", "size", "mtime_ns"]
COLUMNS = [*FILE, "content", "taken"]
"""What the index notes of a picture: its file, a hash of its content, `date_taken`."""


class Busy(ClipError):
    """Another process is at work on the same index."""


@dataclasses.dataclass(frozen=True)
class Changes:
    """What an update did.

    Attributes:
        read, kept, moved: Numbers of pictures embedded, known as they are, and known
            under another name or with another time.
        unreadable: A sentence for each picture left out.
        skipped: Numbers of files of a kind that is not read, see `OTHER_KINDS`.
    """

    read: int
    kept: int
    moved: int
    unreadable: list[str]
    skipped: dict[str, int]

    def __str__(self) -> str:
        """Return everything on one line."""
        numbers = [f"{self.read} read, {self.kept} kept"]
        numbers += [f"{self.moved} moved"] * bool(self.moved)
        numbers += [f"{len(self.unreadable)} unreadable"]
        if self.skipped:
            kinds = [f"{count} {kind}" for kind, count in self.skipped.items()]
            numbers += [f"skipped {' and '.join(kinds)}"]
        pip = f"{sys.executable} -m pip install pillow-heif"
        hint = f" (HEIC: {pip})" if "HEIC" in self.skipped else ""
        return ", ".join(numbers) + hint


def index_file(clip: Clip, folder) -> Path:
    """Return the file of a model's index of a folder."""
    folder = Path(folder).resolve()
    # Two folders may both be called photos.
    key = f"{clip.fingerprint} {folder}".encode("utf-8", "surrogateescape")
    name = re.sub(r"\W+", "_", folder.name)[:40]
    digest = hashlib.sha256(key).hexdigest()[:16]
    return in_cache(f"{name}_{digest}.npz")


def embed_files(clip: Clip, paths) -> tuple[list[str], np.ndarray, list[str]]:
    """Embed the picture files that can be read, with a progress bar.

    Returns:
        The R paths that could be read; their unit vectors (R, D); and a sentence for
        each of the others, which names it.
    """
    read, faults, embeds = [], [], [np.empty((0, clip.width), "float32")]
    for chunk in _embed_chunks(clip, [str(path) for path in paths]):
        read += chunk[0]
        embeds.append(chunk[1])
        faults += chunk[2].values()
    return read, np.concatenate(embeds), faults


def _embed_chunks(clip: Clip, paths: list[str]):
    """Yield paths, unit vectors, and path -> fault, for `CHUNK` pictures at a time."""

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

    starts = tqdm(range(0, len(paths), CHUNK), "Embedding", delay=2, leave=False)
    with ThreadPoolExecutor() as pool:
        for start in starts:
            chunk = paths[start : start + CHUNK]
            loaded = dict(zip(chunk, pool.map(load, chunk), strict=True))
            faults = {path: loaded[path] for path in chunk}
            faults = {p: found for p, found in faults.items() if isinstance(found, str)}
            read = [path for path in chunk if path not in faults]
            embeds = np.empty((0, clip.width), "float32")
            if read:
                images = np.stack([loaded[path] for path in read])
                embeds = clip.image_encoder.predict_on_batch(images)
            yield read, embeds, faults


def list_pictures(folder) -> tuple[list[tuple[str, int, int]], dict[str, int]]:
    """List the pictures of a folder and its subfolders.

    Of a data folder those of its table; of any other all files named like pictures, but
    no hidden files and folders, and no links that are broken or lead out of the folder.

    Returns:
        For each its absolute path, size in bytes and time of the last change in
        nanoseconds; and the numbers of other files, by kind, see `OTHER_KINDS`.

    Raises:
        ClipError: If there is no such folder, or no picture in it; see `read_captions`.
    """
    folder, skipped = Path(folder).resolve(), collections.Counter()
    if not folder.is_dir():
        raise ClipError(f"{folder}: no such folder of photos.")
    if (captions := read_captions(folder)) is not None:
        paths = captions["image_paths"].unique()
        paths = [path for path in paths if Path(path).resolve().is_relative_to(folder)]
    else:
        paths = sorted(_walk(folder, skipped))
    found = []
    for path in paths:
        # A missing one is named where it is read.
        about = os.stat(path if os.path.isfile(path) else folder)
        found.append((str(path), about.st_size, about.st_mtime_ns))
    if not found:
        listing = ", ".join(sorted(SUFFIXES))
        others = "".join(f"; {count} {kind}" for kind, count in skipped.items())
        raise ClipError(
            f"{folder}: no picture in it; expected files named {listing}{others}."
        )
    return found, dict(sorted(skipped.items()))


def _walk(folder: Path, skipped: collections.Counter):
    """Yield the files named like pictures, in any order; count the other kinds."""
    kinds = {suffix: kind for kind, names in OTHER_KINDS.items() for suffix in names}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            suffix = os.path.splitext(name)[1].lower()
            path = os.path.join(place, name)
            if name.startswith(".") or not os.path.isfile(path):
                continue
            if suffix in SUFFIXES:
                linked = os.path.islink(path)  # Others need no slow resolve().
                if not linked or Path(path).resolve().is_relative_to(folder):
                    yield path
            elif suffix in kinds:
                skipped[kinds[suffix]] += 1


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


def update_index(clip: Clip, folder) -> tuple[Index, Changes]:
    """Make a model's index of a folder, or bring it up to date.

    Each `CHUNK` of pictures is saved once it is read: an interrupted or killed process
    leaves it to the next one, which goes on from there.

    Returns:
        The index, with the columns `COLUMNS`, in the order of `list_pictures`.

    Raises:
        Busy: If another process is making this index.
        ClipError: If there is no such folder, or no readable picture in it.
    """
    files, skipped = list_pictures(folder)
    path = index_file(clip, folder)
    known, faults = saved_index(path), _faults(path)
    good = [file for file in files if file not in faults]
    if known is None or _parts(path) or _files(known) != good:
        with _alone(path, folder):
            return _update(clip, folder, files, skipped)
    unreadable = [faults[file] for file in files if file in faults]
    return known, Changes(0, len(good), 0, unreadable, skipped)


def _update(clip: Clip, folder, files, skipped) -> tuple[Index, Changes]:
    path = index_file(clip, folder)
    # Another process may have just ended.
    known, faulty = saved_index(path), _faults(path)
    rows = (
        {} if known is None else {file: row for row, file in enumerate(_files(known))}
    )
    places = {file: rows[file] for file in files if file in rows}
    kept, items, embeds = len(places), [], []
    if known is not None:
        items, embeds = [known.items], [known.embeds]
        places |= _same_content(known, [file for file in files if file not in rows])
    moved, count = len(places) - kept, len(rows)
    seen = {*places, *faulty}
    stale, read = {file[0]: file for file in files if file not in seen}, 0
    for paths, vectors, wrong in _embed_chunks(clip, list(stale)):
        faulty |= {stale[one]: sentence for one, sentence in wrong.items()}
        if not paths:
            continue
        about = [(*stale[one], _hash(one), date_taken(one)) for one in paths]
        part = Index(vectors, pd.DataFrame(about, columns=COLUMNS), clip.fingerprint)
        part.save(_parts_folder(path) / f"{time.time_ns()}.npz")
        places |= {stale[one]: count + read + row for row, one in enumerate(paths)}
        items.append(part.items)
        embeds.append(vectors)
        read += len(paths)
    faults = [faulty[file] for file in files if file in faulty]
    files = [file for file in files if file in places]
    if not files:
        raise ClipError(f"{folder}: not one of its pictures is readable ({faults[0]})")
    order = [places[file] for file in files]
    table = pd.concat(items, ignore_index=True).iloc[order].reset_index(drop=True)
    table[FILE] = pd.DataFrame(files, columns=FILE)
    source = str(Path(folder).resolve())
    index = Index(np.concatenate(embeds)[order], table, clip.fingerprint, source)
    if known is None or _parts(path) or _files(known) != files:
        index.save(path)
    with replacing(_faults_file(path)) as temporary:
        # One that cannot even be opened may be allowed to, or be back, tomorrow.
        stays = [item for item in faulty.items() if _hash(item[0][0])]
        temporary.write_text(json.dumps(stays), encoding="utf-8")
    shutil.rmtree(_parts_folder(path), ignore_errors=True)
    return index, Changes(read, kept, moved, faults, skipped)


def _same_content(known: Index, files) -> dict[tuple, int]:
    """Find the rows of pictures that have another name or time than the index noted."""
    sizes = set(known.items["size"])
    rows = {content: row for row, content in enumerate(known.items["content"])}
    rows.pop("", None)
    found = {file: rows.get(_hash(file[0])) for file in files if file[1] in sizes}
    return {file: row for file, row in found.items() if row is not None}


def _hash(path: str) -> str:
    """Hash all of a file: scans on white paper begin and end alike.

    It was or will be read anyway, and takes a twentieth of the time of its decoding.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
    except OSError:
        return ""


def _files(index: Index) -> list[tuple[str, int, int]]:
    return list(zip(*(index.items[name].tolist() for name in FILE), strict=True))


def _faults_file(path: Path) -> Path:
    return path.with_suffix(".json")


def _faults(path: Path) -> dict[tuple[str, int, int], str]:
    """Return why each file could not be read; it is not retried until it changes."""
    try:
        listed = json.loads(_faults_file(path).read_text(encoding="utf-8"))
        return {tuple(file): sentence for file, sentence in listed}
    except (OSError, ValueError, TypeError):  # Missing or damaged.
        return {}


def _parts_folder(path: Path) -> Path:
    return path.with_suffix(".parts")


def _parts(path: Path) -> list[Path]:
    """List what an interrupted update saved."""
    return sorted(_parts_folder(path).glob("[0-9]*.npz"))


def saved_index(path: Path) -> Index | None:
    """Load an index of the cache, with what an interrupted or running update added.

    None if there is nothing, or nothing that can be used: it is then made again.
    """
    found = []
    for file in (path, *_parts(path)):
        with contextlib.suppress(ClipError):  # Missing, damaged, or of an older kind.
            found.append(Index.load(file))
    found = [index for index in found if {*COLUMNS} <= {*index.items}]
    if len(found) < 2:
        return found[0] if found else None
    items = pd.concat([index.items for index in found], ignore_index=True)
    last = ~items["paths"].duplicated(keep="last").to_numpy()
    embeds = np.concatenate([index.embeds for index in found])[last]
    return dataclasses.replace(
        found[0], embeds=embeds, items=items[last].reset_index(drop=True)
    )


@contextlib.contextmanager
def _alone(path: Path, folder):
    """Hold the lock of an index; the system releases it whatever ends the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise Busy(f"{folder}: another process is indexing it now.") from error
    try:
        yield
    finally:
        lock.release()
