"""Train and measure the three models, over seeds or over folds.

A seed changes everything that is drawn: the split, the starting weights, the order of
the batches. With ``--folds 5`` each picture is tested once. Choices (the epoch kept)
are made on validation; test is measured once.

    python benchmarks/pipeline.py --data FOLDER --name folds --folds 5 --seeds 42
    python benchmarks/pipeline.py --data FOLDER --name tuned --preset fine-tuning
    python benchmarks/pipeline.py --data FOLDER --name five --folds 5 --seeds 42 \\
        --captions FILE
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from record import each_in_its_process, machine, peak_gigabytes, write_result

sys.path.insert(0, str(Path(__file__).parents[1]))

from clip_lib import silence_tensorflow as quiet  # noqa: F401
from clip_lib.config import PRESETS, Config
from clip_lib.data.dataset import Dataset, load_dataset
from clip_lib.data.pipelines import image_batches
from clip_lib.data.vocabulary import encode
from clip_lib.evaluation.evaluate import evaluate_dataset
from clip_lib.training.pipeline import train


def with_captions(dataset: Dataset, file) -> Dataset:
    """Give the training pictures all the captions of a table, and no other picture.

    Args:
        dataset: Split data.
        file: CSV with the columns image_path and caption, several rows a picture.
    """
    table = pd.read_csv(file)[["image_path", "caption"]]
    train = dataset.pictures("train").drop(columns="caption")
    missing = set(train["image_path"]) - set(table["image_path"])
    if missing:
        raise ValueError(f"{file}: no caption for {min(missing)}.")
    rest = dataset.records[dataset.records["split"] != "train"]
    records = pd.concat([train.merge(table, on="image_path"), rest], ignore_index=True)
    return dataclasses.replace(dataset, records=records)


def measure(config: Config, captions=None, fold=None) -> dict:
    """Run the notebook's path once; return its numbers on test."""
    dataset = load_dataset(config, fold=fold)
    if not dataset.class_names:
        raise ValueError(f"{dataset.folder}: no labels; see pretraining.py.")
    if captions:
        dataset = with_captions(dataset, captions)
    started = time.monotonic()
    trained = train(dataset, config)
    engine, history = trained.clip, trained.history
    minutes = (time.monotonic() - started) / 60
    test = dataset.test
    labels = dataset.labels(test)
    batches = image_batches(dataset.paths(test), config.image_size)
    token_ids = encode(engine.vectorizer, test["caption"])
    return {
        "seed": config.seed,
        "fold": fold[0] if fold else 0,
        "pairs": {part: len(dataset.part(part)) for part in ("train", "validation")},
        "minutes": minutes,
        "peak_gigabytes": peak_gigabytes(),
        "epochs": len(history["loss"]),
        "temperature": history["temperature"][-1],
        "image_accuracy": _accuracy(trained.image_classifier, batches, labels),
        "text_accuracy": _accuracy(trained.text_classifier, token_ids, labels),
        "chance_accuracy": 1 / len(dataset.class_names),
        "clip": evaluate_dataset(engine, dataset, "test"),
    }


def _accuracy(model, inputs, labels) -> float:
    return float((model.predict(inputs, verbose=0).argmax(axis=1) == labels).mean())


def _measure_in_folder(task) -> dict:
    config, *how = task
    with tempfile.TemporaryDirectory() as folder:
        return measure(dataclasses.replace(config, model_dir=folder), *how)


def main() -> None:
    """Measure every seed and fold; write benchmarks/results/pipeline_<name>.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="data folder, or 'scenes'")
    parser.add_argument("--name", required=True, help="of the result")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=0, help="cross-validation")
    parser.add_argument("--captions", help="table with more captions to train on")
    parser.add_argument("--preset", choices=PRESETS, default="course")
    parser.add_argument("--quick", action="store_true", help="a trial, not written")
    arguments = parser.parse_args()
    make = Config.quick if arguments.quick else PRESETS[arguments.preset]
    folds = [(number, arguments.folds) for number in range(arguments.folds)] or [None]
    tasks = [
        (make(seed=seed, dataset_dir=arguments.data), arguments.captions, fold)
        for seed in arguments.seeds
        for fold in folds
    ]
    runs = []
    for run in each_in_its_process(_measure_in_folder, tasks):
        runs.append(run)
        print(json.dumps(run), flush=True)
    if arguments.quick:
        return
    chosen = dataclasses.asdict(make())
    for name in ("seed", "model_dir", "dataset_dir"):
        chosen.pop(name)
    options = f"--seeds {' '.join(map(str, arguments.seeds))}"
    options += f" --folds {arguments.folds}" if arguments.folds else ""
    options += " --captions ..." if arguments.captions else ""
    options += f" --preset {arguments.preset}" * (arguments.preset != "course")
    command = f"python benchmarks/pipeline.py --data ... --name {arguments.name}"
    result = {
        "command": f"{command} {options}",
        "machine": machine(),
        "config": chosen,
        "runs": runs,
    }
    write_result(f"pipeline_{arguments.name}", result)


if __name__ == "__main__":
    main()
