"""Small tables as text: a new place, pose or story is a new line and no new code."""

import re


def read_table(text):
    """Return {name: value} from lines ``name: value``, which may run over lines."""
    cells = re.split(r"(?m)^(\w+):", text)[1:]
    pairs = zip(cells[::2], cells[1::2], strict=True)
    return {name: " ".join(value.split()) for name, value in pairs}
