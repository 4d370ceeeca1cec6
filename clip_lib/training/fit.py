"""Train one model: a classifier, or CLIP; `pipeline` chains all three."""

import functools
import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers
from tqdm import tqdm
from tqdm.keras import TqdmCallback

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset
from clip_lib.data.pipelines import (
    CachedFeatures,
    image_batches,
    labelled_batches,
    pair_batches,
)
from clip_lib.data.vocabulary import encode, vocabulary_fingerprint
from clip_lib.models.clip import (
    FEATURES,
    continue_after,
    frozen_features,
    stretch_labels,
    trainable_part,
)
from clip_lib.models.saving import LOSS, split_encoders
from clip_lib.training.callbacks import RECALLS, KeepBest, ValidationRecall


def build_schedule(learning_rate: float, steps: int):
    """Build a learning rate with a short warm-up and a cosine decay to zero."""
    warmup = max(1, steps // 20)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warmup),
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )


def build_optimizer(learning_rate: float, steps: int) -> keras.optimizers.Optimizer:
    """Build Adam with the learning rate of `build_schedule`."""
    return keras.optimizers.Adam(build_schedule(learning_rate, steps))


class _Bar(TqdmCallback):
    """A progress bar without the individual recalls, which do not fit in its line."""

    def __init__(self, **options):
        super().__init__(**options)
        # TqdmCallback sets this on the instance, where it would hide a method.
        recalls = [f"val_recall@{k}" for k in RECALLS]
        self.on_epoch_end = self.bar2callback(self.epoch_bar, pop=recalls)


def _fit(model, batches, validation, epochs: int, callbacks) -> dict:
    """Fit a compiled model; show one line of progress; return the history."""
    # On standard output, since Jupyter shows standard error in red.
    shape = "{n_fmt}/{total_fmt} {bar:12} {elapsed}<{remaining}{postfix}"
    bar = functools.partial(tqdm, file=sys.stdout, bar_format=shape)
    progress = _Bar(epochs=epochs, verbose=0, tqdm_class=bar)
    try:
        return model.fit(
            batches,
            validation_data=validation,
            epochs=epochs,
            shuffle=False,  # The stream shuffles itself.
            verbose=0,
            callbacks=[*callbacks, progress],
        ).history
    finally:
        progress.epoch_bar.close()  # An error message starts on its own line.


def _unfreeze(model: keras.Model) -> bool:
    """Unfreeze the networks nested in a model; return whether there are any.

    Their batch normalisation stays frozen: statistics of a few hundred images would
    replace those of the millions they were trained on.
    """
    networks = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    for network in networks:
        network.trainable = True
        for layer in network.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = False
    return bool(networks)


