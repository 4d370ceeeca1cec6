"""The folder of the uploads: removed at the end, or else by the next server."""

import contextlib
import shutil
import tempfile
import time
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX, LOCK = "clip_uploads_", "lock"


def make_folder() -> tuple[tempfile.TemporaryDirectory, FileLock]:
    """Make a folder that lasts as long as the program and holds its lock.

    Folders left by killed servers are removed: nobody holds their locks any more.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if (folder / LOCK).is_file():
            try:
                with FileLock(folder / LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
            except (Timeout, OSError):  # In use, or another user's.
                pass
    folder = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
    lock = FileLock(Path(folder.name, LOCK))
    lock.acquire()
    return folder, lock


def size(folder: Path) -> int:
    """Return the bytes of a folder's files, which may vanish meanwhile.

    What remains of uploads that broke off is removed after ten minutes, as Gradio does
    with the others.
    """
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            about = file.stat()
            total += about.st_size
            if file.match("tmp*") and time.time() - about.st_mtime > 600:
                file.unlink()
    return total
