"""The command that trains without the notebook."""

import ast
import contextlib
import dataclasses

from clip_lib.cli.common import Answer, add
from clip_lib.config import PRESETS, Config
from clip_lib.errors import ClipError


def train(arguments, config) -> Answer:
    """Train a CLIP on any folder, with labels or without, and measure it.

    python -m clip_lib train --data ~/photos --preset fine-tuning
    python -m clip_lib train --data ~/photos --set clip_epochs=5 --set seed=1
    """
    import json

    from clip_lib.atomic import replacing
    from clip_lib.data.dataset import load_dataset
    from clip_lib.evaluation.evaluate import evaluate_indexes, report_table
    from clip_lib.retrieval.search import (
        IMAGE_INDEX_FILE,
        TEXT_INDEX_FILE,
        build_indexes,
    )
    from clip_lib.training.distribution import open_devices
    from clip_lib.training.pipeline import train as train_clip

    config = open_devices(changed(config, arguments.set))
    dataset = load_dataset(config)
    sizes = {split: len(dataset.pictures(split)) for split in ("train", "test")}
    labels = ", ".join(dataset.class_names) or "none: CLIP alone is trained"
    print(f"{sizes['train']} {dataset.source} to learn from, labels {labels}")
    clip = train_clip(dataset, config).clip
    images, texts = build_indexes(clip, dataset)
    images.save(config.model_path(IMAGE_INDEX_FILE))
    texts.save(config.model_path(TEXT_INDEX_FILE))
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


def add_commands(choices) -> None:
    """Add this command to a parser's subparsers."""
    command = add(choices, "train", train, "--data --models --strategy")
    command.add_argument("--preset", choices=PRESETS, help="a configuration (course)")
    command.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="change a setting of the configuration; may be repeated",
    )
