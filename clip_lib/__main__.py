"""Command line: ``python -m clip_lib check | run | search | evaluate | clean``."""

import argparse
import os
import sys

from clip_lib import commands
from clip_lib.config import Config

EXAMPLES = """examples:
  python -m clip_lib check ~/photos               is the data sound?
  python -m clip_lib run                          train everything, in the notebook
  python -m clip_lib run --data ~/photos --quick  a trial on one's own folder
  python -m clip_lib search "A big dog in the woods"
  python -m clip_lib search photo.jpg -k 3 --gallery all
  python -m clip_lib evaluate --split test --json
  python -m clip_lib evaluate --data ~/other_photos
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m clip_lib",
        description="A small CLIP: train it, ask it, measure it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = parser.add_subparsers(required=True, metavar="command")
    data_help = "data folder, or 'scenes' for the drawn scenes"
    model_help = "a CLIP, its vocabulary and indexes beside it (models/...)"

    command = choices.add_parser("run", help=commands.run.__doc__)
    command.add_argument("--data", metavar="FOLDER", help=data_help)
    command.add_argument("--models", metavar="FOLDER", help="where to save (models/)")
    command.add_argument("--quick", action="store_true", help="a trial: learns nothing")
    command.add_argument(
        "--output", metavar="FILE", help="the executed notebook (among the models)"
    )
    command.set_defaults(call=commands.run)

    command = choices.add_parser("check", help=commands.check.__doc__)
    command.add_argument("data", nargs="?", metavar="FOLDER", help=data_help)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(call=commands.check)

    command = choices.add_parser("search", help=commands.search.__doc__)
    command.add_argument("query", help="a text, or the path of a picture")
    command.add_argument("-k", type=int, default=5, help="number of answers (5)")
    command.add_argument(
        "--gallery", default="test", help="train, validation, test, all"
    )
    command.add_argument("--model", metavar="FILE", help=model_help)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument(
        "--figure", metavar="FILE", help="draw the answers (.png, .pdf)"
    )
    command.set_defaults(call=commands.search)

    command = choices.add_parser("evaluate", help=commands.evaluate.__doc__)
    command.add_argument("--data", metavar="FOLDER", help=data_help)
    command.add_argument(
        "--split",
        help="train, validation, test or all; by default test, and all with --data",
    )
    command.add_argument("--model", metavar="FILE", help=model_help)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(call=commands.evaluate)

    command = choices.add_parser("clean", help=commands.clean.__doc__)
    command.add_argument("--data", metavar="FOLDER", help=data_help)
    command.add_argument("--model", metavar="FILE", help=model_help)
    command.add_argument("--limit", type=int, default=30, help="of each kind (30)")
    command.add_argument("--output", metavar="FILE", default="suspicions.csv")
    command.add_argument("--sheet", metavar="FILE", help="draw the worst (.png, .pdf)")
    command.add_argument(
        "--write-clean", metavar="FILE", help="captions.csv without the suspicious rows"
    )
    command.add_argument(
        "--reviewed", metavar="FILE", help="a suspicions.csv, cut down by hand, to use"
    )
    command.set_defaults(call=commands.clean)
    return parser


def _set_environment(arguments) -> None:
    """Turn options into variables: the notebook runs in another process."""
    quick = getattr(arguments, "quick", False)
    models = getattr(arguments, "models", None)
    if quick and not models and not os.environ.get("CLIP_MODEL_DIR"):
        models = "models/quick"  # A trial must not overwrite a trained model.
    for variable, value in (
        ("CLIP_DATA_DIR", getattr(arguments, "data", None)),
        ("CLIP_MODEL_DIR", models),
        ("CLIP_QUICK", "1" if quick else None),
    ):
        if value:
            os.environ[variable] = value


def main(argv=None) -> int:
    """Run one command; return its exit status."""
    arguments = _parser().parse_args(argv)
    _set_environment(arguments)
    try:
        return arguments.call(arguments, Config.from_environment()) or 0
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
