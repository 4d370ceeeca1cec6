"""Command line: ``python -m clip_lib COMMAND``; see `parser`."""

import os
import sys

from clip_lib.cli.parser import parse
from clip_lib.config import Config


def _set_environment(arguments) -> None:
    """Turn options into variables: the notebook runs in another process."""
    quick = getattr(arguments, "quick", False)
    models = getattr(arguments, "models", None)
    if quick and not models and not os.environ.get("CLIP_MODEL_DIR"):
        models = "models/quick"  # A trial must not overwrite a trained model.
    for variable, value in (
        ("CLIP_DATA_DIR", getattr(arguments, "data", None)),
        ("CLIP_MODEL_DIR", models),
        ("CLIP_STRATEGY", getattr(arguments, "strategy", None)),
        ("CLIP_PRESET", "quick" if quick else getattr(arguments, "preset", None)),
    ):
        if value:
            os.environ[variable] = value


def main(argv=None) -> int:
    """Run one command; return its exit status."""
    arguments = parse(argv)
    _set_environment(arguments)
    try:
        status = arguments.call(arguments, Config.from_environment()) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # What reads our output, `head` for instance, has read enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
