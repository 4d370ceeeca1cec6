"""What each piece of the recipe brings: change it, measure on the validation parts.

The test part of a fold takes no part. The folds are those of pipeline.py, so that a
variant and the recipe are compared fold by fold.

    python benchmarks/ablation.py --data FOLDER --jobs 5
    python benchmarks/ablation.py --data FOLDER --fold 0 1   # the others later
"""

import dataclasses
import functools
import time
from unittest import mock

import numpy as np
from record import complete, measure_all, options, provenance, write_result

from clip_lib import silence_tensorflow  # noqa: F401

# isort: split
import keras
from keras import layers, ops

from clip_lib.config import Config
from clip_lib.data.dataset import load_dataset
from clip_lib.data.pipelines import image_batches
from clip_lib.data.vocabulary import learn_vocabulary
from clip_lib.evaluation.evaluate import evaluate_dataset
from clip_lib.models.augmentation import augment
from clip_lib.models.clip import build_clip, without_head
from clip_lib.models.contrastive_loss import contrastive_loss
from clip_lib.models.initialization import (
    scale_features,
    start_image_classifier,
    start_text_classifier,
)
from clip_lib.models.saving import LOSS, split_encoders
from clip_lib.models.smallbert import build_text_classifier
from clip_lib.retrieval.search import Clip
from clip_lib.training.fit import (
    build_optimizer,
    fit_clip,
    fit_image_classifier,
    fit_text_classifier,
)

RECIPE = "the recipe"
SMOOTHING, CLIPNORM = 0.1, 1.0
PLAIN_LEARNING_RATE, PLAIN_LENGTH = 1e-3, 3
"""Of the plain CNN, which starts from nothing; its length in trainings of ours."""


def smoothed_loss(logits, labels=None, label_share: float = 0.0):
    """Compute the contrastive loss with targets smoothed over the whole batch."""
    to_texts, to_images = ops.log_softmax(logits), ops.log_softmax(logits, axis=0)
    even = -(ops.mean(to_texts) + ops.mean(to_images)) / 2
    own = contrastive_loss(logits, labels, label_share)
    return (1 - SMOOTHING) * own + SMOOTHING * even


def clipped_optimizer(*arguments) -> keras.optimizers.Optimizer:
    """Build the optimiser of every training, with clipped gradients."""
    optimizer = build_optimizer(*arguments)
    optimizer.global_clipnorm = CLIPNORM
    return optimizer


CHANGES = {
    RECIPE: {},
    "without targets shared by label": {"label_share": 0.0},
    "without dropout of the features": {"feature_dropout": 0.0},
    "temperature fixed": {"fixed_temperature": True},
    "temperature from 0.07": {"temperature": 0.07},
    "batches of 42": {"clip_batch_size": 42},
    "mean of the words alone": {"text_layer": "mean_of_words"},
    "mean of the contexts alone": {"text_layer": "mean_in_context"},
    "image encoder not frozen": {"frozen": False},
}
"""Changes of CLIP's training alone: the classifiers are those of the recipe."""
REMOVED = {
    "with label smoothing": ("models.contrastive_loss.contrastive_loss", smoothed_loss),
    "with gradient clipping": ("training.fit.build_optimizer", clipped_optimizer),
}
"""Tricks that were left out: what stands in for a function of the library."""


