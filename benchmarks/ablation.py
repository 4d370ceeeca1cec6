"""What each piece of the recipe brings: take it away, measure on validation.

The test part of the same split takes no part.

    python benchmarks/ablation.py --data FOLDER
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from clip_lib import silence_tensorflow as quiet  # noqa: F401

# isort: split
import keras
import numpy as np
from record import machine, write_result

from clip_lib.config import Config
from clip_lib.data.dataset import load_dataset
from clip_lib.data.pipelines import image_batches
from clip_lib.data.vocabulary import learn_vocabulary
from clip_lib.evaluation.evaluate import evaluate_dataset
from clip_lib.models.clip import build_clip
from clip_lib.models.encoders import build_text_classifier, without_head
from clip_lib.models.initialization import (
    scale_features,
    start_image_classifier,
    start_text_classifier,
)
from clip_lib.models.saving import split_encoders
from clip_lib.retrieval.search import Clip
from clip_lib.training.fit import fit_clip, fit_image_classifier, fit_text_classifier

CHANGES = {
    "the recipe": {},
    "without targets shared by label": {"label_share": 0.0},
    "without label smoothing": {"label_smoothing": 0.0},
    "without word dropout": {"word_dropout": 0.0},
    "without dropout of the features": {"feature_dropout": 0.0},
    "temperature from 0.07": {"temperature": 0.07},
    "image encoder not locked": {"locked_images": False},
    "batches of 42": {"clip_batch_size": 42},
}
"""Changes of CLIP's training alone: the classifiers are those of the recipe."""


class Trainings:
    """The trainings of one seed; those that variants share are made once."""

    def __init__(self, config: Config):
        self.config = config
        self.dataset = load_dataset(config)
        self.vectorizer = learn_vocabulary(self.dataset.train["caption"], config)
        self.labels = len(self.dataset.class_names)

    def image(self, model=None):
        """Train the CNN, from its own start or from another."""
        path = self.config.model_path("image.keras")
        return fit_image_classifier(self.dataset, self.config, path, model)

    def text(self, model=None):
        """Train SmallBERT, from its own start or from another."""
        path = self.config.model_path("text.keras")
        return fit_text_classifier(
            self.dataset, self.vectorizer, self.config, path, model
        )

    def clip(self, image, text, **changes) -> dict:
        """Train CLIP from two classifiers; measure it on validation."""
        started = time.monotonic()
        config = dataclasses.replace(self.config, **changes)
        clip = build_clip(without_head(image), without_head(text), config)
        path = config.model_path("clip.keras")
        clip, _ = fit_clip(clip, self.dataset, self.vectorizer, config, path)
        engine = Clip(*split_encoders(clip), self.vectorizer)
        report = evaluate_dataset(engine, self.dataset, "validation")
        return {"seconds": time.monotonic() - started, "clip": report}


def measure(config: Config) -> dict:
    """Train every variant of one seed; return its figures on validation."""
    runs = Trainings(config)
    image, image_history = runs.image()
    text, text_history = runs.text()
    variants = {
        name: runs.clip(image, text, **changes) for name, changes in CHANGES.items()
    }
    variants["classifiers as they start, not trained"] = runs.clip(
        start_image_classifier(runs.dataset, config),
        start_text_classifier(runs.dataset, runs.vectorizer, config),
    )
    accuracy = {"CNN": image_history, "SmallBERT": text_history}
    pictures = runs.dataset.paths(runs.dataset.pictures("train"))
    for name, at_random in (
        ("convolution as it starts", False),
        ("convolution at random", True),
    ):
        plain = start_image_classifier(runs.dataset, config)
        describe = plain.get_layer("descriptors")
        if at_random:
            kernel, bias = describe.get_weights()
            spread = 1 / np.sqrt(kernel[..., 0].size)
            random = np.random.default_rng(config.seed)
            kernel = random.normal(0, spread, kernel.shape)
            describe.set_weights([kernel, 0 * bias])
            scale_features(plain, image_batches(pictures, config.image_size))
        else:
            describe.trainable = False
        plain, accuracy[f"CNN, {name}"] = runs.image(plain)
        variants[name] = runs.clip(plain, text)
    keras.utils.set_random_seed(config.seed)
    words = runs.vectorizer.vocabulary_size()
    plain, history = runs.text(build_text_classifier(config, words, runs.labels))
    variants["word vectors at random"] = runs.clip(image, plain)
    accuracy["SmallBERT, word vectors at random"] = history
    best = {name: max(h.history["val_accuracy"]) for name, h in accuracy.items()}
    return {"seed": config.seed, "best_accuracy": best, "variants": variants}


def main() -> None:
    """Measure every seed and write benchmarks/results/ablation.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="data folder, or 'scenes'")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="a trial: writes nothing")
    arguments = parser.parse_args()
    make = Config.quick if arguments.quick else Config
    runs = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            config = make(dataset_dir=arguments.data, model_dir=folder, seed=seed)
            runs.append(measure(config))
        keras.backend.clear_session()
    result = {
        "command": "python benchmarks/ablation.py --data ...",
        "machine": machine(),
        "split": "validation",
        "runs": runs,
    }
    if arguments.quick:
        print(json.dumps(result)[:500])
        return
    write_result("ablation", result)


if __name__ == "__main__":
    main()
