"""Declare every command and its options.

Nothing is imported here that takes long: a command's module is loaded once it runs.
"""

import argparse
import sys
from pathlib import Path

from clip_lib.config import PRESETS

INSTALLED = "clip-search"
"""The command that `pip install .` makes."""
PROGRAM = INSTALLED if Path(sys.argv[0]).stem == INSTALLED else "python -m clip_lib"
DATA = "data folder, or 'scenes' for the drawn scenes"
MODEL = "a CLIP's file, or 'pretrained' (the run's, else the pretrained weights)"
MODELS = "folder of the run's models (models/)"
GALLERY = "train, validation, test (default) or all of the model's data; or a folder"
DEBUG = "show the traceback of an error"


def parse(argv=None) -> argparse.Namespace:
    """Parse the command line; exit with status 2 if it is malformed.

    Returns:
        Options by name; ``command`` and ``module``, where the function of its name is.
    """
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    # In `rerank TEXT -k 3 FILE...` argparse closes the list of files before the option.
    lists = {"files", "images", "query"} & set(vars(arguments))
    if lists and not any(word.startswith("-") and word != "-" for word in rest):
        name = lists.pop()
        setattr(arguments, name, getattr(arguments, name) + rest)
    elif rest:
        arguments.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="A small CLIP: train it, query it, measure it.",
        epilog=f"Each command shows an example: {PROGRAM} search --help",
    )
    parser.add_argument("--debug", action="store_true", help=DEBUG)
    choices = parser.add_subparsers(required=True, metavar="command", dest="command")
    for add_commands in (_train, _measure, _ask, _photos, _enrich, _hand_in):
        add_commands(choices)
    return parser


def _add(choices, module: str, name: str, about: str, example: str):
    """Add a command; the first sentence about it is its help in the list of all."""
    command = choices.add_parser(
        name,
        help=about.partition(". ")[0].rstrip("."),
        description=about,
        epilog=f"example: {PROGRAM} {name} {example}",
    )
    command.set_defaults(module=module, error=command.error)
    command.add_argument("--json", action="store_true", help="print JSON")
    # SUPPRESS: its absence here must not undo a --debug before the command.
    absent = argparse.SUPPRESS
    command.add_argument("--debug", action="store_true", default=absent, help=DEBUG)
    return command


def _train(choices) -> None:
    about = "Execute the notebook, then query the model that it saved."
    run = _add(choices, "train", "run", about, "--data ~/photos --quick")
    run.add_argument(
        "--quick",
        action="store_true",
        help="a short trial: the model learns next to nothing",
    )
    run.add_argument("--output", help="the executed notebook (among the models)")
    about = "Train a CLIP on any folder, with labels or without, and measure it."
    example = "--data ~/photos --preset fine-tuning --set seed=1"
    train = _add(choices, "train", "train", about, example)
    train.add_argument("--preset", choices=PRESETS, help="a configuration (course)")
    about = "NAME=VALUE, a setting of the configuration; may be repeated"
    train.add_argument("--set", action="append", default=[], help=about)
    for command in (run, train):
        command.add_argument("--data", help=DATA)
        command.add_argument("--models", help=MODELS)


def _measure(choices) -> None:
    about = "Check a data folder. Exit status: 0 sound, 1 findings, 2 unusable."
    check = _add(choices, "measure", "check", about, "~/photos")
    check.add_argument("data", nargs="?", help=DATA)
    about = "Measure a saved model, on the data of its training or on any folder. A "
    about += "folder is split as in its training, by the config.json beside the model."
    example = "--data ~/photos --split test"
    evaluate = _add(choices, "measure", "evaluate", about, example)
    splits = ("train", "validation", "test", "all")
    about = "by default test; all with --data, or if the model has no data of its own"
    evaluate.add_argument("--split", choices=splits, help=about)
    about = "List what CLIP and a perceptual hash find odd: without captions, the "
    about += "near-duplicates, in groups. Nothing is deleted."
    clean = _add(choices, "measure", "clean", about, "~/photos")
    # SUPPRESS: its absence must not undo --data.
    clean.add_argument("data", nargs="?", default=argparse.SUPPRESS, help=DATA)
    clean.add_argument("--limit", type=int, default=30, help="of each kind (30)")
    clean.add_argument(
        "--output", help="file for the list (suspicions.csv, or duplicates.csv)"
    )
    clean.add_argument("--reviewed", help="a list, cut down by hand, to use instead")
    clean.add_argument("--sheet", help="file to draw the worst in (.png, .pdf)")
    clean.add_argument("--write-clean", help="captions.csv without the rows listed")
    evaluate.add_argument("--data", help=DATA)
    clean.add_argument("--data", "--gallery", help=DATA)
    for command in (evaluate, clean):
        command.add_argument("--model", help=MODEL)


