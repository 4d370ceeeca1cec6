"""Small copies of the pictures of one gallery, and of nothing else on the disk."""

import base64
import dataclasses
import functools
import io
import os
from pathlib import Path

from clip_lib.data.images import open_picture
from clip_lib.errors import ClipError
from clip_lib.retrieval.index import Index

SIDE = 320
"""Longest side of a copy, pixels."""
KEPT = 1000
"""Copies kept in memory, some 15 kB each."""


@dataclasses.dataclass(frozen=True)
class Thumbnails:
    """The pictures that a page may show.

    Attributes:
        folder: Where they lie. Nothing outside is read: an index may be a stranger's,
            and a link in the folder may lead anywhere.
    """

    folder: Path

    @classmethod
    def of(cls, index: Index) -> "Thumbnails":
        """Return those of an index: of the folder that all its paths share.

        Args:
            index: Of pictures: column paths.

        Raises:
            ClipError: If the user's own folder lies in that folder: it would let the
                index name any file.
        """
        places = {os.path.dirname(path) for path in index.items["paths"]}
        folder = Path(os.path.commonpath({Path(place).resolve() for place in places}))
        if Path.home().resolve().is_relative_to(folder):
            raise ClipError(
                f"an index of pictures from all over {folder}: expected one folder, "
                "within the user's or outside it."
            )
        return cls(folder)

    def uri(self, path: str) -> str:
        """Return a picture as a ``data:`` address: a JPEG of at most 320 pixels a side.

        Returns:
            An empty string if it is not a picture, is gone or lies outside the folder.
        """
        try:
            real = Path(path).resolve()
            if not real.is_relative_to(self.folder):
                return ""
            about = real.stat()
            return _copy(str(real), about.st_mtime_ns, about.st_size)
        except (ValueError, OSError):
            return ""


@functools.lru_cache(maxsize=KEPT)
def _copy(path: str, mtime_ns: int, size: int) -> str:
    """Shrink a picture; a changed file is another one."""
    picture = open_picture(path)
    picture.thumbnail((SIDE, SIDE))
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(stored.getvalue()).decode()
