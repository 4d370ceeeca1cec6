"""Does the text of the report agree with the numbers? Two macros of it say so.

``\\resultat{key}`` prints a number: the key must exist. ``\\constat{a > b}`` or
``\\constat{a > 2*b}`` prints nothing: it notes, beside a sentence, what the sentence
relies on; a and b are keys, or b is a number. What a new measure makes false is found.
"""

import difflib
import re
from pathlib import Path

from clip_lib.handin.report import GENERATED
from clip_lib.handin.report_numbers import Numbers

_MACRO = r"\\%s\{([^{}]*)\}"


def check_text(folder, numbers: Numbers) -> list[str]:
    """Find where the text of the report and the numbers disagree.

    Args:
        folder: Where the text lies; its generated files are not read.
        numbers: What `write_generated` returned.

    Returns:
        A sentence a fault, beginning with file and line.
    """
    faults = []
    for path in sorted(Path(folder).rglob("*.tex")):
        if GENERATED in path.relative_to(folder).parts:
            continue
        for place, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            line = re.sub(r"(?<!\\)%.*", "", line)
            keys, claims = (
                re.findall(_MACRO % name, line) for name in ("resultat", "constat")
            )
            found = [_missing(key, numbers) for key in keys]
            found += [_false(claim, numbers) for claim in claims]
            faults += [f"{path}:{place}: {fault}" for fault in found if fault]
    return faults


def _missing(key: str, numbers: Numbers) -> str:
    if key in numbers.texts:
        return ""
    near = difflib.get_close_matches(key, numbers.texts, 1)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    return f"no number is called {key!r}{hint}."


def _false(claim: str, numbers: Numbers) -> str:
    match = re.fullmatch(r"(\S+) ([<>]) (?:([\d.]+)\*)?(\S+)", claim.strip())
    if not match:
        return f"{claim!r}: expected a claim such as a > b or a > 2*b."
    left, sign, factor, right = match.groups()
    values = []
    for name in (left, right):
        try:
            value = numbers.values.get(name)
            values.append(float(name) if value is None else value)
        except ValueError:
            return _missing(name, numbers) or f"{name!r} is no number to compare."
    values[1] *= float(factor or 1)
    if values[0] > values[1] if sign == ">" else values[0] < values[1]:
        return ""
    shown = " and ".join(f"{value:.4g}" for value in values)
    return f"the text relies on {claim}, but these are {shown}."