def _ask(choices) -> None:
    about = (
        "Answer a question: a text, a picture, or several. They are joined by ' + ' "
    )
    about += "and ' - ', 0.5*snow gives a term a weight, and inner quotes keep a text "
    about += "as it is. Without a query, each line of standard input is one."
    example = '"dog + 0.5*beach.jpg - snow" --figure answers.png'
    search = _add(choices, "ask", "search", about, example)
    search.add_argument("query", nargs="*", help="texts, or paths of pictures")
    search.add_argument("-k", type=int, default=5, help="number of answers (5)")
    about = "find pictures like the one given (without it: captions, if there are any)"
    search.add_argument("--similar", action="store_true", help=about)
    about = "leave out answers below this score (none: those of two queries differ)"
    search.add_argument("--min-score", type=float, metavar="SCORE", help=about)
    for name, about in (
        ("--within", "a sub-folder, such as 2019/Rome"),
        (
            "--since",
            "only pictures taken on or after this date, such as 2019 or 2019-07-31",
        ),
        ("--until", "only pictures taken on or before this date"),
        ("--figure", "file to draw the answers in (.png, .pdf)"),
        (
            "--html",
            "file to write the answers to, as one HTML page to send, pictures included",
        ),
    ):
        search.add_argument(name, help=about)
    about = "order of the answers that were found (score)"
    search.add_argument("--sort", choices=("score", "date"), help=about)
    about = "draw them in the terminal"
    search.add_argument("--thumbnails", action="store_true", help=about)
    _add_paths_only(search)
    about = "Compare a picture with a text, and rank their cosine in the gallery."
    score = _add(choices, "ask", "score", about, 'photo.jpg "A dog in the snow"')
    score.add_argument("image", help="the path of a picture")
    score.add_argument("text", help="what it may show")
    for command in (search, score):
        command.add_argument("--gallery", help=GALLERY)
        command.add_argument("--model", help=MODEL)
    about = "Serve the search page on this machine, until interrupted."
    app = _add(choices, "ask", "app", about, "--gallery ~/photos")
    app.add_argument(
        "--port", type=_port, help="port to serve on (a free one from 7860 on)"
    )
    app.add_argument("--open", action="store_true", help="in the browser, at once")
    about = "a folder of pictures; may be repeated"
    app.add_argument("--gallery", action="append", default=[], help=about)
    app.add_argument("--model", action="append", help=f"{MODEL}; may be repeated")


def _photos(choices) -> None:
    about = "Label pictures with any words, without training: zero-shot."
    example = 'photos/*.jpg --labels "dog, bike, red car"'
    classify = _add(choices, "photos", "classify", about, example)
    classify.add_argument("images", nargs="+", help="picture files")
    classify.add_argument("--labels", help="words, with commas (those of the data)")
    about = "a sentence with {} for the label; several are averaged"
    classify.add_argument("--template", action="append", help=about)
    about = "Sort pictures of another engine or a generator, best for a text first."
    example = '"A dog in the snow" -k 1 --paths-only < list.txt'
    rerank = _add(choices, "photos", "rerank", about, example)
    rerank.add_argument("text", help="what the pictures should show")
    about = "picture files (one a line, from standard input)"
    rerank.add_argument("files", nargs="*", help=about)
    rerank.add_argument("-k", type=int, help="number of answers (all)")
    _add_paths_only(rerank)
    about = "Embed the new and changed photos of a folder, to be searched."
    index = _add(choices, "photos", "index", about, "~/photos")
    index.add_argument("folder", help="a folder, and the folders within it")
    about = "write the vectors for another engine (.npy, and a .csv beside it)"
    index.add_argument("--export", metavar="FILE", help=about)
    for command in (classify, rerank, index):
        command.add_argument("--model", help=MODEL)


