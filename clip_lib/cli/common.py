"""Everything that the commands share: options, answers, warnings.

The modules of this room import nothing that takes long; each command imports what it
needs once it runs.
"""

import argparse
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from clip_lib.errors import ClipError

OPTIONS = {
    "--data": "data folder, or 'scenes' for the drawn scenes",
    "--gallery": "train, validation, test (the default) or all of the model's data; an "
    "indexed folder; or an index file",
    "--model": "a CLIP, with its vocabulary and indexes beside it (models/...)",
    "--models": "folder of the run's models (models/)",
    "--strategy": "devices for CLIP: mirrored (all GPUs), mirrored:N or multiworker",
}
"""Options of several commands, and their help."""
DEBUG = {"action": "store_true", "help": "show the traceback of an error"}
"""An option that may stand before a command or after it."""


class Answer(NamedTuple):
    """The outcome of a command.

    Attributes:
        text: Printed for a person.
        value: Printed as JSON for a program, with --json.
        status: The exit status.
        then: What remains to be done once it is printed.
    """

    text: str = ""
    value: object = None
    status: int = 0
    then: Callable[[], object] = bool


def add(choices, name: str, call, options: str = "") -> argparse.ArgumentParser:
    """Add a command to a parser's subparsers.

    Args:
        choices: The subparsers.
        name: The command.
        call: (arguments, config) -> `Answer`; its docstring is the help.
        options: Names among `OPTIONS`, with spaces between them.
    """
    about = inspect.getdoc(call) or ""
    command = choices.add_parser(
        name,
        help=about.partition("\n")[0],
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option in options.split():
        command.add_argument(option, help=OPTIONS[option])
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--debug", **DEBUG | {"default": argparse.SUPPRESS})
    command.set_defaults(call=call)
    return command


def print_answer(answer: Answer, as_json: bool) -> None:
    """Print an answer in one of its two forms."""
    text, value = answer.text, answer.value
    if as_json and hasattr(value, "itertuples"):
        from clip_lib.retrieval.answers import answer_records

        value = answer_records(value)
    if as_json:
        text = json.dumps(value, indent=2, ensure_ascii=False)
    if text:
        print(text, flush=True)


def warn(message: str) -> None:
    """Print to standard error."""
    print(message, file=sys.stderr)


def warn_of_words(clip, text: str) -> None:
    """Name the words of a text that the model never saw."""
    from clip_lib.data.vocabulary import sort_words

    if unknown := dict.fromkeys(sort_words(clip.vectorizer, text)[1]):
        warn(f"words the model never saw: {', '.join(unknown)}")


def warn_of_faults(faults: list[str], word: str = "error") -> int:
    """Print each fault; return the exit status, 1 if there are any."""
    for fault in faults:
        warn(f"{word}: {fault}")
    return 1 if faults else 0


def save_figure(figure, path: str) -> None:
    """Write a figure in the format that its suffix names."""
    from clip_lib.atomic import replacing

    formats = figure.canvas.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in formats:
        raise ClipError(f"{path}: expected a name ending in .{', .'.join(formats)}.")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, bbox_inches="tight")
