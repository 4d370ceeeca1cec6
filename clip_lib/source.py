"""Where the data comes from, in the order in which the places are tried."""

import sys
from pathlib import Path

from clip_lib.config import Config
from clip_lib.download import ARCHIVE_URL, download_archive
from clip_lib.scenes import draw_scenes

DEFAULT_FOLDER = Path("data/flickr")
SCENES_FOLDER = Path("data/scenes")
SCENES = "scenes"
"""Value of `Config.dataset_dir` that asks for the drawn scenes, without a download."""


def find_folder(config: Config) -> tuple[Path, bool]:
    """Find the data: the config's folder, data/flickr, a download, or drawn scenes.

    Returns:
        The folder, and whether it holds drawn scenes.

    Raises:
        ValueError: If ``config.dataset_dir`` names a folder that does not exist.
    """
    if config.dataset_dir and config.dataset_dir != SCENES:
        folder = Path(config.dataset_dir)
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such data folder.")
        return folder, False
    if config.dataset_dir != SCENES:
        try:
            return download_archive(DEFAULT_FOLDER), False
        except ValueError as error:
            _announce_scenes(error)
    return draw_scenes(SCENES_FOLDER), True


def _announce_scenes(error: Exception) -> None:
    """Say so loudly that nobody takes results on drawings for results on photos."""
    line = "!" * 78
    print(
        f"{line}\nThe course's photographs are not here and could not be downloaded:\n"
        f"  {error}\nFalling back on DRAWN SCENES: everything runs, but no figure says "
        f"anything about\nphotographs. Unpack {ARCHIVE_URL}\ninto {DEFAULT_FOLDER}/, "
        f"or name your own folder in CLIP_DATA_DIR.\n{line}",
        file=sys.stderr,
        flush=True,
    )