def build_plain_cnn(config: Config, num_classes: int) -> keras.Model:
    """Build a CNN as textbooks draw it; it reads half-size pixels as ours does."""
    image_input = keras.Input(config.image_shape, name="image_input")
    outputs = layers.AveragePooling2D(2)(image_input)
    outputs = layers.Rescaling(1 / 127.5, offset=-1)(outputs)
    outputs = augment(outputs, (-1, 1))
    for filters, side, stride in ((32, 4, 4), (64, 3, 1), (128, 3, 1), (256, 3, 1)):
        outputs = layers.Conv2D(filters, side, stride, padding="same", use_bias=False)(
            outputs
        )
        outputs = layers.BatchNormalization(momentum=0.9)(outputs)
        outputs = layers.ReLU()(outputs)
        if stride == 1:
            outputs = layers.MaxPooling2D()(outputs)
    outputs = layers.GlobalAveragePooling2D(name="features")(outputs)
    outputs = layers.Dropout(0.5)(outputs)
    outputs = layers.Dense(num_classes, activation="softmax", name="label")(outputs)
    return keras.Model(image_input, outputs, name="image_classifier")


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A classifier, and the seconds that its training took."""

    model: keras.Model
    seconds: float = 0.0


class Fold:
    """The trainings of one fold; those that variants share are made once."""

    def __init__(self, config: Config, fold):
        self.config = config
        self.dataset = load_dataset(config, fold=fold)
        self.vectorizer = learn_vocabulary(self.dataset.train["caption"], config)
        self.labels = len(self.dataset.class_names)
        self.best_accuracy, self.variants = {}, {}

    def train(self, name: str, fit, model, *others) -> Classifier:
        """Train a classifier, and note its best validation accuracy."""
        started = time.monotonic()
        model, history = fit(model, self.dataset, *others)
        self.best_accuracy[name] = max(history["val_accuracy"])
        return Classifier(model, time.monotonic() - started)

    def image(self, name: str, model, **changes) -> Classifier:
        """Train an image classifier."""
        config = dataclasses.replace(self.config, **changes)
        path = config.model_path("image.keras")
        return self.train(name, fit_image_classifier, model, config, path)

    def text(self, name: str, model) -> Classifier:
        """Train a text classifier."""
        path = self.config.model_path("text.keras")
        others = self.vectorizer, self.config, path
        return self.train(name, fit_text_classifier, model, *others)

    def clip(
        self,
        name: str,
        image: Classifier,
        text: Classifier,
        frozen=True,
        text_layer="features",
        fixed_temperature=False,
        **changes,
    ) -> None:
        """Train CLIP from two classifiers; measure it on validation.

        The seconds of a variant are those of all its trainings.
        """
        started = time.monotonic()
        config = dataclasses.replace(self.config, **changes)
        texts = without_head(text.model)
        texts = keras.Model(texts.input, texts.get_layer(text_layer).output)
        clip = build_clip(without_head(image.model, frozen), texts, config)
        clip.get_layer(LOSS).trainable = not fixed_temperature
        clip, history = fit_clip(
            clip, self.dataset, self.vectorizer, config, config.clip_file
        )
        seconds = time.monotonic() - started + image.seconds + text.seconds
        trained = Clip(*split_encoders(clip), self.vectorizer)
        self.variants[name] = {
            "seconds": seconds,
            "temperature": history["temperature"][-1],
            "clip": evaluate_dataset(trained, self.dataset, "validation"),
        }


def list_variants(runs: Fold, image: Classifier, text: Classifier) -> list:
    """List the trainings of one fold, as functions without arguments."""
    config, dataset, vectorizer = runs.config, runs.dataset, runs.vectorizer

    def removed(name, target, replacement):
        with mock.patch(f"clip_lib.{target}", replacement):
            runs.clip(name, image, text)

    def untrained():
        runs.clip(
            "classifiers not trained",
            Classifier(start_image_classifier(dataset, config)),
            Classifier(start_text_classifier(dataset, vectorizer, config)),
        )

    def constant_convolution():
        model = start_image_classifier(dataset, config)
        model.get_layer("descriptors").trainable = False
        convolution("convolution not trained", model)

    def convolution(name, model):
        runs.clip(name, runs.image(f"CNN, {name}", model), text)

    def plain_cnn():
        keras.utils.set_random_seed(config.seed)
        model = build_plain_cnn(config, runs.labels)
        epochs = PLAIN_LENGTH * config.image_epochs
        changes = {"image_epochs": epochs, "learning_rate": PLAIN_LEARNING_RATE}
        image = runs.image("a plain CNN", model, **changes)
        runs.clip("a plain CNN", image, text)

    def random_words():
        keras.utils.set_random_seed(config.seed)
        words = vectorizer.vocabulary_size()
        model = build_text_classifier(config, words, runs.labels)
        model = runs.text("SmallBERT, word vectors at random", model)
        runs.clip("word vectors at random", image, model)

    return [
        *(
            functools.partial(runs.clip, name, image, text, **change)
            for name, change in CHANGES.items()
        ),
        *(functools.partial(removed, name, *how) for name, how in REMOVED.items()),
        untrained,
        constant_convolution,
        lambda: convolution("convolution at random", random_convolution(runs)),
        plain_cnn,
        random_words,
    ]


def measure(config: Config, fold, part: int, parts: int) -> dict:
    """Train every variant of a part of one fold; return the metrics on validation."""
    runs = Fold(config, fold)
    dataset, vectorizer = runs.dataset, runs.vectorizer
    image = runs.image("CNN", start_image_classifier(dataset, config))
    text = runs.text("SmallBERT", start_text_classifier(dataset, vectorizer, config))
    for train in list_variants(runs, image, text)[part::parts]:
        train()
    return {
        "seed": config.seed,
        "fold": fold[0],
        "best_accuracy": runs.best_accuracy,
        "variants": runs.variants,
    }


def join_parts(runs: list[dict]) -> list[dict]:
    """Join the parts of each fold, the variants in the order of the recipe first."""
    folds = {}
    for run in runs:
        fold = folds.setdefault(run["fold"], run | {"variants": {}})
        fold["best_accuracy"] = run["best_accuracy"] | fold["best_accuracy"]
        fold["variants"] |= run["variants"]
    return list(folds.values())


def random_convolution(runs: Fold) -> keras.Model:
    """Build our CNN with random weights in place of principal components."""
    model = start_image_classifier(runs.dataset, runs.config)
    convolution = model.get_layer("descriptors")
    kernel, bias = convolution.get_weights()
    random = np.random.default_rng(runs.config.seed)
    kernel = random.normal(0, 1 / np.sqrt(kernel[..., 0].size), kernel.shape)
    convolution.set_weights([kernel, 0 * bias])
    pictures = runs.dataset.paths(runs.dataset.pictures("train"))
    scale_features(model, image_batches(pictures, runs.config.image_size))
    return model


def main() -> None:
    """Measure every fold and write benchmarks/results/ablation.json."""
    parser = options(__doc__)
    parser.add_argument("--seed", type=int, default=42, help="of the folds")
    parser.add_argument("--folds", type=int, default=5, help="how many there are")
    about = "measure these alone, from 0; ablation.json keeps others of this commit"
    parser.add_argument("--fold", type=int, nargs="+", metavar="K", help=about)
    about = "tasks that the variants of a fold are cut into, for many --jobs (1)"
    parser.add_argument("--parts", type=int, default=1, metavar="N", help=about)
    given = parser.parse_args()
    config = (Config.quick if given.quick else Config)(
        dataset_dir=given.data, seed=given.seed
    )
    about = provenance(config) | {"split": "validation"}
    numbers = range(given.folds) if given.fold is None else given.fold
    tasks = [
        (config, (number, given.folds), part, given.parts)
        for number in numbers
        for part in range(given.parts)
    ]
    runs = join_parts(measure_all(measure, tasks, given.jobs))
    if not given.quick:
        write_result("ablation", complete("ablation", about | {"runs": runs}))


if __name__ == "__main__":
    main()
