"""Add a command to the command line, with what every command has."""

import argparse
import inspect

DATA = "data folder, or 'scenes' for the drawn scenes"
MODEL = "a CLIP, its vocabulary and indexes beside it (models/...)"
STRATEGY = "devices that train CLIP: mirrored (all GPUs), mirrored:N or multiworker"
GALLERY = (
    "train, validation, test (the default) or all of the model's pictures; or a folder "
    "that was indexed"
)


def add(
    choices, name: str, call, *examples: str, model: bool = True, aliases=()
) -> argparse.ArgumentParser:
    """Add a command, with what every command has, and the choice of a model."""
    start = f"\n  python -m clip_lib {name} "
    command = choices.add_parser(
        name,
        aliases=aliases,
        help=(call.__doc__ or "").partition("\n")[0],
        description=inspect.getdoc(call),
        epilog="examples:" + "".join(start + example for example in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    if model:
        command.add_argument("--model", metavar="FILE", help=MODEL)
    command.set_defaults(call=call)
    return command
