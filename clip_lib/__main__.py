"""Command line: ``python -m clip_lib run | search | evaluate``."""

import argparse
import json
import os
import sys
from pathlib import Path

QUERIES = ("A big dog in the woods", "A group of cyclists")
PICTURES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp"}
EXAMPLES = """examples:
  python -m clip_lib run                          train everything, in the notebook
  python -m clip_lib run --data ~/photos --quick  on one's own folder, as a trial
  python -m clip_lib search "A big dog in the woods"
  python -m clip_lib search photo.jpg -k 3 --gallery all
  python -m clip_lib evaluate --split test --json
"""


def run(arguments, config) -> None:
    """Execute the notebook, then ask the model that it saved."""
    from clip_lib.data import read_records
    from clip_lib.notebook import execute_notebook
    from clip_lib.source import find_folder

    if config.dataset_dir:
        # Refuse here what the first cells would refuse a minute later.
        read_records(find_folder(config)[0])
    written = execute_notebook(output=arguments.output)
    for query in QUERIES:
        answers = _answers(config, query)
        print(f"\n{query}\n{answers.to_string(index=False)}")
    print(f"\nNotebook: {written}\nModels and indexes: {config.model_dir}/")


def search(arguments, config) -> None:
    """Answer one query: a text, or the path of a picture."""
    answers = _answers(config, arguments.query, arguments.k, arguments.gallery)
    if arguments.figure:
        _draw(answers, arguments.query, arguments.gallery, arguments.figure)
    if arguments.json:
        print(answers.to_json(orient="records", indent=2, force_ascii=False))
    else:
        print(answers.to_string(index=False))


def evaluate(arguments, config) -> None:
    """Measure the saved model on one split."""
    from clip_lib.data import load_dataset
    from clip_lib.evaluate import evaluate_dataset, report_table
    from clip_lib.retrieval import MODEL_FILE, Clip

    clip = Clip.load(arguments.model or config.model_path(MODEL_FILE))
    report = evaluate_dataset(clip, load_dataset(config), arguments.split)
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{report['pairs']} pairs, split {arguments.split}")
        print(report_table(report).to_string())


def _draw(answers, query: str, gallery: str, path: str) -> None:
    """Save the answers as a figure, like the notebook's."""
    import matplotlib

    matplotlib.use("Agg")
    from clip_lib.gallery import image_answers, text_answers

    if _is_picture(query):
        figure = text_answers(query, answers, gallery)
    else:
        figure = image_answers(answers, query, gallery)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _is_picture(query: str) -> bool:
    return Path(query).suffix.lower() in PICTURES


def _answers(config, query: str, k: int = 5, gallery: str = "test"):
    """Search for the texts of a picture file, or for the pictures of a text."""
    from clip_lib.retrieval import Search
    from clip_lib.text import check_query

    engine = Search.load(config)
    if _is_picture(query):
        return engine.texts_for(query, k, gallery)
    unknown = check_query(engine.clip.vectorizer, query)
    if unknown:
        print(f"words the model never saw: {', '.join(unknown)}", file=sys.stderr)
    return engine.images_for(query, k, gallery)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m clip_lib",
        description="A small CLIP: train it, ask it, measure it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--models", metavar="FOLDER", help="trained models (models/)")
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument(
        "--data", metavar="FOLDER", help="data folder, or 'scenes' for the drawn scenes"
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    command = commands.add_parser("run", parents=[common, data], help=run.__doc__)
    command.add_argument("--quick", action="store_true", help="a trial: learns nothing")
    command.add_argument("--output", metavar="FILE", help="save the notebook elsewhere")
    command.set_defaults(call=run)

    command = commands.add_parser("search", parents=[common], help=search.__doc__)
    command.add_argument("query", help="a text, or the path of a picture")
    command.add_argument("-k", type=int, default=5, help="number of answers (5)")
    command.add_argument(
        "--gallery", default="test", help="train, validation, test, all"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument(
        "--figure", metavar="FILE", help="draw the answers (.png, .pdf)"
    )
    command.set_defaults(call=search)

    command = commands.add_parser(
        "evaluate", parents=[common, data], help=evaluate.__doc__
    )
    command.add_argument("--split", default="test", help="train, validation, test, all")
    command.add_argument("--model", metavar="FILE", help="a CLIP saved elsewhere")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(call=evaluate)
    return parser


def main(argv=None) -> int:
    """Run one command; return its exit status."""
    arguments = _parser().parse_args(argv)
    # Options become environment variables, since the notebook is another process.
    for option, variable in (
        ("data", "CLIP_DATA_DIR"),
        ("models", "CLIP_MODEL_DIR"),
        ("quick", "CLIP_QUICK"),
    ):
        value = getattr(arguments, option, None)
        if value:
            os.environ[variable] = "1" if value is True else value
    try:
        from clip_lib.config import Config

        arguments.call(arguments, Config.from_environment())
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
