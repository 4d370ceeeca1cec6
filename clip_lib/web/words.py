"""The words of the search page, in English and in French; ``words.toml`` holds them."""

import re
import tomllib
from pathlib import Path

_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _spaced(french: str) -> str:
    """Let no line break before or after these signs, as French puts a space there."""
    return re.sub(r" (?=[:;?!»])|(?<=«) ", "\u00a0", french)


ENGLISH = {key: both["en"] for key, both in _TABLES["words"].items()}
FRENCH = {key: _spaced(both["fr"]) for key, both in _TABLES["words"].items()}
GRADIO_FRENCH = {said: _spaced(french) for said, french in _TABLES["gradio"].items()}


def words_for(accepted: str | None) -> dict[str, str]:
    """Return the words for an ``Accept-Language`` header, English by default."""
    first = re.split("[,;]", accepted or "")[0].strip().lower()
    return FRENCH if first.split("-")[0] == "fr" else ENGLISH


def number(value: float, digits: int, words: dict[str, str]) -> str:
    """Write a number as the language does: 0.41 or 0,41; zero has no sign."""
    text = f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\u2212")
    return text.replace(".", ",") if words is FRENCH else text


def percent(share: float, words: dict[str, str]) -> str:
    """Write a share as the language does: 21.9% or 21,9 %."""
    return number(100 * share, 1, words) + ("\u00a0%" if words is FRENCH else "%")
