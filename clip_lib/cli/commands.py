"""Commands around the model: run, check, evaluate, clean."""

from pathlib import Path

from clip_lib.cli.common import OPTIONS, Answer, add, save_figure, warn
from clip_lib.errors import ClipError, first_line


def run(arguments, config) -> Answer:
    """Execute the notebook, then query the model that it saved.

    python -m clip_lib run
    python -m clip_lib run --data ~/photos --quick    a trial on one's own folder
    """
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
            "then it is too late for any other than mirrored."
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
    written = execute_notebook(output=output)
    engine = Search.load(config.clip_file)
    answers = {query: engine.images_for(query) for query in QUERIES}
    where = gallery_words(engine, "test")
    lines = [
        f"\n{query}\namong {where}\n{answer_lines(table)}"
        for query, table in answers.items()
    ]
    lines.append(f"\nNotebook: {written}\nModels and indexes: {config.model_dir}/")
    found = {query: answer_records(table) for query, table in answers.items()}
    about = {"notebook": str(written), "models": config.model_dir, "answers": found}
    return Answer("\n".join(lines), about)


def check(arguments, config) -> Answer:
    """Check a data folder: exit status 0 sound, 1 findings, 2 unusable.

    python -m clip_lib check ~/photos
    python -m clip_lib check ~/photos --json > findings.json
    """
    import json

    from clip_lib.data.check import check_folder
    from clip_lib.data.source import SCENES, find_folder

    folder = arguments.data
    # A folder that does not exist is for the report to name: status 2, in JSON too.
    if not folder or folder == SCENES or Path(folder).is_dir():
        folder, _ = find_folder(config)
    report = check_folder(folder, config)
    return Answer(str(report), json.loads(report.to_json()), report.status)


def evaluate(arguments, config) -> Answer:
    """Measure a saved model, on the data of its training or on any folder.

    With --data, --split divides the folder by the seed and the shares of the model's
    training, from the config.json beside it: no test picture was trained on.

    python -m clip_lib evaluate --split test --json
    python -m clip_lib evaluate --data ~/other_photos
    """
    import dataclasses

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
        clip = Clip.load(model_file)
        if split != "all" and clip.config is None:
            warn(
                f"{model_file}: no config.json; split as the environment's settings say"
            )
        trained = clip.config or config
        settings = dataclasses.replace(trained, dataset_dir=config.dataset_dir)
        dataset = load_dataset(settings, split=split != "all")
        report = evaluate_dataset(clip, dataset, split)
    else:
        # The indexes hold the part of the training's split that each picture was in.
        split = arguments.split or "test"
        engine = Search.load(model_file)
        report = {"split": split, "source": engine.images.source}
        parts = engine.images.part(split), engine.texts.part(split)
        report |= evaluate_indexes(*parts, engine.clip)
    lines = [f"{report['pairs']} pairs, split {split}, {report['source']}"]
    lines += [report_table(report).to_string()]
    if found := report.get("zero_shot"):
        lines += [
            f"zero-shot accuracy {found['accuracy']:.3f} (chance {found['chance']:.3f})"
        ]
    return Answer("\n".join(lines), report)


def clean(arguments, config) -> Answer:
    """List what CLIP and a perceptual hash find odd; nothing is deleted.

    python -m clip_lib clean --sheet sheet.png
    python -m clip_lib clean --reviewed suspicions.csv --write-clean clean.csv
    """
    import matplotlib
    import pandas as pd

    matplotlib.use("Agg")
    from clip_lib.atomic import replacing
    from clip_lib.data.source import find_folder
    from clip_lib.evaluation.cleaning import find_suspicions
    from clip_lib.figures.contact_sheet import contact_sheet, write_clean
    from clip_lib.retrieval.search import Search

    engine = Search.load(arguments.model or config.clip_file)
    lines = []
    if arguments.reviewed:
        try:
            found = pd.read_csv(arguments.reviewed)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError) as error:
            raise ClipError(
                f"{arguments.reviewed}: not a CSV file ({first_line(error)})."
            ) from error
    else:
        found = find_suspicions(engine.images, engine.texts, arguments.limit)
        with replacing(arguments.output) as temporary:
            found.to_csv(temporary, index=False)
        worst = found.groupby("kind", sort=False).head(5).to_string(index=False)
        lines += [worst, f"{len(found)} suspicions: {arguments.output}"]
    if arguments.sheet:
        save_figure(contact_sheet(found, engine.images), arguments.sheet)
    if arguments.write_clean:
        left_out = write_clean(find_folder(config)[0], found, arguments.write_clean)
        lines += [f"{left_out} rows left out: {arguments.write_clean}"]
    return Answer("\n".join(lines), found)


def add_commands(choices) -> None:
    """Add these commands to a parser's subparsers."""
    command = add(choices, "run", run, "--data --models --strategy")
    command.add_argument("--quick", action="store_true", help="a trial: learns nothing")
    command.add_argument("--output", help="the executed notebook (among the models)")
    command = add(choices, "check", check)
    command.add_argument("data", nargs="?", help=OPTIONS["--data"])
    command = add(choices, "evaluate", evaluate, "--model --data")
    about = "train, validation, test or all; by default test, and all with --data"
    command.add_argument("--split", help=about)
    command = add(choices, "clean", clean, "--model --data")
    command.add_argument("--limit", type=int, default=30, help="of each kind (30)")
    command.add_argument("--output", default="suspicions.csv", help="the list")
    command.add_argument("--reviewed", help="a list, cut down by hand, to use instead")
    command.add_argument("--sheet", help="file to draw the worst in (.png, .pdf)")
    command.add_argument("--write-clean", help="captions.csv without the rows listed")
