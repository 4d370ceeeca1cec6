"""Commands that train: run, with the notebook, and train, without it."""

import ast
import contextlib
import dataclasses
import json

from clip_lib.atomic import replacing
from clip_lib.cli.common import Answer
from clip_lib.config import Config
from clip_lib.data.captions_table import TABLE
from clip_lib.data.dataset import load_dataset
from clip_lib.data.source import DEFAULT_FOLDER
from clip_lib.errors import ClipError
from clip_lib.evaluation.evaluate import evaluate_indexes, report_table
from clip_lib.retrieval import search
from clip_lib.retrieval.answers import (
    QUERIES,
    answer_lines,
    answer_records,
    gallery_words,
    with_captions,
)
from clip_lib.towers.choice import choose_builders
from clip_lib.training import pipeline


def run(arguments, config) -> Answer:
    """Execute the notebook, then query the model that it saved."""
    # Here: only the hand-in needs what executes a notebook.
    from clip_lib.handin.notebook import NOTEBOOK, execute_notebook
    from clip_lib.handin.team import read_team

    read_team()
    if config.dataset_dir or (DEFAULT_FOLDER / TABLE).is_file():
        # Refuse here what the first cells would refuse half a minute later.
        dataset = load_dataset(config)
        if not dataset.class_names:
            raise ClipError(
                f"{dataset.folder}: no labels, which the notebook's classifiers need; "
                "train CLIP alone with `python -m clip_lib train`."
            )
    written = execute_notebook(output=arguments.output or config.model_path(NOTEBOOK))
    engine = search.Search.load(config.clip_file)
    answers = {}
    for query in QUERIES:
        # One's own captions may hold none of its words.
        with contextlib.suppress(ClipError):
            answers[query] = engine.images_for(query)
    where = gallery_words(engine, "test")
    lines = [
        f"\n{query}\namong {where}\n{answer_lines(with_captions(table, engine))}"
        for query, table in answers.items()
    ]
    lines.append(f"\nNotebook: {written}\nModels and indexes: {config.model_dir}/")
    found = {query: answer_records(table) for query, table in answers.items()}
    about = {"notebook": str(written), "models": config.model_dir, "answers": found}
    return Answer("\n".join(lines), about)


def train(arguments, config) -> Answer:
    """Train a CLIP on any folder, with labels or without, and measure it."""
    config = changed(config, arguments.set)
    dataset = load_dataset(config)
    sizes = {split: len(dataset.pictures(split)) for split in ("train", "test")}
    labels = ", ".join(dataset.class_names) or "none: CLIP alone is trained"
    print(f"{sizes['train']} {dataset.source} to learn from, labels {labels}")
    pipeline.train(dataset, config, choose_builders(config))
    clip = search.Clip.load(config.clip_file)
    images, texts = search.build_indexes(clip, dataset)
    images.save(config.model_path(search.IMAGE_INDEX_FILE))
    texts.save(config.model_path(search.TEXT_INDEX_FILE))
    report = evaluate_indexes(images.part("test"), texts.part("test"), clip)
    report = {"model": str(config.clip_file), "split": "test"} | report
    with replacing(config.model_path("results.json")) as temporary:
        temporary.write_text(json.dumps(report, indent=2), encoding="utf-8")
    return Answer(
        f"\n{sizes['test']} test pictures, {report['pairs']} captions\n"
        f"{report_table(report).to_string()}\n\nModel: {config.clip_file}",
        report,
    )


def changed(config: Config, settings: list[str]) -> Config:
    """Return a configuration with settings such as ``clip_epochs=5``.

    Raises:
        ClipError: If one is not NAME=VALUE, NAME a setting and VALUE of its type.
    """
    known, changes = vars(config), {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in known:
            names = ", ".join(known)
            raise ClipError(
                f"--set {setting}: expected NAME=VALUE, NAME being one of {names}."
            )
        value, default = text, known[name]
        if not isinstance(default, str):
            with contextlib.suppress(ValueError, SyntaxError):
                value = ast.literal_eval(text)
        if type(value) is int and isinstance(default, float):
            value = float(value)
        if type(value) is not type(default):
            raise ClipError(f"--set {setting}: expected a value such as {default!r}.")
        changes[name] = value
    return dataclasses.replace(config, **changes)
