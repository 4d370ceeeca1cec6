"""Command line: ``python -m clip_lib COMMAND``; see `parser`."""

import contextlib
import importlib
import os
import sys

from clip_lib.cli.parser import parse
from clip_lib.config import Config
from clip_lib.errors import ClipError, printable

OPTIONAL = {"gradio": "requirements-app.txt", "openai": "requirements-enrich.txt"}
OPTIONAL |= {"nbformat": "requirements.txt", "nbclient": "requirements.txt"}
"""Packages that only one command needs, and the file that installs each."""


def _set_environment(arguments) -> None:
    """Turn options into variables: the notebook runs in another process."""
    preset = getattr(arguments, "preset", None) or os.environ.get("CLIP_PRESET")
    if getattr(arguments, "quick", False):
        preset = "quick"
    models = getattr(arguments, "models", None)
    if preset == "quick" and not models and not os.environ.get("CLIP_MODEL_DIR"):
        models = "models/quick"  # A trial must not overwrite a trained model.
    for variable, value in (
        ("CLIP_DATA_DIR", getattr(arguments, "data", None)),
        ("CLIP_MODEL_DIR", models),
        ("CLIP_PRESET", preset),
    ):
        if value:
            os.environ[variable] = value


def main(argv=None) -> int:
    """Run one command; return its exit status.

    What users cause, a `ClipError` or an OSError, is one line; any other exception is a
    bug and shows its traceback.
    """
    arguments = parse(argv)
    _set_environment(arguments)
    try:
        # With --json, standard output holds the answer alone.
        aside = sys.stderr if arguments.json else sys.stdout
        with contextlib.redirect_stdout(aside):
            module = importlib.import_module(f"clip_lib.cli.{arguments.module}")
            command = getattr(module, arguments.command)
            answer = command(arguments, Config.from_environment())
        answer.show(arguments.json)
        answer.then()
        return answer.status
    except BrokenPipeError:
        # Whatever reads our output, such as `head`, has read enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (ClipError, OSError, ModuleNotFoundError) as error:
        needed = OPTIONAL.get(getattr(error, "name", None))
        if arguments.debug or (isinstance(error, ModuleNotFoundError) and not needed):
            raise
        hint = f"; {sys.executable} -m pip install -r {needed}" if needed else ""
        print(f"error: {printable(error)}{hint}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
