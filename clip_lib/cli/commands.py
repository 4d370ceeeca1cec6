"""The commands around the model: run, check, evaluate, clean.

Imports stand inside: they take long.
"""

import sys
from dataclasses import replace
from pathlib import Path

from clip_lib.cli.common import DATA, STRATEGY, add
from clip_lib.errors import ClipError


def run(arguments, config) -> None:
    """Execute the notebook, then ask the model that it saved."""
    import contextlib

    from clip_lib.cli.output import print_json
    from clip_lib.data.captions_table import TABLE
    from clip_lib.data.dataset import load_dataset
    from clip_lib.data.source import DEFAULT_FOLDER
    from clip_lib.handin.notebook import NOTEBOOK, execute_notebook
    from clip_lib.handin.team import read_team
    from clip_lib.retrieval.answers import (
        QUERIES,
        answer_lines,
        answer_records,
        gallery_words,
    )
    from clip_lib.retrieval.search import Search

    read_team()
    if config.strategy not in ("", "mirrored"):
        raise ClipError(
            f"strategy {config.strategy!r}: the notebook trains its classifiers first, "
            "then it is too late for another one than mirrored."
        )
    if config.dataset_dir or (DEFAULT_FOLDER / TABLE).is_file():
        # Refuse here what the first cells would refuse half a minute later.
        dataset = load_dataset(config)
        if not dataset.class_names:
            raise ClipError(
                f"{dataset.folder}: no labels, which the notebook's classifiers need; "
                "train CLIP alone with `python -m clip_lib train`."
            )
    output = arguments.output or config.model_path(NOTEBOOK)
    # With --json, what the cells say must not stand among the answers.
    with contextlib.redirect_stdout(sys.stderr if arguments.json else sys.stdout):
        written = execute_notebook(output=output)
    engine = Search.load(config.clip_file)
    answers = {query: engine.images_for(query) for query in QUERIES}
    if arguments.json:
        found = {query: answer_records(table) for query, table in answers.items()}
        about = {"notebook": str(written), "models": config.model_dir}
        print_json(about | {"answers": found})
        return
    for query, table in answers.items():
        print(f"\n{query}\namong {gallery_words(engine, 'test')}")
        print(answer_lines(table))
    print(f"\nNotebook: {written}\nModels and indexes: {config.model_dir}/")


def check(arguments, config) -> int:
    """Say whether a data folder is sound: status 0 sound, 1 findings, 2 unusable."""
    from clip_lib.data.check import check_folder
    from clip_lib.data.source import SCENES, find_folder

    folder = arguments.data
    # A folder that is not there is for the report to tell: status 2, in JSON too.
    if not folder or folder == SCENES or Path(folder).is_dir():
        folder, _ = find_folder(config)
    vectorizer = None
    if config.text_encoder != "smallbert":
        from clip_lib.towers.texts import load_tokenizer

        vectorizer = load_tokenizer([], replace(config, sequence_length=512))
    report = check_folder(folder, config, vectorizer)
    print(report.to_json() if arguments.json else report)
    return report.status


def evaluate(arguments, config) -> None:
    """Measure a saved model, on the data of its training or on any folder."""
    from clip_lib.cli.output import print_json
    from clip_lib.data.dataset import load_dataset
    from clip_lib.evaluation.evaluate import (
        evaluate_dataset,
        evaluate_indexes,
        report_table,
    )
    from clip_lib.retrieval.search import Clip, Search

    model_file = arguments.model or config.clip_file
    if arguments.data:
        split = arguments.split or "all"
        dataset = load_dataset(config, split=split != "all")
        report = evaluate_dataset(Clip.load(model_file), dataset, split)
    else:
        # The indexes remember which picture was in which part of the training's split.
        split = arguments.split or "test"
        engine = Search.load(model_file)
        report = {"split": split, "source": engine.images.source}
        parts = engine.images.part(split), engine.texts.part(split)
        report |= evaluate_indexes(*parts, engine.clip)
    if arguments.json:
        print_json(report)
    else:
        print(f"{report['pairs']} pairs, split {split}, {report['source']}")
        print(report_table(report).to_string())
        if "zero_shot" in report:
            found = report["zero_shot"]
            print(f"zero-shot accuracy {found['accuracy']:.3f}", end="")
            print(f" (chance {found['chance']:.3f})")


def clean(arguments, config) -> None:
    """List what CLIP and a perceptual hash find odd; nothing is deleted."""
    import matplotlib
    import pandas as pd

    matplotlib.use("Agg")
    from clip_lib.atomic import replacing
    from clip_lib.cli.output import print_json
    from clip_lib.data.source import find_folder
    from clip_lib.evaluation.cleaning import find_suspicions, write_clean
    from clip_lib.figures.contact_sheet import contact_sheet
    from clip_lib.retrieval.search import Search

    # With --json, standard output holds the list alone.
    out = sys.stderr if arguments.json else sys.stdout
    engine = Search.load(arguments.model or config.clip_file)
    if arguments.reviewed:
        found = pd.read_csv(arguments.reviewed)
    else:
        found = find_suspicions(engine.images, engine.texts, arguments.limit)
        if not arguments.json:
            print(found.groupby("kind", sort=False).head(5).to_string(index=False))
        with replacing(arguments.output) as temporary:
            found.to_csv(temporary, index=False)
        print(f"{len(found)} suspicions: {arguments.output}", file=out)
    if arguments.sheet:
        with replacing(arguments.sheet) as temporary:
            contact_sheet(found, engine.images).savefig(temporary, dpi=110)
    if arguments.write_clean:
        left_out = write_clean(find_folder(config)[0], found, arguments.write_clean)
        print(f"{left_out} rows left out: {arguments.write_clean}", file=out)
    if arguments.json:
        print_json(found)


def add_commands(choices) -> None:
    """Add these commands to a parser's subparsers."""
    command = add(
        choices,
        "run",
        run,
        "                         train everything, in the notebook",
        "--data ~/photos --quick  a trial on one's own folder",
        model=False,
    )
    command.add_argument("--data", metavar="FOLDER", help=DATA)
    command.add_argument("--models", metavar="FOLDER", help="where to save (models/)")
    command.add_argument("--quick", action="store_true", help="a trial: learns nothing")
    command.add_argument("--strategy", metavar="NAME", help=STRATEGY)
    command.add_argument(
        "--output", metavar="FILE", help="the executed notebook (among the models)"
    )
    command = add(
        choices,
        "check",
        check,
        "~/photos",
        "~/photos --json > findings.json",
        model=False,
    )
    command.add_argument("data", nargs="?", metavar="FOLDER", help=DATA)
    command = add(
        choices,
        "evaluate",
        evaluate,
        "--split test --json",
        "--data ~/other_photos",
    )
    command.add_argument("--data", metavar="FOLDER", help=DATA)
    command.add_argument(
        "--split",
        help="train, validation, test or all; by default test, and all with --data",
    )
    command = add(
        choices,
        "clean",
        clean,
        "--sheet sheet.png                               writes suspicions.csv",
        "--reviewed suspicions.csv --write-clean clean.csv",
    )
    command.add_argument("--data", metavar="FOLDER", help=DATA)
    command.add_argument("--limit", type=int, default=30, help="of each kind (30)")
    command.add_argument("--output", metavar="FILE", default="suspicions.csv")
    command.add_argument("--sheet", metavar="FILE", help="draw the worst (.png, .pdf)")
    command.add_argument(
        "--write-clean", metavar="FILE", help="captions.csv without the suspicious rows"
    )
    command.add_argument(
        "--reviewed", metavar="FILE", help="a suspicions.csv, cut down by hand, to use"
    )
