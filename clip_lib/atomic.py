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
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
