"""What is measured and kept after each epoch of a training."""

import sys

import keras
import numpy as np

from clip_lib.config import CONFIG_FILE
from clip_lib.models.contrastive_loss import contrastive_loss
from clip_lib.models.saving import LOSS, save_model

RECALLS = (1, 5, 10)
"""As in evaluation.metrics, which stands above this room."""


class KeepBest(keras.callbacks.Callback):
    """Save a model whenever a metric improves.

    Unlike ``ModelCheckpoint`` it never leaves a half-written file (see `save_model`).
    If the disk is full it says so and the training goes on: the next epoch that is
    better than the last one saved is tried again. Where none could be saved, the
    training ends with that error.

    Args:
        path: File to write.
        monitor: Name of the metric in the logs, the higher the better.
        kept: The model to save, if it is not the one that is trained.
        settings: `Config` to save beside it as ``config.json``, or None.
    """

    def __init__(
        self, path, monitor: str, kept: keras.Model | None = None, settings=None
    ):
        super().__init__()
        self.path, self.monitor, self.kept = path, monitor, kept
        self.settings = settings
        self.best, self.error = -np.inf, None

    def on_epoch_end(self, epoch, logs=None):
        if logs[self.monitor] > self.best:
            try:
                save_model(self.kept or self.model, self.path)
                if self.settings:
                    # With the model, not before: another one may still lie there.
                    self.settings.save(self.path.with_name(CONFIG_FILE))
            except OSError as error:
                self.error = error
                print(f"epoch {epoch + 1} is not saved: {error}", file=sys.stderr)
            else:
                self.best = logs[self.monitor]

    def on_train_end(self, logs=None):
        if self.error and self.best == -np.inf:
            raise self.error


class ValidationRecall(keras.callbacks.Callback):
    """Add retrieval metrics on validation pairs to the logs.

    ``val_recall`` is the mean of recall@1, 5 and 10 in both directions, which chooses
    the epoch to keep; ``val_recall@1`` and so on are means of both directions. The
    contrastive loss is a poor guide on validation pairs: it punishes overconfidence
    long after the order of the answers has stopped changing. ``val_loss`` is computed
    on one batch of the training's size, since that loss grows with the batch.

    Args:
        model: Model from the inputs of ``pairs`` to (image_embeddings,
            text_embeddings), which shares its weights with the one trained.
        pairs: Batches of pairs in a fixed order, one caption an image.
        batch_size: Number of pairs of the validation loss.
        labels: Label numbers of the pairs, if the loss shares its targets by label.
    """

    def __init__(self, model: keras.Model, pairs, batch_size: int, labels=None):
        super().__init__()
        self.reader, self.pairs, self.batch_size = model, pairs, batch_size
        self.labels = None if labels is None else np.asarray(labels)[:batch_size]

    def on_epoch_end(self, epoch, logs=None):
        image_embeddings, text_embeddings = self.reader.predict(self.pairs, verbose=0)
        similarity = image_embeddings @ text_embeddings.T
        own = similarity.diagonal()
        # Ties count against the model, as in evaluation.metrics.
        ranks = [(~(similarity < own[:, None])).sum(1), (~(similarity < own)).sum(0)]
        recalls = {k: float(np.mean(np.stack(ranks) <= k)) for k in RECALLS}
        layer = self.reader.get_layer(LOSS)
        logits = similarity[: self.batch_size, : self.batch_size] / layer.temperature
        loss = contrastive_loss(logits, self.labels, layer.label_share)
        logs["val_loss"] = float(loss)
        logs["val_recall"] = float(np.mean(list(recalls.values())))
        logs["temperature"] = layer.temperature
        logs.update({f"val_recall@{k}": recall for k, recall in recalls.items()})
