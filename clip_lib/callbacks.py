"""What is measured and kept after each epoch of a training."""

import keras
import numpy as np

from clip_lib.clip import save_model
from clip_lib.losses import contrastive_loss
from clip_lib.ranking import first_ranks, recall_at_k


class KeepBest(keras.callbacks.Callback):
    """Save the model whenever a figure improves; a training can be cut at any time.

    Unlike ``ModelCheckpoint`` it never leaves a half-written file (see `save_model`).

    Args:
        path: Where to save.
        monitor: Name of the figure in the logs, the higher the better.
    """

    def __init__(self, path, monitor: str):
        super().__init__()
        self.path, self.monitor = path, monitor
        self.best = -np.inf

    def on_epoch_end(self, epoch, logs=None):
        if logs[self.monitor] > self.best:
            self.best = logs[self.monitor]
            save_model(self.model, self.path)


class ValidationRecall(keras.callbacks.Callback):
    """Add ``val_recall`` to the logs: mean of recall@1, 5 and 10, both directions.

    And ``val_loss``, from the same embeddings, over one batch as large as those of the
    training: the contrastive loss grows with the batch.

    The contrastive loss says little on withheld pairs: it punishes overconfidence long
    after the order of the answers has stopped changing, or while it still improves.

    Args:
        pairs: Batches of pairs in a fixed order, one caption a picture.
        batch_size: Pairs over which the loss is taken.
    """

    def __init__(self, pairs, batch_size: int):
        super().__init__()
        self.pairs, self.batch_size = pairs, batch_size

    def on_epoch_end(self, epoch, logs=None):
        image_embeddings, text_embeddings = self.model.predict(self.pairs, verbose=0)
        similarity = image_embeddings @ text_embeddings.T
        own = np.eye(len(similarity), dtype=bool)
        recalls = [
            recall_at_k(first_ranks(direction, own), k)
            for direction in (similarity, similarity.T)
            for k in (1, 5, 10)
        ]
        layer = self.model.get_layer("contrastive_loss")
        logits = similarity[: self.batch_size, : self.batch_size] / layer.temperature
        logs["val_loss"] = float(contrastive_loss(logits, layer.label_smoothing))
        logs["val_recall"] = float(np.mean(recalls))
        logs["temperature"] = layer.temperature
