"""The pictures of one gallery, and no other file, as the page shows them."""

import base64
import dataclasses
import functools
import os
from pathlib import Path

from PIL import Image

from clip_lib.data.images import FORMATS, small_jpeg
from clip_lib.errors import ClipError, first_line
from clip_lib.retrieval.index import Index


@dataclasses.dataclass(frozen=True)
class Thumbnails:
    """The pictures that the page may show.

    Attributes:
        folder: Where they lie, resolved. Nothing outside is read: an index may come
            from a stranger, and a link in the folder may lead anywhere.
    """

    folder: Path

    @classmethod
    def of(cls, images: Index) -> "Thumbnails":
        """Return those of the folder that all paths of an index share.

        Raises:
            ClipError: If the user's home lies in that folder: the index could then name
                any file.
        """
        places = {os.path.dirname(path) for path in images.items["paths"]}
        folder = Path(os.path.commonpath({Path(place).resolve() for place in places}))
        if Path.home().resolve().is_relative_to(folder):
            raise ClipError(f"an index of pictures from all over {folder}: refused.")
        return cls(folder)

    def name(self, path: str) -> str:
        """Return a picture's sub-folder and file name, such as ``dog/dog_001.jpg``."""
        return Path(os.path.relpath(path, self.folder)).as_posix()

    def file(self, path: str) -> Path | None:
        """Return a picture's file; None if it is gone or lies outside the folder."""
        try:
            real = Path(path).resolve(strict=True)
        except (ValueError, OSError):  # ValueError: a zero byte in the path.
            return None
        return real if real.is_relative_to(self.folder) and real.is_file() else None

    def uri(self, path: str) -> str:
        """Return a picture as a ``data:`` address: a JPEG of at most 400 pixels a side.

        Empty if it is not a picture, is gone or lies outside the folder.
        """
        try:
            about = (real := self.file(path)) and real.stat()
            return _small(real, about.st_mtime_ns, about.st_size) if about else ""
        except (ClipError, OSError):
            return ""


def media_type(path: Path) -> str:
    """Return the kind of a picture by its content; ClipError if it is none."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            return Image.MIME[picture.format]
    except (OSError, SyntaxError, ValueError) as error:
        raise ClipError(f"{path}: not a picture ({first_line(error)}).") from error


@functools.lru_cache(maxsize=1000)  # Some 20 kB each.
def _small(path: Path, mtime_ns: int, size: int) -> str:
    """Shrink a picture; a changed file has another time or size."""
    return "data:image/jpeg;base64," + base64.b64encode(small_jpeg(path, 400)).decode()
