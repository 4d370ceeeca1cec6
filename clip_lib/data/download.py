"""Fetch the course's image-caption archive and unpack it safely.

``captions.csv`` marks a complete data set: it is moved into place last, so that after
an interruption the same call simply starts again.
"""

import contextlib
import http.client
import os
import stat
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from clip_lib.errors import ClipError

ARCHIVE_URL = "https://www.lirmm.fr/~poncelet/Ressources/flickr_subset2.zip"
MARK = "captions.csv"
# Far above the course's archive: these limits only stop a zip bomb.
MAX_BYTES = 2 * 1024**3
MAX_ENTRIES = 100_000


class DownloadError(ValueError):
    """The archive could not be fetched, is damaged or is unsafe to unpack."""


def download_archive(
    folder: str | Path, url: str = ARCHIVE_URL, timeout: float = 15.0
) -> Path:
    """Download a zip archive and unpack it, unless the folder is already complete.

    Args:
        folder: Where ``captions.csv``, ``captions/`` and ``images/`` will be.
        url: Address of the archive, http or https.
        timeout: Longest wait for the server, in seconds per network operation.

    Returns:
        The complete folder.

    Raises:
        DownloadError: If the archive cannot be fetched, is damaged or is unsafe.
    """
    folder = Path(folder)
    if not (folder / MARK).exists():
        with _workspace(folder, url) as workspace:
            _fetch(url, workspace / "archive.zip", timeout)
            _unpack(workspace / "archive.zip", workspace / "unpacked", folder)
    return folder


def unpack_archive(zip_path: str | Path, folder: str | Path) -> Path:
    """Unpack a zip archive downloaded by hand, unless the folder is complete.

    Args:
        zip_path: The archive; it is left alone.
        folder: Where ``captions.csv``, ``captions/`` and ``images/`` will be.

    Returns:
        The complete folder.

    Raises:
        DownloadError: If the archive cannot be read, is damaged or is unsafe.
    """
    folder = Path(folder)
    if not (folder / MARK).exists():
        with _workspace(folder, zip_path) as workspace:
            _unpack(Path(zip_path), workspace / "unpacked", folder)
    return folder


@contextlib.contextmanager
def _workspace(folder: Path, source: str | Path) -> Iterator[Path]:
    """Lend a temporary folder beside the target; explain errors in one sentence."""
    library_errors = (OSError, ValueError, EOFError, RuntimeError, zlib.error)
    try:
        # Beside the target means on the same disk, where moving a file is one atomic
        # rename; resolve() keeps this true for a target that links to another disk.
        folder = folder.resolve()
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=f".{folder.name}-", ignore_cleanup_errors=True
        ) as workspace:
            yield Path(workspace)
    except (*library_errors, http.client.HTTPException, zipfile.BadZipFile) as error:
        cause = " ".join(str(error).split()) or repr(error)
        raise DownloadError(
            f"Cannot install {source} in {folder}, expected an intact and safe zip "
            f"archive with {MARK}: {cause}."
        ) from error


def _fetch(url: str, target: Path, timeout: float) -> None:
    # Not keras.utils.get_file: it has no timeout and leaves a half file when killed.
    with urllib.request.urlopen(url, timeout=timeout) as response:
        # Checked here, and not on url, to see through redirections too.
        if not response.url.lower().startswith(("http://", "https://")):
            raise ClipError(f"{response.url} is not an http or https url")
        size = response.length  # None when the server does not announce it
        bar = tqdm(total=size, unit="B", unit_scale=True, desc="Downloading")
        with target.open("wb") as file, bar:
            while chunk := response.read(64 * 1024):
                bar.update(file.write(chunk))
    # read() takes a connection closed too early for a normal end of file.
    received = target.stat().st_size
    if size is not None and received != size:
        raise ClipError(f"received {received} bytes instead of {size}")


def _unpack(zip_path: Path, unpacked: Path, folder: Path) -> None:
    ignored = {"__MACOSX", ".DS_Store"}
    with zipfile.ZipFile(zip_path) as archive:
        entries = [
            entry
            for entry in archive.infolist()
            if ignored.isdisjoint(entry.filename.split("/"))
        ]
        _check_entries(entries)
        for entry in entries:
            # Also compares the checksum, and refuses an encrypted entry.
            archive.extract(entry, unpacked)
    # The archive may have one leading folder, such as flickr_subset2/.
    marks = [*unpacked.glob(MARK)] or [*unpacked.glob(f"*/{MARK}")]
    if len(marks) != 1 or not marks[0].is_file():
        raise ClipError(f"found {len(marks)} {MARK} instead of one file")
    for path in sorted(marks[0].parent.rglob("*")):
        target = folder / path.relative_to(marks[0].parent)
        # The user's own files beside captions.csv, such as README.md, are kept.
        is_kept = target.parent == folder and target.exists()
        if path.is_file() and path != marks[0] and not is_kept:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
    folder.mkdir(parents=True, exist_ok=True)
    os.replace(marks[0], folder / MARK)


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    # The announced sizes can be trusted: zipfile never writes more than that.
    size = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES or size > MAX_BYTES:
        raise ClipError(f"{len(entries)} entries, {size} bytes unpacked: too large")
    for entry in entries:
        name = entry.orig_filename  # before zipfile adapts it to this system
        goes_up = name.startswith("/") or ".." in name.split("/")
        # Harmless on Linux, backslash and colon make folders and drives on Windows.
        if goes_up or any(character in name for character in "\\:\0"):
            raise ClipError(f"entry {name!r} would leave the target folder")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ClipError(f"entry {name!r} is a symbolic link")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ClipError(f"entry {name!r} is neither stored nor deflated")
