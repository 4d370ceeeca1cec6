"""Measure what a pretrained picture encoder costs, beside the CNN.

    python benchmarks/backbones.py --data FOLDER

Seconds of one epoch over the training pictures, network frozen and then fine-tuned (the
faster of two epochs, since the first one also compiles), milliseconds of one query, and
the size of the saved classifier. The weights are drawn at random: no cost depends on
what they are.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from clock import Clock
from record import each_in_its_process, machine, peak_gigabytes, write_result

sys.path.insert(0, str(Path(__file__).parents[1]))

from clip_lib.config import IMAGE_ENCODERS, Config
from clip_lib.data.dataset import load_dataset
from clip_lib.data.pipelines import image_batches
from clip_lib.models.encoders import unfreeze, without_head
from clip_lib.models.initialization import start_image_classifier
from clip_lib.models.saving import save_model
from clip_lib.training.optimizer import build_optimizer

EPOCHS = 2
QUERIES = 20


def seconds_per_epoch(model: keras.Model, batches, config: Config) -> float:
    """Train for a few epochs; return the seconds of the fastest."""
    steps = EPOCHS * int(batches.cardinality())
    optimizer = build_optimizer(config.learning_rate, config.weight_decay, steps)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    clock = Clock()
    model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[clock])
    return min(clock.epochs)


def megabytes(model: keras.Model) -> float:
    """Return the size of a model's file, its optimiser included."""
    with tempfile.TemporaryDirectory() as folder:
        return save_model(model, f"{folder}/model.keras").stat().st_size / 1e6


def query_milliseconds(model: keras.Model) -> float:
    """Return the median time of the features of one picture."""
    features = without_head(model)
    image = np.zeros((1, *features.input.shape[1:]), "float32")
    times = []
    for _ in range(QUERIES + 1):
        begin = time.perf_counter()
        features.predict_on_batch(image)
        times.append(time.perf_counter() - begin)
    return 1e3 * float(np.median(times[1:]))  # The first one compiles.


def measure(config: Config) -> dict:
    """Measure one encoder.

    Args:
        config: Names it, and says where the data is.

    Returns:
        ``weights``, ``features`` (their number), ``pictures`` of an epoch,
        ``frozen_seconds``, ``frozen_megabytes``, for a pretrained network also
        ``fine_tuned_seconds`` and ``fine_tuned_megabytes``, ``query_milliseconds`` and
        ``peak_gigabytes``.
    """
    dataset = load_dataset(config)
    model = start_image_classifier(dataset, config)
    rows = dataset.pictures("train")
    batches = image_batches(
        dataset.paths(rows),
        config.image_size,
        config.batch_size,
        dataset.labels(rows),
        training=True,
    )
    found = {
        "weights": model.count_params(),
        "features": model.get_layer("features").output.shape[-1],
        "pictures": len(rows),
        "query_milliseconds": query_milliseconds(model),
        "frozen_seconds": seconds_per_epoch(model, batches, config),
        "frozen_megabytes": megabytes(model),
    }
    if unfreeze(model):
        found["fine_tuned_seconds"] = seconds_per_epoch(model, batches, config)
        found["fine_tuned_megabytes"] = megabytes(model)
    return found | {"peak_gigabytes": peak_gigabytes()}


def main() -> None:
    """Measure every encoder into benchmarks/results/backbones.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="data folder, or 'scenes'")
    data = parser.parse_args().data
    configs = [Config(dataset_dir=data, image_encoder=name) for name in IMAGE_ENCODERS]
    measured = {}
    for config, found in zip(
        configs, each_in_its_process(measure, configs), strict=True
    ):
        print(config.image_encoder, found, flush=True)
        measured[config.image_encoder] = found
    size = list(Config().image_size)
    command = "python benchmarks/backbones.py --data ..."
    about = {"command": command, "machine": machine(), "image_size": size}
    write_result("backbones", about | {"encoders": measured})


if __name__ == "__main__":
    main()
