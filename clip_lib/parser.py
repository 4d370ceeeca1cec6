"""What the command line understands: its commands, their options, examples of each."""

import argparse
import inspect

from clip_lib import ask, ask_files, commands

DATA = "data folder, or 'scenes' for the drawn scenes"
MODEL = "a CLIP, its vocabulary and indexes beside it (models/...)"
GALLERY = (
    "train, validation, test (the default) or all of the model's pictures; a folder "
    "that was indexed; or an index file"
)


def parse(argv=None) -> argparse.Namespace:
    """Read the command line; leave with status 2 if it cannot be understood.

    Returns:
        Options by name, and ``call``, the function to run: (arguments, config) -> exit
        status or None.
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
        description="A small CLIP: train it, ask it, measure it.",
        epilog="Each command shows examples: python -m clip_lib search --help",
    )
    choices = parser.add_subparsers(required=True, metavar="command")
    _add_training(choices)
    _add_questions(choices)
    _add_own_files(choices)
    _add_measures(choices)
    _add_report(choices)
    return parser


def _add(choices, name: str, call, *examples: str) -> argparse.ArgumentParser:
    """Add a command, with what every command has."""
    start = f"\n  python -m clip_lib {name} "
    command = choices.add_parser(
        name,
        help=(call.__doc__ or "").partition("\n")[0],
        description=inspect.getdoc(call),
        epilog="examples:" + "".join(start + example for example in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(call=call)
    return command


def _add_training(choices) -> None:
    command = _add(
        choices,
        "run",
        commands.run,
        "                         train everything, in the notebook",
        "--data ~/photos --quick  a trial on one's own folder",
    )
    command.add_argument("--data", metavar="FOLDER", help=DATA)
    command.add_argument("--models", metavar="FOLDER", help="where to save (models/)")
    command.add_argument("--quick", action="store_true", help="a trial: learns nothing")
    command.add_argument(
        "--output", metavar="FILE", help="the executed notebook (among the models)"
    )
    command = _add(
        choices, "check", commands.check, "~/photos", "~/photos --json > findings.json"
    )
    command.add_argument("data", nargs="?", metavar="FOLDER", help=DATA)


def _add_questions(choices) -> None:
    command = _add(
        choices,
        "search",
        ask.search,
        '"A big dog in the woods"',
        '"A big dog" -k 3 --gallery all --figure answers.png',
        '"A big dog" --gallery ~/photos   once indexed: see index',
        "photo.jpg --json                 the texts nearest to a picture",
    )
    command.add_argument("query", help="a text, or the path of a picture")
    command.add_argument("-k", type=int, default=5, help="number of answers (5)")
    command.add_argument("--gallery", default="test", help=GALLERY)
    command.add_argument("--model", metavar="FILE", help=MODEL)
    command.add_argument(
        "--figure", metavar="FILE", help="draw the answers (.png, .pdf)"
    )
    command = _add(
        choices,
        "score",
        ask.score,
        'photo.jpg "A dog in the snow"',
        'photo.jpg "A dog in the snow" --gallery all --json',
    )
    command.add_argument("image", help="the path of a picture")
    command.add_argument("text", help="what it may show")
    command.add_argument("--gallery", default="test", help=GALLERY)
    command.add_argument("--model", metavar="FILE", help=MODEL)


def _add_own_files(choices) -> None:
    command = _add(
        choices,
        "classify",
        ask_files.classify,
        "photo.jpg",
        'photos/*.jpg --labels "dog, bike, red car"',
        'photo.jpg --template "a photo of a {}" --template "the {}"',
    )
    command.add_argument("images", nargs="+", metavar="IMAGE", help="a picture")
    command.add_argument(
        "--labels", help="any words, commas between them (the labels of the training)"
    )
    command.add_argument(
        "--template",
        action="append",
        help="a sentence with {} for the label; several are averaged",
    )
    command.add_argument("--model", metavar="FILE", help=MODEL)
    command = _add(
        choices,
        "rerank",
        ask_files.rerank,
        '"A dog in the snow" drawn_1.png drawn_2.png drawn_3.png',
        '"A dog in the snow" -k 1 --paths-only < list.txt',
    )
    command.add_argument("text", help="what the pictures should show")
    command.add_argument(
        "files", nargs="*", metavar="FILE", help="pictures (standard input, one a line)"
    )
    command.add_argument("-k", type=int, help="number of answers (all)")
    command.add_argument(
        "--paths-only", action="store_true", help="no scores: for another program"
    )
    command.add_argument("--model", metavar="FILE", help=MODEL)
    command = _add(
        choices,
        "index",
        ask_files.index,
        "~/photos                      then: search TEXT --gallery ~/photos",
        "~/photos --output photos.npz  then: search TEXT --gallery photos.npz",
    )
    command.add_argument("folder", help="folder of photos, and the folders within it")
    command.add_argument(
        "--output", metavar="FILE", help="the index, .npz (beside the model)"
    )
    command.add_argument("--model", metavar="FILE", help=MODEL)


def _add_measures(choices) -> None:
    command = _add(
        choices,
        "evaluate",
        commands.evaluate,
        "--split test --json",
        "--data ~/other_photos",
    )
    command.add_argument("--data", metavar="FOLDER", help=DATA)
    command.add_argument(
        "--split",
        help="train, validation, test or all; by default test, and all with --data",
    )
    command.add_argument("--model", metavar="FILE", help=MODEL)
    command = _add(
        choices,
        "clean",
        commands.clean,
        "--sheet sheet.png                               writes suspicions.csv",
        "--reviewed suspicions.csv --write-clean clean.csv",
    )
    command.add_argument("--data", metavar="FOLDER", help=DATA)
    command.add_argument("--model", metavar="FILE", help=MODEL)
    command.add_argument("--limit", type=int, default=30, help="of each kind (30)")
    command.add_argument("--output", metavar="FILE", default="suspicions.csv")
    command.add_argument("--sheet", metavar="FILE", help="draw the worst (.png, .pdf)")
    command.add_argument(
        "--write-clean", metavar="FILE", help="captions.csv without the suspicious rows"
    )
    command.add_argument(
        "--reviewed", metavar="FILE", help="a suspicions.csv, cut down by hand, to use"
    )


def _add_report(choices) -> None:
    command = _add(
        choices,
        "report",
        commands.report,
        "                report/generated/, then report/rapport.pdf",
        "-o 7.pdf        for group 7",
        "--no-pdf        report/generated/ alone, for an online LaTeX",
    )
    command.add_argument("--models", metavar="FOLDER", help="what to show (models/)")
    command.add_argument("-o", "--output", metavar="FILE", help="report/rapport.pdf")
    command.add_argument("--no-pdf", action="store_true", help="do not compile")
