"""Find the data: the configured folder, data/flickr, a download, or drawn scenes.

``captions.csv`` marks a complete folder. It is moved into place last: after an
interruption the same call starts again.
"""

import os
import re
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from clip_lib.config import Config
from clip_lib.data.captions_table import TABLE
from clip_lib.errors import ClipError, first_line
from clip_lib.scenes.folder import MARKER, draw_scenes

ARCHIVE_URL = "https://www.lirmm.fr/~poncelet/Ressources/flickr_subset2.zip"
ARCHIVE_HASH = None
"""Of the course's archive, as "sha256:..."; None: not known yet, so not compared."""
# Far above the course's archive: these limits only stop a zip bomb.
MAX_BYTES = 2 * 1024**3
MAX_ENTRIES = 100_000
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError)
"""What zipfile raises, for one damage or another."""
DEFAULT_FOLDER = Path("data/flickr")
SCENES_FOLDER = Path("data/scenes")
SCENES = "scenes"
"""Value of `Config.dataset_dir` that asks for the drawn scenes, without a download."""
FALLBACK = """{line}
The course's photographs are not here and could not be downloaded:
  {error}
Falling back on DRAWN SCENES: everything runs, but no result says anything about
photographs. Put the archive into {folder}/, as it is, or name your own
folder in CLIP_DATA_DIR.
{line}"""


def find_folder(config: Config) -> tuple[Path, bool]:
    """Find the data folder, in the order above.

    Returns:
        The folder that holds ``captions.csv``, and whether it holds drawn scenes.

    Raises:
        ClipError: If ``config.dataset_dir`` names a folder that does not exist, or a
            zip archive in data/flickr is unusable.
    """
    if config.dataset_dir == SCENES:
        return draw_scenes(SCENES_FOLDER), True
    if config.dataset_dir:
        folder = Path(config.dataset_dir)
        if not folder.is_dir():
            raise ClipError(f"{folder}: no such data folder.")
        folder = _unwrapped(folder)
        return folder, (folder / MARKER).is_file()
    for archive in DEFAULT_FOLDER.glob("*.zip"):
        unpack_archive(archive, DEFAULT_FOLDER)
    try:
        return download_archive(_unwrapped(DEFAULT_FOLDER)), False
    except ClipError as error:
        about = {"line": "!" * 78, "error": error, "folder": DEFAULT_FOLDER}
        print(FALLBACK.format(**about), file=sys.stderr, flush=True)
    return draw_scenes(SCENES_FOLDER), True


def _unwrapped(folder: Path) -> Path:
    """Enter the archive's own folder, if it was unpacked by hand with it."""
    inner = [path.parent for path in folder.glob(f"*/{TABLE}")]
    return inner[0] if len(inner) == 1 and not (folder / TABLE).exists() else folder


def download_archive(folder, url: str = ARCHIVE_URL, timeout: float = 15.0) -> Path:
    """Download and unpack a zip archive, unless the folder is already complete.

    ``timeout`` is the longest wait for the server, in seconds per network operation.

    Raises:
        ClipError: If the archive cannot be fetched, is damaged or is unsafe.
    """
    if not (Path(folder) / TABLE).exists():
        import pooch  # It brings requests, which a search does without.
        import requests

        with tempfile.TemporaryDirectory() as workspace:
            http = pooch.HTTPDownloader(progressbar=True, timeout=timeout)
            pooch.get_logger().setLevel("WARNING")
            try:
                archive = pooch.retrieve(
                    url, ARCHIVE_HASH, "archive.zip", workspace, downloader=http
                )
                unpack_archive(archive, folder)
            except (OSError, ValueError) as error:  # ValueError: another hash.
                cause = " ".join(str(error).split()).rstrip(".")
                reasons = re.findall(r"\[Errno -?\d+\] ([\w ]+)", cause)
                if reasons and isinstance(error, requests.ConnectionError):
                    cause = f"no connection ({reasons[-1]})"
                raise ClipError(f"{url}: {cause}.") from error
    return Path(folder)


def unpack_archive(archive, folder) -> None:
    """Unpack a zip archive, unless the folder is already complete.

    The archive stays, and so do files of the folder such as README.md.

    Raises:
        ClipError: If the archive cannot be read, is damaged or is unsafe.
    """
    folder = Path(folder).resolve()
    if (folder / TABLE).exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder: on the same disk, where a rename moves it at once.
    beside = {"prefix": f".{folder.name}-", "dir": folder.parent}
    try:
        with (
            tempfile.TemporaryDirectory(**beside) as unpacked,
            zipfile.ZipFile(archive) as opened,
        ):
            entries = opened.infolist()
            size = sum(entry.file_size for entry in entries)
            if len(entries) > MAX_ENTRIES or size > MAX_BYTES:
                raise ClipError(f"{len(entries)} entries, {size} bytes: too large")
            # Keeps every entry inside, makes no links, never writes more than was
            # announced, compares the checksums, refuses encrypted entries.
            opened.extractall(unpacked)
            # The archive may have one leading folder, such as flickr_subset2/.
            unpacked = Path(unpacked)
            tables = [*unpacked.glob(TABLE)] or [*unpacked.glob(f"*/{TABLE}")]
            if len(tables) != 1 or not tables[0].is_file():
                raise ClipError(f"found {len(tables)} {TABLE} instead of one file")
            folder.mkdir(exist_ok=True)
            for path in tables[0].parent.iterdir():
                junk = path.name in ("__MACOSX", TABLE)
                if not junk and not (folder / path.name).exists():
                    os.replace(path, folder / path.name)
            os.replace(tables[0], folder / TABLE)
    except (*DAMAGED, OSError) as error:
        raise ClipError(
            f"{archive}: expected an intact and safe zip archive with {TABLE} "
            f"({first_line(error)})."
        ) from error
