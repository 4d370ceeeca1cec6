"""Write to a temporary name, then rename: no file is ever half written."""

import contextlib
import os
from pathlib import Path


@contextlib.contextmanager
def replacing(path):
    """Give a temporary path; what was written there replaces ``path`` at the end.

    Args:
        path: The file to write. Its folder is made if needed. Its suffix is kept, for
            writers that choose a format by it.

    Yields:
        Path to write to, in the same folder. If the block fails it is removed, and
        ``path`` stays as it was.

    Raises:
        OSError: If the disk is full or cannot be written to: it names ``path``.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        # The temporary name means nothing to a user; a full disk names no file at all.
        if not error.errno or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # Not there, or on a disk that is gone.
            temporary.unlink()
