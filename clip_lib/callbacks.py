"""What is measured and kept after each epoch of a training."""

import keras
import numpy as np

from clip_lib.clip import save_model
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

    The contrastive loss says little on withheld pairs: it punishes overconfidence long
    after the order of the answers has stopped changing, or while it still improves.

    Args:
        pairs: Unshuffled batches of pairs, one caption a picture.
    """

    def __init__(self, pairs):
        super().__init__()
        self.pairs = pairs

    def on_epoch_end(self, epoch, logs=None):
        image_embeddings, text_embeddings = self.model.predict(self.pairs, verbose=0)
        similarity = image_embeddings @ text_embeddings.T
        own = np.eye(len(similarity), dtype=bool)
        recalls = [
            recall_at_k(first_ranks(direction, own), k)
            for direction in (similarity, similarity.T)
            for k in (1, 5, 10)
        ]
        logs["val_recall"] = float(np.mean(recalls))
        logs["temperature"] = self.model.get_layer("contrastive_loss").temperature
