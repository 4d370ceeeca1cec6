"""The one exception for what users cause."""


class ClipError(ValueError):
    """A fault of the data, the files or the settings; its message says what to do.

    The command line prints it as one sentence. Any other exception is a bug, and shows
    its traceback.
    """


def first_line(error: Exception) -> str:
    """Return the first line of a library's long message, at most 200 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
