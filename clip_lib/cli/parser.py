"""Parse the command line."""

import argparse

from clip_lib.cli import ask, commands, enrich, hand_in, photos, train
from clip_lib.cli.common import DEBUG


def parse(argv=None) -> argparse.Namespace:
    """Parse the command line; exit with status 2 if it is malformed.

    Returns:
        Options by name, and ``call``, the command: (arguments, config) -> `Answer`.
    """
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    # In `rerank TEXT -k 3 FILE...` argparse closes the list of files before the option.
    lists = {"files", "images"} & set(vars(arguments))
    if lists and not any(word.startswith("-") for word in rest):
        name = lists.pop()
        setattr(arguments, name, getattr(arguments, name) + rest)
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m clip_lib",
        description="A small CLIP: train it, query it, measure it.",
        epilog="Each command shows examples: python -m clip_lib search --help",
    )
    parser.add_argument("--debug", **DEBUG)
    choices = parser.add_subparsers(required=True, metavar="command")
    for module in (commands, train, ask, photos, enrich, hand_in):
        module.add_commands(choices)
    return parser
