"""What a training costs as it grows: pictures, batch, size of the pictures.

Each row is a process of its own. More pictures than there are come by repetition: each
copy is another file to the training, with captions of its own. Memory is the most that
the process held, what TensorFlow takes at the start included; the pages of the file of
features are the system's, not the process's.

    python benchmarks/growth.py --data FOLDER
"""

import argparse
import csv
import dataclasses
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from clock import Clock
from record import each_in_its_process, machine, peak_gigabytes, write_result

sys.path.insert(0, str(Path(__file__).parents[1]))

from clip_lib import silence_tensorflow as quiet  # noqa: F401

# isort: split
import keras
import tensorflow as tf

from clip_lib.config import Config
from clip_lib.data.captions_table import TABLE
from clip_lib.data.dataset import Dataset, load_dataset
from clip_lib.data.pipelines import CachedFeatures, image_batches
from clip_lib.data.vocabulary import learn_vocabulary
from clip_lib.models.clip import build_clip
from clip_lib.models.encoders import without_head
from clip_lib.models.initialization import start_image_classifier, start_text_classifier
from clip_lib.models.learner import learner, locked_features
from clip_lib.training.fit import clip_batches
from clip_lib.training.fitting import fit
from clip_lib.training.optimizer import build_optimizer

PICTURES = (600, 2_000, 7_291, 50_000)
BATCHES = (128, 256, 1_024)
SIDES = (96, 160, 224)


def repeated_folder(dataset: Dataset, pictures: int, folder: Path) -> Path:
    """Write a data folder with so many training pictures, links to those there are.

    Args:
        dataset: What is repeated; validation and test stay as they are.
        pictures: Training pictures asked for.
        folder: Where to write.
    """
    rows = dataset.records
    held_out = rows[rows["split"] != "train"]
    train = dataset.pictures("train")["image_path"]
    captions = dataset.train.groupby("image_path")["caption"].apply(list)
    (folder / "images").mkdir(parents=True)
    with open(folder / TABLE, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("image_path", "split", "caption"))
        for number, path in enumerate(
            itertools.islice(itertools.cycle(train), pictures)
        ):
            name = f"images/{number}{Path(path).suffix}"
            os.symlink((dataset.folder / path).resolve(), folder / name)
            table.writerows((name, "train", caption) for caption in captions[path])
        for number, row in enumerate(held_out.itertuples()):
            name = f"images/other_{number}{Path(row.image_path).suffix}"
            os.symlink((dataset.folder / row.image_path).resolve(), folder / name)
            table.writerow((name, row.split, row.caption))
    return folder


def _seconds(call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _drain(stream) -> None:
    for _ in stream:
        pass


def parts(model: keras.Model, batch, repeats: int) -> dict[str, float]:
    """Time the parts of a step of the learner; milliseconds a picture."""

    @tf.function
    def forward(batch):
        model(batch, training=True)
        return sum(model.losses)

    @tf.function
    def both_ways(batch):
        with tf.GradientTape() as tape:
            model(batch, training=True)
            loss = sum(model.losses)
        return tape.gradient(loss, model.trainable_variables)

    gradients = both_ways(batch)

    @tf.function
    def apply(gradients):
        model.optimizer.apply(gradients, model.trainable_variables)

    def median(call, argument):
        times = [_seconds(lambda: call(argument)) for _ in range(repeats + 2)][2:]
        return 1e3 * float(np.median(times)) / len(batch["text_input"])

    once = median(forward, batch)
    return {
        "forward": once,
        "backward": median(both_ways, batch) - once,
        "optimiser": median(apply, gradients),
    }


def measure(task) -> dict:
    """Train for a few epochs; return seconds and memory.

    Args:
        task: Configuration, number of training pictures, epochs, repetitions.
    """
    config, pictures, epochs, repeats = task
    with tempfile.TemporaryDirectory() as folder:
        source = load_dataset(config)
        data = repeated_folder(source, pictures, Path(folder) / "data")
        dataset = load_dataset(dataclasses.replace(config, dataset_dir=str(data)))
        return _measure(dataset, config, epochs, repeats, folder)


def _measure(dataset, config, epochs, repeats, folder) -> dict:
    paths = dataset.paths(dataset.pictures("train"))
    vectorizer = learn_vocabulary(dataset.train["caption"], config)
    clip = build_clip(
        without_head(start_image_classifier(dataset, config)),
        without_head(start_text_classifier(dataset, vectorizer, config)),
        config,
    )
    before = peak_gigabytes()
    decoded = image_batches(paths, config.image_size, training=True)
    reading = [_seconds(lambda: _drain(decoded)) for _ in range(2)]
    began = time.perf_counter()
    features = CachedFeatures(locked_features(clip), paths, config.image_size, folder)
    computing = time.perf_counter() - began
    batches = clip_batches(dataset, vectorizer, config, "train", features)
    steps = int(batches.cardinality())
    feeding = _seconds(lambda: _drain(batches))
    model = learner(clip)
    model.compile(
        build_optimizer(config.clip_learning_rate, config.weight_decay, epochs * steps)
    )
    clock = Clock()
    fit(model, batches, None, epochs, [clock])
    step = {"decode": 1e3 * reading[-1] / len(paths)}
    step["image features, once"] = 1e3 * computing / len(paths) - step["decode"]
    step["read features, draw captions"] = 1e3 * feeding / len(paths)
    step |= parts(model, next(iter(batches)), repeats)
    return {
        "pictures": len(paths),
        "captions": len(dataset.train),
        "batch": min(config.clip_batch_size, len(paths)),
        "side": config.image_size[0],
        "seconds": {
            "reading, first epoch": reading[0],
            "reading, later": reading[1],
            "features, once": computing,
            "first epoch": clock.epochs[0],
            "later epochs": float(np.median(clock.epochs[1:])),
        },
        "features_gigabytes": features.array.nbytes / 1e9,
        "gigabytes": {"before": before, "peak": peak_gigabytes()},
        "milliseconds_per_picture": step,
    }


def main() -> None:
    """Measure every size and write benchmarks/results/growth.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder without labels")
    parser.add_argument("--pictures", type=int, nargs="+", default=list(PICTURES))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a trial, not written")
    arguments = parser.parse_args()
    base = Config.pretraining(dataset_dir=arguments.data)
    usual = sorted(arguments.pictures)[len(arguments.pictures) // 2]

    def task(pictures=usual, **changes):
        config = dataclasses.replace(base, **changes)
        return config, pictures, arguments.epochs, 3 if arguments.quick else 20

    axes = {"pictures": [task(pictures) for pictures in arguments.pictures]}
    if not arguments.quick:
        axes["batch"] = [task(clip_batch_size=size) for size in BATCHES]
        axes["side"] = [task(image_size=(side, side)) for side in SIDES]
    runs = []
    tasks = [(axis, task) for axis, tasks in axes.items() for task in tasks]
    found = each_in_its_process(measure, [task for _, task in tasks])
    for (axis, _), run in zip(tasks, found, strict=True):
        runs.append({"axis": axis} | run)
        print(json.dumps(runs[-1]), flush=True)
    if not arguments.quick:
        command = "python benchmarks/growth.py --data ..."
        about = {"command": command, "machine": machine(), "usual": usual}
        write_result("growth", about | {"runs": runs})


if __name__ == "__main__":
    main()
