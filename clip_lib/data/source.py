"""Where the data comes from, in the order in which the places are tried."""

import sys
from pathlib import Path

from clip_lib.config import Config
from clip_lib.data.download import (
    ARCHIVE_URL,
    DownloadError,
    download_archive,
    unpack_archive,
)
from clip_lib.errors import ClipError
from clip_lib.scenes import draw_scenes

DEFAULT_FOLDER = Path("data/flickr")
SCENES_FOLDER = Path("data/scenes")
SCENES = "scenes"
"""Value of `Config.dataset_dir` that asks for the drawn scenes, without a download."""


def find_folder(config: Config) -> tuple[Path, bool]:
    """Find the data: the config's folder, data/flickr, a download, or drawn scenes.

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
        return _unwrapped(folder), False
    for archive in DEFAULT_FOLDER.glob("*.zip"):
        unpack_archive(archive, DEFAULT_FOLDER)
    try:
        return download_archive(_unwrapped(DEFAULT_FOLDER)), False
    except DownloadError as error:
        _announce_scenes(error)
    return draw_scenes(SCENES_FOLDER), True


def _unwrapped(folder: Path) -> Path:
    """Enter the archive's own folder, where it was unpacked by hand with it."""
    inner = [path.parent for path in folder.glob("*/captions.csv")]
    return inner[0] if len(inner) == 1 and not _complete(folder) else folder


def _complete(folder: Path) -> bool:
    return (folder / "captions.csv").exists()


def _announce_scenes(error: Exception) -> None:
    """Say so loudly that nobody takes results on drawings for results on photos."""
    line = "!" * 78
    print(
        f"{line}\nThe course's photographs are not here and could not be downloaded:\n"
        f"  {error}\nFalling back on DRAWN SCENES: everything runs, but no figure says "
        f"anything about\nphotographs. Put {ARCHIVE_URL}\ninto {DEFAULT_FOLDER}/, as "
        f"it is, or name your own folder in CLIP_DATA_DIR.\n{line}",
        file=sys.stderr,
        flush=True,
    )
