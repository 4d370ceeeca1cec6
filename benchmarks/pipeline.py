"""Train and measure the three models over several seeds.

A seed changes everything that is drawn: the split, the starting weights, the order of
the batches. Choices (the epoch kept) are made on validation; test is measured once.

    python benchmarks/pipeline.py --data FOLDER --name photos
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from clip_lib import quiet  # noqa: F401
from clip_lib.atomic import replacing
from clip_lib.batches import image_batches
from clip_lib.clip import build_clip, split_encoders
from clip_lib.config import Config
from clip_lib.data import load_dataset
from clip_lib.encoders import without_head
from clip_lib.evaluate import evaluate_dataset, zero_shot
from clip_lib.retrieval import Clip
from clip_lib.text import encode, learn_vocabulary
from clip_lib.train import fit_clip, fit_image_classifier, fit_text_classifier

RESULTS = Path(__file__).parent / "results"


def measure(config: Config) -> dict:
    """Run the notebook's path once; return its figures on test."""
    started = time.monotonic()
    dataset = load_dataset(config)
    vectorizer = learn_vocabulary(dataset.train["caption"], config)
    image_classifier, _ = fit_image_classifier(
        dataset, config, config.model_path("image.keras")
    )
    text_classifier, _ = fit_text_classifier(
        dataset, vectorizer, config, config.model_path("text.keras")
    )
    clip = build_clip(
        without_head(image_classifier, warm=config.warm_start),
        without_head(text_classifier, warm=config.warm_start),
        config,
    )
    clip, history = fit_clip(
        clip, dataset, vectorizer, config, config.model_path("clip.keras")
    )
    minutes = (time.monotonic() - started) / 60
    test = dataset.test
    labels = dataset.labels(test)
    batches = image_batches(dataset.paths(test), config.image_size)
    token_ids = encode(vectorizer, test["caption"])
    engine = Clip(*split_encoders(clip), vectorizer)
    prompted = zero_shot(
        engine, engine.embed_images(dataset.paths(test)), dataset.class_names
    )
    return {
        "seed": config.seed,
        "minutes": minutes,
        "epochs": len(history.epoch),
        "temperature": clip.get_layer("contrastive_loss").temperature,
        "image_accuracy": _accuracy(image_classifier, batches, labels),
        "text_accuracy": _accuracy(text_classifier, token_ids, labels),
        "zero_shot_accuracy": float((prompted == test["label"].to_numpy()).mean()),
        "chance_accuracy": 1 / len(dataset.class_names),
        "clip": evaluate_dataset(engine, dataset, "test"),
    }


def _accuracy(model, inputs, labels) -> float:
    return float((model.predict(inputs, verbose=0).argmax(axis=1) == labels).mean())


def main() -> None:
    """Measure every seed and write benchmarks/results/pipeline_<name>.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="data folder, or 'scenes'")
    parser.add_argument("--name", required=True, help="of the result")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="a trial")
    arguments = parser.parse_args()
    make = Config.quick if arguments.quick else Config
    runs = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            config = make(dataset_dir=arguments.data, model_dir=folder, seed=seed)
            runs.append(measure(config))
        print(json.dumps(runs[-1]), flush=True)
    settings = dataclasses.asdict(make())
    for name in ("seed", "model_dir", "dataset_dir"):
        settings.pop(name)
    result = {
        "command": f"python benchmarks/pipeline.py --data ... --name {arguments.name}",
        "machine": f"{os.cpu_count()} cores {platform.machine()}, no GPU",
        "config": settings,
        "runs": runs,
    }
    path = RESULTS / f"pipeline_{arguments.name}.json"
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
