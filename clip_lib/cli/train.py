"""The command that trains without the notebook. Imports stand inside: they are slow."""

import ast
import dataclasses
import sys

from clip_lib.cli.common import DATA, STRATEGY, add
from clip_lib.config import PRESETS, Config
from clip_lib.errors import ClipError


def train(arguments, config) -> None:
    """Train a CLIP on any folder, with labels or without, and measure it."""
    import contextlib
    import json

    from clip_lib.atomic import replacing
    from clip_lib.cli.output import print_json
    from clip_lib.data.dataset import load_dataset
    from clip_lib.evaluation.evaluate import evaluate_indexes, report_table
    from clip_lib.retrieval.search import (
        IMAGE_INDEX_FILE,
        TEXT_INDEX_FILE,
        Clip,
        build_indexes,
    )
    from clip_lib.towers.choice import choose_builders
    from clip_lib.training.distribution import check_batch_size, open_strategy
    from clip_lib.training.pipeline import train as train_clip

    config = changed(config, arguments.set)
    check_batch_size(config.clip_batch_size, open_strategy(config.strategy))
    # With --json, the standard output holds the figures alone.
    with contextlib.redirect_stdout(sys.stderr if arguments.json else sys.stdout):
        dataset = load_dataset(config)
        sizes = {split: len(dataset.pictures(split)) for split in ("train", "test")}
        labels = ", ".join(dataset.class_names) or "none: CLIP alone is trained"
        print(f"{sizes['train']} {dataset.source} to learn from, labels {labels}")
        train_clip(dataset, config, choose_builders(config))
        clip = Clip.load(config.clip_file)
        indexes = build_indexes(clip, dataset)
        for index, name in zip(
            indexes, (IMAGE_INDEX_FILE, TEXT_INDEX_FILE), strict=True
        ):
            index.save(config.model_path(name))
        report = evaluate_indexes(*(index.part("test") for index in indexes), clip)
    report = {"model": str(config.clip_file), "split": "test"} | report
    with replacing(config.model_path("results.json")) as temporary:
        temporary.write_text(json.dumps(report, indent=2), encoding="utf-8")
    if arguments.json:
        print_json(report)
        return
    print(f"\n{sizes['test']} test pictures, {report['pairs']} captions")
    print(report_table(report).to_string())
    print(f"\nModel: {config.clip_file}")


def changed(config: Config, settings: list[str]) -> Config:
    """Return a configuration with settings such as ``clip_epochs=5``.

    Raises:
        ClipError: If one is not NAME=VALUE, or its name or its kind is another.
    """
    changes = {}
    kinds = {field.name: field for field in dataclasses.fields(config)}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in kinds:
            raise ClipError(
                f"--set {setting}: expected NAME=VALUE, NAME being one of "
                f"{', '.join(kinds)}."
            )
        default = getattr(config, name)
        try:
            value = text if isinstance(default, str) else ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        whole = isinstance(value, int) and isinstance(default, float)
        value = float(value) if whole else value
        if type(value) is not type(default):
            raise ClipError(f"--set {setting}: expected a value such as {default!r}.")
        changes[name] = value
    return dataclasses.replace(config, **changes)


def add_commands(choices) -> None:
    """Add this command to a parser's subparsers."""
    command = add(
        choices,
        "train",
        train,
        "--data ~/photos                     as the notebook does, without it",
        "--data ~/photos --preset fine-tuning  from our own pretrained weights",
        "--data ~/photos --set clip_epochs=5 --set seed=1",
        model=False,
    )
    command.add_argument("--data", metavar="FOLDER", help=DATA)
    command.add_argument("--models", metavar="FOLDER", help="where to save (models/)")
    command.add_argument("--preset", choices=PRESETS, help="a configuration (course)")
    command.add_argument("--strategy", metavar="NAME", help=STRATEGY)
    command.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="change a setting of the configuration; may be repeated",
    )