def _enrich(choices) -> None:
    about = (
        "Lengthen the captions with a language model, into a new data folder. Each "
        "answer is checked; where two are rejected, the original is kept. Answers are "
        "cached beside the data as they come: run the same command again to continue."
    )
    example = "--url http://localhost:11434/v1 --model llama3.2 --limit 10"
    enrich = _add(choices, "enrich", "enrich", about, example)
    about = "an OpenAI-compatible endpoint, ending in /v1 (key: OPENAI_API_KEY)"
    enrich.add_argument("--url", type=_url, required=True, help=about)
    enrich.add_argument("--model", required=True, help="the language model's name")
    enrich.add_argument("--data", help=DATA)
    enrich.add_argument("--output", help="the new data folder (<data>_enriched)")
    about = "the enriched caption instead of the original, not beside it"
    enrich.add_argument("--replace", action="store_true", help=about)
    about = "show what would be requested; request nothing"
    enrich.add_argument("--dry-run", action="store_true", help=about)
    enrich.add_argument("--limit", type=_count, help="a trial: so many captions")
    for name, kind, default, about in (
        ("--batch", _count, 5, "captions per request"),
        ("--workers", _count, 4, "requests at a time"),
        ("--price-in", float, 0, "of a million tokens sent, in any currency"),
        ("--price-out", float, 0, "of a million tokens received"),
    ):
        about = f"{about} ({default})"
        enrich.add_argument(name, type=kind, default=default, help=about)


def _hand_in(choices) -> None:
    about = "Typeset the executed notebook on A4 pages, to hand it in."
    pdf = _add(
        choices, "hand_in", "pdf", about, "1_ProjetClip.ipynb -o 7_ProjetClip.pdf"
    )
    about = "an executed notebook (what run left, else 1_ProjetClip.ipynb)"
    pdf.add_argument("notebook", nargs="?", help=about)
    pdf.add_argument("-o", "--output", help="the PDF (beside the notebook)")
    about = "Write the report's numbers, tables and figures, then compile it into "
    about += "report/rapport.pdf, where submit looks."
    report = _add(choices, "hand_in", "report", about, "--no-pdf")
    report.add_argument("--no-pdf", action="store_true", help="do not compile")
    about = "Check what the course demands, then make the archive to hand in. Exit "
    about += "status 0: every rule is kept, <group>.zip is written; 1: not so."
    submit = _add(choices, "hand_in", "submit", about, "--report main.pdf")
    for name, about in (
        ("--report", "the report (report/rapport.pdf)"),
        ("--pdf", "the notebook as PDF (beside it)"),
        ("--check", "check this finished archive instead of making one"),
    ):
        submit.add_argument(name, type=_path, help=about)
    submit.add_argument("--output", default=".", help="folder of the archive (.)")
    about = "a rule that may be broken, or all; may be repeated"
    submit.add_argument("--waive", action="append", default=[], help=about)
    about = "check only what can be known before the PDFs are made"
    submit.add_argument("--early", action="store_true", help=about)
    for command in (report, submit):
        about = "the executed notebook (what run left)"
        command.add_argument("--notebook", type=_path, help=about)
    for command in (pdf, report, submit):
        command.add_argument("--models", help=MODELS)


def _add_paths_only(command) -> None:
    about = "print no scores: for another program"
    command.add_argument("--paths-only", action="store_true", help=about)
    about = "with --paths-only: a zero byte after each, for xargs -0"
    command.add_argument("-0", "--null", action="store_true", help=about)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 1 on")
    return int(text)


def _path(text: str) -> Path:
    return Path(text).expanduser()  # Not every shell expands ~ after REPORT=.


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 to 65535")
    return int(text)


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")) or "@" in text:
        expected = "an address such as http://localhost:11434/v1, without a password"
        raise argparse.ArgumentTypeError(f"expected {expected}")
    return text
