"""Commands that look at data and models: check, evaluate, clean."""

import dataclasses
from pathlib import Path

import matplotlib

from clip_lib.cli.common import Answer, find_model, save_figure, warn
from clip_lib.data.check import check_folder, report_text
from clip_lib.data.dataset import load_dataset
from clip_lib.data.source import SCENES, find_folder
from clip_lib.errors import ClipError
from clip_lib.evaluation.cleaning import (
    duplicate_groups,
    find_suspicions,
    read_list,
    write_clean,
    write_list,
)
from clip_lib.evaluation.evaluate import (
    evaluate_dataset,
    evaluate_indexes,
    report_table,
)
from clip_lib.figures.image_grids import contact_sheet
from clip_lib.retrieval.answers import table_text
from clip_lib.retrieval.photo_folder import find_data, open_folder, open_gallery
from clip_lib.retrieval.search import Clip
from clip_lib.towers.texts import load_tokenizer


def check(arguments, config) -> Answer:
    """Check a data folder: exit status 0 sound, 1 findings, 2 unusable."""
    folder = arguments.data
    # A folder that does not exist is for the report to name: status 2, in JSON too.
    if not folder or folder == SCENES or Path(folder).is_dir():
        folder, _ = find_folder(config)
    vectorizer = None
    if config.text_encoder != "smallbert":
        whole = dataclasses.replace(config, sequence_length=512)
        vectorizer = load_tokenizer([], whole)
    report = check_folder(folder, config, vectorizer)
    return Answer(report_text(report), report, report["status"])


def evaluate(arguments, config) -> Answer:
    """Measure a saved model, on the data of its training or on any folder."""
    model_file = find_model(arguments.model, config)
    if arguments.data:
        split = arguments.split or "all"
        clip = Clip.load(model_file)
        if split != "all" and clip.config is None:
            warn(f"{model_file}: no config.json; split by the environment's settings")
        # By the model's own settings: no test picture was trained on.
        trained = clip.config or config
        settings = dataclasses.replace(trained, dataset_dir=config.dataset_dir)
        dataset = load_dataset(settings, split=split != "all")
        report = evaluate_dataset(clip, dataset, split)
    else:
        # The indexes hold the part of the training's split that each picture was in.
        engine, split = open_gallery(model_file, arguments.split, config)
        if engine.texts is None:
            raise ClipError(
                f"{engine.images.source}: pictures without captions; expected a folder "
                "with captions.csv."
            )
        report = {"split": split, "source": engine.images.source}
        parts = engine.images.part(split), engine.texts.part(split)
        report |= evaluate_indexes(*parts, engine.clip)
    lines = [f"{report['pairs']} pairs, split {split}, {report['source']}"]
    lines += [report_table(report).to_string()]
    if found := report.get("zero_shot"):
        chance = f"(chance {found['chance']:.3f})"
        lines += [f"zero-shot accuracy {found['accuracy']:.3f} {chance}"]
    return Answer("\n".join(lines), report)


def clean(arguments, config) -> Answer:
    """List what CLIP and a perceptual hash find odd; nothing is deleted."""
    model_file = find_model(arguments.model, config)
    if arguments.data:
        engine = open_folder(Clip.load(model_file), find_data(config))
    else:
        engine, _ = open_gallery(model_file, None, config)
    if engine.texts is None or "labels" not in engine.texts.items:
        return _duplicates(engine.images, arguments)
    lines = []
    if arguments.reviewed:
        found = read_list(arguments.reviewed)
    else:
        found = find_suspicions(engine.images, engine.texts, arguments.limit)
        output = arguments.output or "suspicions.csv"
        write_list(found, output)
        worst = found.groupby("kind", sort=False).head(5)
        lines += [table_text(worst), f"{len(found)} suspicions: {output}"]
    if arguments.sheet:
        matplotlib.use("Agg")
        save_figure(contact_sheet(found, engine.images), arguments.sheet)
    if arguments.write_clean:
        left_out = write_clean(find_data(config), found, arguments.write_clean)
        lines += [f"{left_out} rows left out: {arguments.write_clean}"]
    return Answer("\n".join(lines), found)


def _duplicates(images, arguments) -> Answer:
    """List the near-duplicates of pictures that have no labels."""
    if arguments.sheet or arguments.reviewed or arguments.write_clean:
        raise ClipError(
            f"{images.source}: pictures without captions and labels; --sheet, "
            "--reviewed and --write-clean are for those of a data folder."
        )
    found, output = duplicate_groups(images), arguments.output or "duplicates.csv"
    write_list(found, output)
    count = found["group"].nunique()
    line = f"{count} groups of near-duplicates among {len(images.items)} pictures"
    lines = [table_text(found)] if count else []
    records = found.to_json(orient="records", force_ascii=False)
    return Answer("\n".join([*lines, f"{line}: {output}"]), records)
