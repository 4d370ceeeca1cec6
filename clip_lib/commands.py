"""The commands around the model: run, pdf, check, evaluate, clean, app.

Imports stand inside: they take long.
"""

import functools
import json
import sys
import threading
from pathlib import Path

QUERIES = ("A big dog in the woods", "A group of cyclists")


def run(arguments, config) -> None:
    """Execute the notebook, then ask the model that it saved."""
    import contextlib

    from clip_lib.answers import answer_lines, answer_records, gallery_words
    from clip_lib.data import load_dataset
    from clip_lib.notebook import NOTEBOOK, execute_notebook
    from clip_lib.retrieval import MODEL_FILE, Search
    from clip_lib.say import print_json
    from clip_lib.team import read_team

    read_team()
    if config.dataset_dir:
        # Refuse here what the first cells would refuse half a minute later.
        load_dataset(config)
    output = arguments.output or config.model_path(NOTEBOOK)
    # With --json, what the cells say must not stand among the answers.
    with contextlib.redirect_stdout(sys.stderr if arguments.json else sys.stdout):
        written = execute_notebook(output=output)
    engine = Search.load(config.model_path(MODEL_FILE))
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


def pdf(arguments, config) -> None:
    """Set the executed notebook on A4 pages, to hand it in."""
    from clip_lib.notebook import NOTEBOOK
    from clip_lib.notebook_pdf import count_pages, write_pdf
    from clip_lib.printable import same_cells
    from clip_lib.say import print_json
    from clip_lib.team import unfilled

    ran = config.model_path(NOTEBOOK)
    notebook = arguments.notebook or (ran if ran.is_file() else NOTEBOOK)
    written = write_pdf(
        notebook,
        arguments.output,
        contents=arguments.contents,
        anyway=arguments.anyway,
    )
    if names := unfilled():
        still = f"{names[0]} and {len(names) - 1} more"
        print(f"warning: equipe.toml is not filled in: {still}", file=sys.stderr)
    if notebook == ran and not same_cells(ran, NOTEBOOK):
        print(f"warning: {NOTEBOOK} has changed since {ran} ran", file=sys.stderr)
    pages = count_pages(written)
    if arguments.json:
        print_json({"notebook": str(notebook), "pdf": str(written), "pages": pages})
    else:
        print(f"{notebook}: {pages} pages, {written}")


def check(arguments, config) -> int:
    """Say whether a data folder is sound: status 0 sound, 1 findings, 2 unusable."""
    from clip_lib.check import check_folder
    from clip_lib.source import SCENES, find_folder

    folder = arguments.data
    # A folder that is not there is for the report to tell: status 2, in JSON too.
    if not folder or folder == SCENES or Path(folder).is_dir():
        folder, _ = find_folder(config)
    report = check_folder(folder, config)
    print(report.to_json() if arguments.json else report)
    return report.status


def evaluate(arguments, config) -> None:
    """Measure a saved model, on the data of its training or on any folder."""
    from clip_lib.data import load_dataset
    from clip_lib.evaluate import evaluate_dataset, evaluate_indexes, report_table
    from clip_lib.retrieval import MODEL_FILE, Clip, Search
    from clip_lib.say import print_json

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
    from clip_lib.cleaning import find_suspicions
    from clip_lib.contact_sheet import contact_sheet, write_clean
    from clip_lib.retrieval import MODEL_FILE, Search
    from clip_lib.say import print_json
    from clip_lib.source import find_folder

    # With --json, standard output holds the list alone.
    out = sys.stderr if arguments.json else sys.stdout
    engine = Search.load(arguments.model or config.model_path(MODEL_FILE))
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


def app(arguments, config) -> None:
    """Serve the search page on this machine, until interrupted."""
    from clip_lib.page import Page
    from clip_lib.retrieval import MODEL_FILE

    try:
        from clip_lib.app import launch
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ValueError(
            "the search page needs Gradio: pip install -r requirements-app.txt"
        ) from error
    models = arguments.model or [config.model_path(MODEL_FILE)]
    page = Page.load(models, arguments.gallery)
    _, address, _ = launch(
        page, arguments.port, arguments.open, quiet=True, prevent_thread_lock=True
    )
    print(
        json.dumps({"address": address})
        if arguments.json
        else f"Search page: {address}",
        flush=True,
    )
    threading.Event().wait()


def report(arguments, config) -> int:
    """Write the report's numbers, tables and figures, then compile it with LaTeX."""
    import matplotlib

    matplotlib.use("Agg")
    from clip_lib.report import GENERATED, REPORT, write_generated
    from clip_lib.report_claims import check_text
    from clip_lib.say import list_faults, print_json
    from clip_lib.typeset import typeset

    # With --json, standard output holds the answer alone.
    out = sys.stderr if arguments.json else sys.stdout
    say = functools.partial(print, file=out, flush=True)
    numbers = write_generated(config, REPORT, say=say)
    generated = REPORT / GENERATED
    about = {"generated": str(generated), "models": config.model_dir}
    about["source"] = numbers.texts["model/source"]
    say(f"{len(numbers.texts)} numbers, tables and figures: {generated}")
    faults = check_text(REPORT, numbers)
    if not arguments.no_pdf and not faults:
        say("latexmk (the first time may take a minute)")
        made = typeset(REPORT, arguments.output or REPORT / "rapport.pdf")
        about |= {"pdf": str(made.path), "body": made.body, "appendix": made.appendix}
        say(f"{made.path}: body {made.body} pages, appendix {made.appendix}")
        list_faults(made.warnings, "warning")
        faults = made.faults
    if arguments.json:
        print_json(about | {"faults": faults})
    return list_faults(faults)