def _fit_classifier(model, streams, epochs: int, rate: float, best: KeepBest) -> dict:
    """Train a classifier on (batches, validation); return the history."""
    batches, validation = streams
    model.compile(
        build_optimizer(rate, epochs * int(batches.cardinality())),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return _fit(model, batches, validation, epochs, [best])


def _fine_tune(best: KeepBest, history: dict, streams, config: Config):
    """Reload the best epoch; train the networks nested in it, if it is asked for."""
    model = keras.saving.load_model(best.path, compile=False)
    if not (config.fine_tune_epochs and _unfreeze(model)):
        return model, history
    best.kept = None
    epochs, rate = config.fine_tune_epochs, config.fine_tune_learning_rate
    more = _fit_classifier(model, streams, epochs, rate, best)
    history = {name: values + more[name] for name, values in history.items()}
    return keras.saving.load_model(best.path, compile=False), history


def fit_image_classifier(model: keras.Model, dataset: Dataset, config: Config, path):
    """Train an image classifier; the best epoch by validation accuracy is kept.

    Its frozen layers stay frozen for ``image_epochs``; if all layers up to the features
    are, these are computed once. A network nested in it is then fine-tuned for
    ``fine_tune_epochs``.

    Args:
        model: Images (B, height, width, 3), 0 to 255, to probabilities (B, classes).
        dataset: Split data with labels.
        config: Gives batch size, epochs, learning rates and seed.
        path: ``.keras`` file that receives the best epoch.

    Returns:
        The best model, reloaded from ``path``, and the history: name -> a value for
        each epoch.
    """
    parts = [(split, dataset.pictures(split)) for split in ("train", "validation")]
    streams = [
        image_batches(
            dataset.paths(rows),
            config.image_size,
            config.batch_size,
            dataset.labels(rows),
            training=split == "train",
            seed=config.seed,
        )
        for split, rows in parts
    ]
    first, trained = streams, model
    best = KeepBest(Path(path), "val_accuracy")
    if frozen := frozen_features(model):
        first = [
            _feature_batches(frozen, dataset, rows, config, split == "train", best.path)
            for split, rows in parts
        ]
        best.kept = model
        features = keras.Input(frozen.output.shape[1:])
        trained = keras.Model(features, continue_after(model, FEATURES, features))
    history = _fit_classifier(
        trained, first, config.image_epochs, config.learning_rate, best
    )
    return _fine_tune(best, history, streams, config)


def _feature_batches(frozen, dataset, rows, config, training: bool, path: Path):
    """Stream (features, labels): of each picture and, in training, its mirror image."""
    paths, labels = dataset.paths(rows), dataset.labels(rows)
    features = CachedFeatures(frozen, paths, config.image_size, path.parent).array
    if training:
        labels = np.repeat(labels, 2)
    else:
        features = features[::2]
    features = features.astype("float32")
    return labelled_batches(features, labels, config.batch_size, training, config.seed)


def fit_text_classifier(
    model: keras.Model, dataset: Dataset, vectorizer, config: Config, path
):
    """Train a text classifier; see `fit_image_classifier`.

    Args:
        model: Token ids (B, sequence_length) to probabilities (B, classes).
        vectorizer: Captions to token ids, with the vocabulary that ``model`` expects.
    """
    streams = [
        labelled_batches(
            encode(vectorizer, rows["caption"]),
            dataset.labels(rows),
            config.batch_size,
            training=training,
            seed=config.seed,
        )
        for rows, training in ((dataset.train, True), (dataset.validation, False))
    ]
    best = KeepBest(Path(path), "val_accuracy")
    history = _fit_classifier(
        model, streams, config.text_epochs, config.learning_rate, best
    )
    return _fine_tune(best, history, streams, config)


def clip_batches(
    dataset: Dataset, vectorizer, config: Config, split: str, features=None
):
    """Stream the pairs of a split as CLIP reads them; "train" is reshuffled each epoch.

    The other splits come in one random order: the table is sorted by label, and a batch
    of one label alone would be harder than those of the training.

    Args:
        dataset, vectorizer, config: As for `fit_clip`.
        split: "train", "validation" or "test".
        features: `CachedFeatures` of a frozen image encoder, or None for images.
    """
    rows = _in_random_order(dataset, split, config)
    training = split == "train"
    return pair_batches(
        dataset.paths(rows),
        encode(vectorizer, rows["caption"]),
        config.image_size,
        config.clip_batch_size,
        labels=dataset.labels(rows) if training else None,
        training=training,
        seed=config.seed,
        features=features,
    )


def _in_random_order(dataset: Dataset, split: str, config: Config):
    return dataset.part(split).sample(frac=1, random_state=config.seed)


def fit_clip(clip: keras.Model, dataset: Dataset, vectorizer, config: Config, path):
    """Train CLIP; the best epoch by validation recall is kept.

    The features of a frozen image encoder are computed once. The settings are saved
    beside the model, as ``config.json``.

    Args:
        clip: Model of `build_clip`, which carries its loss.
        dataset, config: As in `fit_image_classifier`; labels are optional.
        vectorizer: Captions to token ids; the saved model names its vocabulary.
        path: ``.keras`` file that receives the best epoch.

    Returns:
        The best model, reloaded from ``path``, and the history, with ``val_recall`` and
        ``temperature`` beside the losses.
    """
    keras.utils.set_random_seed(config.seed)
    path = Path(path)
    clip.get_layer(LOSS).vocabulary = vocabulary_fingerprint(vectorizer)
    trained = trainable_part(clip, labelled=bool(dataset.class_names))
    frozen = frozen_features(split_encoders(clip)[0])

    def stream(split):
        paths = dataset.paths(dataset.part(split))
        features = frozen and CachedFeatures(
            frozen, paths, config.image_size, path.parent
        )
        return clip_batches(dataset, vectorizer, config, split, features)

    batches, pairs = stream("train"), stream("validation")
    steps = config.clip_epochs * int(batches.cardinality())
    trained.compile(build_optimizer(config.clip_learning_rate, steps))
    rows = _in_random_order(dataset, "validation", config)
    labels = dataset.labels(rows.drop_duplicates("image_path"))
    if dataset.class_names and config.label_stretch != 1:
        stretch_labels(clip, batches, config.label_stretch)
    best = KeepBest(path, "val_recall", clip, config)
    measure = ValidationRecall(
        trainable_part(clip), pairs, config.clip_batch_size, labels
    )
    history = _fit(trained, batches, None, config.clip_epochs, [measure, best])
    return keras.saving.load_model(path), history
