"""Command line: ``python -m clip_lib run | search | evaluate``."""

import argparse
import json
import os
import sys
from pathlib import Path

QUERIES = ("A big dog in the woods", "A group of cyclists")
PICTURES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"}
EXAMPLES = """examples:
  python -m clip_lib run                          train everything, in the notebook
  python -m clip_lib run --data ~/photos --quick  a trial on one's own folder
  python -m clip_lib search "A big dog in the woods"
  python -m clip_lib search photo.jpg -k 3 --gallery all
  python -m clip_lib evaluate --split test --json
  python -m clip_lib evaluate --data ~/other_photos
"""


def run(arguments, config) -> None:
    """Execute the notebook, then ask the model that it saved."""
    from clip_lib.data import load_dataset
    from clip_lib.notebook import NOTEBOOK, execute_notebook
    from clip_lib.retrieval import MODEL_FILE, Search
    from clip_lib.team import read_team

    read_team()
    if config.dataset_dir:
        # Refuse here what the first cells would refuse half a minute later.
        load_dataset(config)
    output = arguments.output or config.model_path(NOTEBOOK)
    written = execute_notebook(output=output)
    engine = Search.load(config.model_path(MODEL_FILE))
    for query in QUERIES:
        print(f"\n{query}")
        _print(engine.images_for(query), engine.images, "test")
    print(f"\nNotebook: {written}\nModels and indexes: {config.model_dir}/")


def search(arguments, config) -> None:
    """Answer one query: a text, or the path of a picture."""
    from clip_lib.retrieval import MODEL_FILE, Search
    from clip_lib.text import check_query

    query, split = arguments.query, arguments.gallery
    engine = Search.load(arguments.model or config.model_path(MODEL_FILE))
    by_picture = Path(query).is_file() or Path(query).suffix.lower() in PICTURES
    if by_picture:
        index, answers = engine.texts, engine.texts_for(query, arguments.k, split)
    else:
        unknown = check_query(engine.clip.vectorizer, query)
        if unknown:
            message = f"words the model never saw: {', '.join(unknown)}"
            print(message, file=sys.stderr)
        index, answers = engine.images, engine.images_for(query, arguments.k, split)
    if arguments.figure:
        _draw(answers, query, by_picture, index, split, arguments.figure)
    if arguments.json:
        print(answers.to_json(orient="records", indent=2, force_ascii=False))
    else:
        _print(answers, index, split)


def evaluate(arguments, config) -> None:
    """Measure a saved model, on the data of its training or on any folder."""
    from clip_lib.data import load_dataset
    from clip_lib.evaluate import evaluate_dataset, evaluate_indexes, report_table
    from clip_lib.retrieval import MODEL_FILE, Clip, Search

    model_file = arguments.model or config.model_path(MODEL_FILE)
    if arguments.data:
        split = arguments.split or "all"
        dataset = load_dataset(config, split=split != "all")
        report = evaluate_dataset(Clip.load(model_file), dataset, split)
    else:
        # The indexes remember which picture was in which part of the training's split.
        split = arguments.split or "test"
        engine = Search.load(model_file)
        report = {"split": split, "source": engine.images.source}
        report |= evaluate_indexes(engine.images.part(split), engine.texts.part(split))
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{report['pairs']} pairs, split {split}, {report['source']}")
        print(report_table(report).to_string())


def _print(answers, index, split: str) -> None:
    print(f"among {len(index.part(split).items)} ({split}, {index.source})")
    print(answers.to_string(index=False))


def _draw(answers, query: str, by_picture: bool, index, split: str, path: str) -> None:
    """Save the answers as a figure, like the notebook's."""
    import matplotlib

    matplotlib.use("Agg")
    from clip_lib.gallery import gallery_name, image_answers, text_answers

    where = gallery_name(index, split)
    if by_picture:
        figure = text_answers(query, answers, where)
    else:
        figure = image_answers(answers, query, where)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m clip_lib",
        description="A small CLIP: train it, ask it, measure it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    data_help = "data folder, or 'scenes' for the drawn scenes"
    model_help = "a CLIP, its vocabulary and indexes beside it (models/...)"

    command = commands.add_parser("run", help=run.__doc__)
    command.add_argument("--data", metavar="FOLDER", help=data_help)
    command.add_argument("--models", metavar="FOLDER", help="where to save (models/)")
    command.add_argument("--quick", action="store_true", help="a trial: learns nothing")
    command.add_argument(
        "--output", metavar="FILE", help="the executed notebook (among the models)"
    )
    command.set_defaults(call=run)

    command = commands.add_parser("search", help=search.__doc__)
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
    command.set_defaults(call=search)

    command = commands.add_parser("evaluate", help=evaluate.__doc__)
    command.add_argument("--data", metavar="FOLDER", help=data_help)
    command.add_argument(
        "--split",
        help="train, validation, test or all; by default test, and all with --data",
    )
    command.add_argument("--model", metavar="FILE", help=model_help)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(call=evaluate)
    return parser


def _set_environment(arguments) -> None:
    """Turn options into variables: the notebook runs in another process."""
    quick = getattr(arguments, "quick", False)
    # A trial must not overwrite a trained model.
    models = getattr(arguments, "models", None) or ("models/quick" if quick else None)
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
        from clip_lib.config import Config

        arguments.call(arguments, Config.from_environment())
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
