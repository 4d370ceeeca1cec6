"""The one way models are trained: by the notebook, the benchmarks and the tests."""

import functools
import sys

import keras
import numpy as np
from tqdm import tqdm
from tqdm.keras import TqdmCallback

from clip_lib.batches import image_batches, pair_batches, text_batches
from clip_lib.clip import save_model
from clip_lib.config import Config
from clip_lib.data import Dataset
from clip_lib.encoders import (
    build_image_classifier,
    build_text_classifier,
)
from clip_lib.ranking import first_ranks, recall_at_k
from clip_lib.text import encode


class KeepBest(keras.callbacks.Callback):
    """Save the model whenever a figure improves; a training can be cut at any time.

    Unlike ``ModelCheckpoint`` it never leaves a half-written file (see `save_model`).

    Args:
        path: Where to save.
        monitor: Name of the figure in the logs.
        mode: "max" or "min".
    """

    def __init__(self, path, monitor: str, mode: str = "max"):
        super().__init__()
        self.path, self.monitor = path, monitor
        self.sign = 1 if mode == "max" else -1
        self.best = -np.inf

    def on_epoch_end(self, epoch, logs=None):
        value = self.sign * logs[self.monitor]
        if value > self.best:
            self.best = value
            save_model(self.model, self.path)


class ValidationRecall(keras.callbacks.Callback):
    """Add ``val_recall`` to the logs: mean of recall@1, 5 and 10, both directions.

    The contrastive loss says little on withheld pairs: it punishes overconfidence long
    after the order of the answers has stopped changing, or while it still improves.

    Args:
        pairs: Unshuffled batches of pairs, one caption a picture.
    """

    def __init__(self, pairs):
        super().__init__()
        self.pairs = pairs

    def on_epoch_end(self, epoch, logs=None):
        images, texts = self.model.predict(self.pairs, verbose=0)
        logits = images @ texts.T
        own = np.eye(len(logits), dtype=bool)
        recalls = [
            recall_at_k(first_ranks(similarity, own), k)
            for similarity in (logits, logits.T)
            for k in (1, 5, 10)
        ]
        logs["val_recall"] = float(np.mean(recalls))
        logs["temperature"] = self.model.get_layer("contrastive_loss").temperature


def _optimizer(config: Config, steps: int) -> keras.optimizers.Optimizer:
    """AdamW, with a short warm-up and a cosine decay to zero."""
    warmup = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warmup),
        warmup_target=config.learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=config.weight_decay, global_clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(
        var_names=["bias", "gamma", "beta", "log_scale"]
    )
    return optimizer


def _fit(model, batches, validation, epochs: int, callbacks) -> keras.callbacks.History:
    # On the standard output, since Jupyter paints the other one red; one line in all.
    shape = "{n_fmt}/{total_fmt} {bar:12} {elapsed}<{remaining}{postfix}"
    bar = functools.partial(tqdm, file=sys.stdout, bar_format=shape)
    progress = TqdmCallback(epochs=epochs, verbose=0, tqdm_class=bar)
    return model.fit(
        batches,
        validation_data=validation,
        epochs=epochs,
        shuffle=False,  # The stream shuffles itself.
        verbose=0,
        callbacks=[*callbacks, progress],
    )


def _fit_classifier(model, batches, validation, config, epochs, path):
    model.compile(
        _optimizer(config, epochs * int(batches.cardinality())),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    stop = keras.callbacks.EarlyStopping(
        "val_accuracy", mode="max", patience=config.patience
    )
    keep = KeepBest(path, "val_accuracy")
    return _fit(model, batches, validation, epochs, [keep, stop])


def fit_image_classifier(dataset: Dataset, config: Config, path):
    """Train the CNN classifier; the best epoch by validation accuracy is kept.

    Args:
        dataset: Split data.
        config: Sizes, seed and schedule.
        path: ``.keras`` file that receives the best epoch.

    Returns:
        The best model, reloaded from ``path``, and the history of the training.
    """
    keras.utils.set_random_seed(config.seed)
    model = build_image_classifier(config, len(dataset.class_names))
    batches, validation = (
        image_batches(
            dataset.paths(rows),
            config.image_size,
            config.batch_size,
            dataset.labels(rows),
            training=training,
            seed=config.seed,
        )
        for rows, training in ((dataset.train, True), (dataset.validation, False))
    )
    history = _fit_classifier(
        model, batches, validation, config, config.image_epochs, path
    )
    return keras.saving.load_model(path), history


def fit_text_classifier(dataset: Dataset, vectorizer, config: Config, path):
    """Train the SmallBERT classifier; see `fit_image_classifier`."""
    keras.utils.set_random_seed(config.seed)
    model = build_text_classifier(
        config, vectorizer.vocabulary_size(), len(dataset.class_names)
    )
    batches, validation = (
        text_batches(
            encode(vectorizer, rows["caption"]),
            dataset.labels(rows),
            config.batch_size,
            word_dropout=config.word_dropout if training else 0.0,
            training=training,
            seed=config.seed,
        )
        for rows, training in ((dataset.train, True), (dataset.validation, False))
    )
    history = _fit_classifier(
        model, batches, validation, config, config.text_epochs, path
    )
    return keras.saving.load_model(path), history


def clip_batches(dataset: Dataset, vectorizer, config: Config, split: str):
    """Stream the pairs of a split as CLIP reads them (shuffled for "train" only)."""
    rows = dataset.part(split)
    training = split == "train"
    return pair_batches(
        dataset.paths(rows),
        encode(vectorizer, rows["caption"]),
        config.image_size,
        config.clip_batch_size,
        word_dropout=config.word_dropout if training else 0.0,
        training=training,
        seed=config.seed,
    )


def fit_clip(clip, dataset: Dataset, vectorizer, config: Config, path):
    """Train CLIP; the best epoch by validation recall is kept.

    Args:
        clip: Model of `build_clip`, which carries its loss.
        dataset, config: As in `fit_image_classifier`.
        vectorizer: Vocabulary learned on the training captions.
        path: ``.keras`` file that receives the best epoch.

    Returns:
        The best model, reloaded from ``path``, and the history of the training, with
        ``val_recall`` and ``temperature`` beside the losses.
    """
    keras.utils.set_random_seed(config.seed)
    batches = clip_batches(dataset, vectorizer, config, "train")
    pairs = clip_batches(dataset, vectorizer, config, "validation")
    clip.compile(_optimizer(config, config.clip_epochs * int(batches.cardinality())))
    callbacks = [
        ValidationRecall(pairs),
        KeepBest(path, "val_recall"),
        keras.callbacks.EarlyStopping(
            "val_recall", mode="max", patience=config.patience
        ),
    ]
    history = _fit(clip, batches, pairs, config.clip_epochs, callbacks)
    return keras.saving.load_model(path), history
