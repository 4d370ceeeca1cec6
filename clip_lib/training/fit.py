"""The one way models are trained: by the notebook, the benchmarks and the tests."""

from pathlib import Path

import keras

from clip_lib.config import CONFIG_FILE, Config
from clip_lib.data.dataset import Dataset
from clip_lib.data.pipelines import (
    CachedFeatures,
    image_batches,
    pair_batches,
    text_batches,
)
from clip_lib.data.vocabulary import encode, vocabulary_fingerprint
from clip_lib.models.clip import with_labels
from clip_lib.models.encoders import unfreeze
from clip_lib.models.initialization import start_image_classifier, start_text_classifier
from clip_lib.models.learner import learner, locked_features
from clip_lib.training.callbacks import KeepBest, ValidationRecall
from clip_lib.training.distribution import on_devices, open_strategy, trainer
from clip_lib.training.fitting import fit, fit_on_devices
from clip_lib.training.optimizer import build_optimizer
from clip_lib.training.resume import Resume, training_mark
from clip_lib.training.workers import FirstWorkersFigures, own_folder, share_file


def _fit_classifier(model, batches, validation, config, epochs, patience, path):
    """Train the head and, where a pretrained network is under it, then both."""
    best = KeepBest(path, "val_accuracy")

    def phase(model, epochs, learning_rate):
        steps = epochs * int(batches.cardinality())
        model.compile(
            build_optimizer(learning_rate, config.weight_decay, steps),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        stop = keras.callbacks.EarlyStopping(
            "val_accuracy", mode="max", patience=patience
        )
        return fit(model, batches, validation, epochs, [best, stop])

    history = phase(model, epochs, config.learning_rate)
    if config.fine_tune_epochs:
        model = keras.saving.load_model(path)
        if unfreeze(model):
            more = phase(model, config.fine_tune_epochs, config.fine_tune_learning_rate)
            for name, values in more.history.items():
                history.history[name] += values
    return history


def fit_image_classifier(dataset: Dataset, config: Config, path, model=None):
    """Train the image classifier; the best epoch by validation accuracy is kept.

    A pretrained network is frozen while the head learns, then it learns too, for
    ``config.fine_tune_epochs``.

    Args:
        dataset: Split data.
        config: Sizes, seed and schedule.
        path: ``.keras`` file that receives the best epoch.
        model: Where to start; by default `start_image_classifier`.

    Returns:
        The best model, reloaded from ``path``, and the history of the training.
    """
    model = model or start_image_classifier(dataset, config)
    batches, validation = (
        image_batches(
            dataset.paths(rows),
            config.image_size,
            config.batch_size,
            dataset.labels(rows),
            training=training,
            seed=config.seed,
        )
        for rows, training in (
            (dataset.pictures("train"), True),
            (dataset.pictures("validation"), False),
        )
    )
    schedule = (config.image_epochs, config.image_patience)
    history = _fit_classifier(model, batches, validation, config, *schedule, path)
    return keras.saving.load_model(path), history


def _word_dropout(config: Config) -> float:
    # It puts token 1 in the place of a word, which is [UNK] for SmallBERT alone.
    return config.word_dropout if config.text_encoder == "smallbert" else 0.0


def fit_text_classifier(dataset: Dataset, vectorizer, config: Config, path, model=None):
    """Train the text classifier; see `fit_image_classifier`.

    ``vectorizer`` is that of `learn_vocabulary`, for the same ``config``.
    """
    model = model or start_text_classifier(dataset, vectorizer, config)
    batches, validation = (
        text_batches(
            encode(vectorizer, rows["caption"]),
            dataset.labels(rows),
            config.batch_size,
            word_dropout=_word_dropout(config) if training else 0.0,
            training=training,
            seed=config.seed,
        )
        for rows, training in ((dataset.train, True), (dataset.validation, False))
    )
    schedule = (config.text_epochs, config.text_patience)
    history = _fit_classifier(model, batches, validation, config, *schedule, path)
    return keras.saving.load_model(path), history


def _in_random_order(dataset: Dataset, split: str, config: Config):
    return dataset.part(split).sample(frac=1, random_state=config.seed)


def clip_batches(
    dataset: Dataset, vectorizer, config: Config, split: str, features=None
):
    """Stream the pairs of a split as CLIP reads them, anew each epoch for "train".

    The other splits come in one random order: the table is sorted by label, and a batch
    of one label alone would be harder than the batches of the training. ``features``
    are those of a locked encoder, see `pair_batches`.
    """
    rows = _in_random_order(dataset, split, config)
    training = split == "train"
    return pair_batches(
        dataset.paths(rows),
        encode(vectorizer, rows["caption"]),
        config.image_size,
        config.clip_batch_size,
        labels=dataset.labels(rows) if training else None,
        word_dropout=_word_dropout(config) if training else 0.0,
        training=training,
        seed=config.seed,
        features=features,
    )


def fit_clip(clip, dataset: Dataset, vectorizer, config: Config, path):
    """Train CLIP; the best epoch by validation recall is kept.

    On the devices of ``config.strategy``: each gets an equal share of the batch of
    ``config.clip_batch_size`` pairs. A training that was killed goes on, see `Resume`.

    Args:
        clip: Model of `build_clip`, which carries its loss.
        dataset, config: As in `fit_image_classifier`.
        vectorizer: What turns the captions into token ids; the file names it.
        path: ``.keras`` file that receives the best epoch.

    Returns:
        The best model, reloaded from ``path``, and the history of the training, with
        ``val_recall`` and ``temperature`` beside the losses.
    """
    keras.utils.set_random_seed(config.seed)
    vocabulary = vocabulary_fingerprint(vectorizer)
    clip.get_layer("contrastive_loss").vocabulary = vocabulary
    strategy = open_strategy(config.strategy)
    clip = on_devices(clip, strategy)
    resume = Resume(path, clip, strategy, training_mark(config, dataset, vocabulary))
    path = own_folder(strategy, Path(path).parent) / Path(path).name
    labelled = bool(dataset.class_names)
    if config.locked_images:
        # Their features never change: they are computed once.
        made = locked_features(clip)
        trained, reader = learner(clip, labelled), learner(clip)
    else:
        made, reader = None, clip
        trained = with_labels(clip) if labelled else clip
    trained = trainer(trained, strategy)

    def stream(split):
        features = made and CachedFeatures(
            made,
            dataset.paths(dataset.part(split)),
            config.image_size,
            path.parent,
        )
        return clip_batches(dataset, vectorizer, config, split, features)

    batches, pairs = stream("train"), stream("validation")
    steps = config.clip_epochs * int(batches.cardinality())
    with strategy.scope():
        trained.compile(
            build_optimizer(config.clip_learning_rate, config.weight_decay, steps)
        )
    withheld = _in_random_order(dataset, "validation", config)
    labels = dataset.labels(withheld.drop_duplicates("image_path"))
    callbacks = [
        ValidationRecall(reader, pairs, config.clip_batch_size, labels),
        FirstWorkersFigures(strategy),
        KeepBest(path, "val_recall", clip),
        keras.callbacks.EarlyStopping(
            "val_recall", mode="max", patience=config.clip_patience
        ),
    ]
    history = fit_on_devices(trained, batches, config.clip_epochs, callbacks, resume)
    config.save(path.with_name(CONFIG_FILE))  # Before the model is ever served.
    # A worker that was started anew has missed the best epoch.
    return keras.saving.load_model(share_file(strategy, path)), history
