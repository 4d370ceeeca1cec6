"""Small copies of the pictures of one gallery, and of no other file."""

import base64
import dataclasses
import functools
import io
import os
from pathlib import Path

from clip_lib.data.images import open_picture
from clip_lib.errors import ClipError
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

    def uri(self, path: str) -> str:
        """Return a picture as a ``data:`` address: a JPEG of at most 320 pixels a side.

        Empty if it is not a picture, is gone or lies outside the folder.
        """
        try:
            real = Path(path).resolve()
            about = real.stat()
            inside = real.is_relative_to(self.folder)
            return _shrunk(real, about.st_mtime_ns, about.st_size) if inside else ""
        except (ValueError, OSError):  # ValueError: a zero byte in the path.
            return ""


@functools.lru_cache(maxsize=1000)  # Some 15 kB each.
def _shrunk(path: Path, mtime_ns: int, size: int) -> str:
    """Shrink a picture; a changed file has another time or size."""
    picture = open_picture(path)
    picture.thumbnail((320, 320))
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(stored.getvalue()).decode()
