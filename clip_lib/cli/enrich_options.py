"""The options of the command that lengthens captions."""

import argparse
import math

from clip_lib.cli.common import DATA


def _number(text: str, least: float, kind=float):
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not (value >= least and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text}: expected a number from {least} on")
    return value


def _count(text: str) -> int:
    return _number(text, 1, int)


def _amount(text: str) -> float:
    return _number(text, 0)


def _seconds(text: str) -> float:
    return _number(text, 0.1)


def add_options(command) -> None:
    """Add its options to the command."""
    for name, about in (
        ("--url", "address of an OpenAI-compatible endpoint, usually ending in /v1"),
        ("--model", "name of a language model, as the endpoint knows it"),
    ):
        command.add_argument(name, required=True, help=about)
    command.add_argument("--data", metavar="FOLDER", help=DATA)
    command.add_argument(
        "--output", metavar="FOLDER", help="the new data folder (<data>_enriched)"
    )
    command.add_argument(
        "--replace",
        action="store_true",
        help="the enriched caption instead of the original, not beside it",
    )
    command.add_argument(
        "--dry-run", action="store_true", help="show what would be asked; ask nothing"
    )
    command.add_argument(
        "--limit", type=_count, metavar="N", help="a trial: N captions, no folder"
    )
    command.add_argument(
        "--api-key-file", metavar="FILE", help="holds the key (OPENAI_API_KEY)"
    )
    command.add_argument(
        "--cache", metavar="FILE", help="where the answers go (<output>.jsonl)"
    )
    for name, kind, default, about in (
        ("--batch", _count, 5, "captions a request"),
        ("--workers", _count, 4, "requests at a time"),
        ("--per-minute", _amount, 0, "most requests a minute; 0: no limit"),
        ("--timeout", _seconds, 60, "seconds of silence before asking again"),
        ("--price-in", _amount, 0, "of a million tokens sent, in any currency"),
        ("--price-out", _amount, 0, "of a million tokens received"),
    ):
        help_text = f"{about} ({default})"
        command.add_argument(
            name, type=kind, default=default, metavar="N", help=help_text
        )
