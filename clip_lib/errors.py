"""What users are told: an exception for what they can put right, and messages."""

import contextlib
import os
import re
import sys

_CONTROL = r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"


class ClipError(ValueError):
    """A fault of the data, the files or the settings; its message says what to do.

    The command line prints it as one sentence. Any other exception is a bug, and shows
    its traceback.
    """


def first_line(error: Exception) -> str:
    """Return the first line of a library's long message, at most 200 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def printable(text: object) -> str:
    r"""Show control characters as Python writes them: ``\x1b``, ``\n``.

    File names and captions of strangers may hold any: they would command the terminal,
    forge a line, or turn the direction of the writing.
    """
    return re.sub(_CONTROL, lambda found: ascii(found[0])[1:-1], str(text))


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
