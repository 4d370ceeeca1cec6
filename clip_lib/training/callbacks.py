"""What is measured and kept after each epoch of a training."""

import keras
import numpy as np

from clip_lib.evaluation.metrics import RECALLS, first_ranks, recall_at_k
from clip_lib.models.contrastive_loss import contrastive_loss
from clip_lib.models.saving import save_model


class KeepBest(keras.callbacks.Callback):
    """Save the model whenever a figure improves; a training can be cut at any time.

    Unlike ``ModelCheckpoint`` it never leaves a half-written file (see `save_model`).

    Args:
        path: Where to save.
        monitor: Name of the figure in the logs, the higher the better.
        kept: The model to save, if it is not the one that is trained.
    """

    def __init__(self, path, monitor: str, kept: keras.Model | None = None):
        super().__init__()
        self.path, self.monitor, self.kept = path, monitor, kept
        self.best = -np.inf

    def on_epoch_end(self, epoch, logs=None):
        if logs[self.monitor] > self.best:
            self.best = logs[self.monitor]
            save_model(self.kept or self.model, self.path)


class ValidationRecall(keras.callbacks.Callback):
    """Add ``val_recall`` to the logs: mean of recall@1, 5 and 10, both directions.

    With each of the three, ``val_recall@1`` and so on, as the mean of both directions,
    and ``val_loss``, from the same embeddings, over one batch as large as those of the
    training: the contrastive loss grows with the batch.

    The contrastive loss says little on withheld pairs: it punishes overconfidence long
    after the order of the answers has stopped changing, or while it still improves.

    Args:
        clip: Model of `build_clip`, which shares its weights with the one trained.
        pairs: Batches of pairs in a fixed order, one caption a picture.
        batch_size: Pairs over which the loss is taken.
        labels: Label numbers of the pairs, if the training shares its targets by them.
    """

    def __init__(self, clip: keras.Model, pairs, batch_size: int, labels=None):
        super().__init__()
        self.clip, self.pairs, self.batch_size = clip, pairs, batch_size
        self.labels = None if labels is None else np.asarray(labels)[:batch_size]

    def on_epoch_end(self, epoch, logs=None):
        image_embeddings, text_embeddings = self.clip.predict(self.pairs, verbose=0)
        similarity = image_embeddings @ text_embeddings.T
        own = np.eye(len(similarity), dtype=bool)
        recalls = [
            [recall_at_k(first_ranks(direction, own), k) for k in RECALLS]
            for direction in (similarity, similarity.T)
        ]
        layer = self.clip.get_layer("contrastive_loss")
        logits = similarity[: self.batch_size, : self.batch_size] / layer.temperature
        targets = layer.label_smoothing, self.labels, layer.label_share
        logs["val_loss"] = float(contrastive_loss(logits, *targets))
        logs["val_recall"] = float(np.mean(recalls))
        logs["temperature"] = layer.temperature
        for k, recall in zip(RECALLS, np.mean(recalls, axis=0), strict=True):
            logs[f"val_recall@{k}"] = float(recall)
