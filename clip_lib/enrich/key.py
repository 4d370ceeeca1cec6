"""The API key: never shown, never stored."""

import os
from pathlib import Path

from clip_lib.errors import ClipError


def read_key(path: str | None) -> str:
    """Read the API key of a file, or else of OPENAI_API_KEY; it may be empty.

    Raises:
        ClipError: If the file cannot be read or is empty, or the key is not one word.
    """
    if path is None:
        key, place = os.environ.get("OPENAI_API_KEY", "").strip(), "OPENAI_API_KEY"
    else:
        place = f"--api-key-file {path}"
        try:
            key = Path(path).read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            # Not the error itself: it could quote the file.
            raise ClipError(f"{place}: not a text file that can be read.") from error
        if not key:
            raise ClipError(f"{place}: empty, expected a key.")
    if not all("!" <= character <= "~" for character in key):
        raise ClipError(f"{place}: expected a key alone, on one line.")
    return key
