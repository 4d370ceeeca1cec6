"""Keep C libraries from writing to standard error, where Python's settings end."""

import contextlib
import os
import sys


@contextlib.contextmanager
def without_stderr():
    """Divert file descriptor 2 to nowhere."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
