"""Go on with a training that was killed, to the same result."""

import dataclasses
import hashlib
import io
import json
import os
import time
import zipfile
from pathlib import Path

import keras
import numpy as np

from clip_lib.atomic import replacing
from clip_lib.config import Config
from clip_lib.data.dataset import Dataset
from clip_lib.training.workers import of_first_worker, worker

SHARE = 0.02
"""Checkpoints take at most this share of the time of a training."""
KEPT = ("best", "wait", "best_epoch", "stopped_epoch")
"""What the other callbacks remember of the epochs before."""


def training_mark(config: Config, dataset: Dataset, vocabulary: str) -> str:
    """Name all that a training of CLIP rests on, but the devices and the folders.

    Args:
        config: Its settings.
        dataset: Its data; a picture is known by its path.
        vocabulary: The `vocabulary_fingerprint`.
    """
    settings = dataclasses.asdict(config)
    for elsewhere in ("strategy", "model_dir", "dataset_dir"):
        del settings[elsewhere]
    records = dataset.records.to_csv(index=False)
    text = json.dumps([settings, records, vocabulary])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Resume(keras.callbacks.Callback):
    """Keep the state of a training in a file; take it up again if there is one.

    The state is the weights with what draws at random, the optimiser, the figures so
    far and what the other callbacks remember; the data are those of the epoch (see
    `EpochStream`). It is written after an epoch, unless that would cost more than 2 %
    of the time since it was last written, and removed once the training has ended.

    Making it already gives the model its weights. It must stand last among the
    callbacks.

    Args:
        path: Where the training keeps its best model, ``.keras``. The state lies beside
            it, ``.training.npz``; only the first worker reads and writes it.
        model: Holds all that is trained, under any strategy.
        strategy: What `open_strategy` returned.
        mark: `training_mark` of the training: the file of another one is not taken up.

    Attributes:
        epoch: Where to start, from 0.
    """

    def __init__(self, path, model: keras.Model, strategy, mark: str):
        super().__init__()
        self.kept = Path(path)
        self.path = self.kept.with_suffix(".training.npz")
        self.strategy, self.mark = strategy, mark
        metrics = {id(variable) for variable in model.metrics_variables}
        self.weights = [one for one in model.variables if id(one) not in metrics]
        self.epoch, self.history, self.saved, self._cost = 0, {}, -np.inf, 0.0
        self._state, self._optimizer, self._others = None, None, ()
        self._written = None
        self._read()

    def _read(self):
        """Take up the file, if it is of this training."""
        data = b""
        if worker(self.strategy)[0] == 0 and self.path.is_file():
            if self.kept.is_file():
                data = self.path.read_bytes()
            else:
                self._refuse(f"{self.kept} is missing")
        data = of_first_worker(self.strategy, data)
        if not data:
            return
        shapes = [list(variable.shape) for variable in self.weights]
        try:
            with np.load(io.BytesIO(data)) as arrays:
                state = json.loads(str(arrays["state"]))
                values = [arrays[name] for name in arrays.files if name != "state"]
        except (ValueError, KeyError, OSError, zipfile.BadZipFile):
            return self._refuse("it is damaged")
        if state["mark"] != self.mark or state["shapes"] != shapes:
            return self._refuse("it is of another training")
        count = len(self.weights)
        for variable, value in zip(self.weights, values[:count], strict=True):
            variable.assign(value)
        self._state, self._optimizer = state, values[count:]
        self.epoch, self.history = state["epoch"], state["history"]
        self._say(f"the training goes on after epoch {self.epoch}.")

    def _refuse(self, reason: str):
        """Put the file aside: this training will write its own in its place."""
        aside = self.path.with_suffix(".other.npz")
        if worker(self.strategy)[0] == 0:
            os.replace(self.path, aside)
        kept = f"kept as {aside.name}; the training starts anew."
        self._say(f"not taken up ({reason}), {kept}")

    def _say(self, words: str):
        if worker(self.strategy)[0] == 0:
            print(f"{self.path}: {words}")

    def take_up(self, model: keras.Model, callbacks) -> None:
        """Give the optimiser of a compiled model its state; watch the callbacks."""
        self._others = callbacks
        if self._state is None:
            return
        with self.strategy.scope():
            model.optimizer.build(model.trainable_variables)
        pairs = zip(model.optimizer.variables, self._optimizer, strict=True)
        for variable, value in pairs:
            variable.assign(value)

    @property
    def done(self) -> bool:
        """Whether another callback had already stopped the training."""
        return bool(self._state and self._state["stopped"])

    def on_train_begin(self, logs=None):
        if self._state is not None:
            for callback, state in zip(
                self._others, self._state["others"], strict=True
            ):
                vars(callback).update(state)

    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        if worker(self.strategy)[0] == 0:
            now = time.monotonic()
            if now - self.saved >= self._cost / SHARE:
                self._write(epoch + 1)
                self.saved, self._cost = time.monotonic(), time.monotonic() - now

    def _write(self, epoch: int):
        others = [
            {name: float(vars(one)[name]) for name in KEPT if name in vars(one)}
            for one in self._others
        ]
        state = {
            "mark": self.mark,
            "shapes": [list(variable.shape) for variable in self.weights],
            "epoch": epoch,
            "stopped": bool(self.model.stop_training),
            "history": self.history,
            "others": others,
        }
        variables = [*self.weights, *self.model.optimizer.variables]
        with replacing(self.path) as temporary:
            np.savez(
                temporary,
                *(variable.numpy() for variable in variables),
                state=json.dumps(state),
            )
        self._written = epoch

    def on_train_end(self, logs=None):
        if worker(self.strategy)[0] == 0:
            self.path.unlink(missing_ok=True)

    def where(self) -> str:
        """Say where the training can be resumed from."""
        if worker(self.strategy)[0]:
            name = self.path.name
            return f"The first worker keeps {name}: the same command resumes."
        if self._written is None and self._state is None:
            return "There is no checkpoint yet: the same command starts anew."
        epoch = self._written or self.epoch
        return (
            f"The checkpoint of epoch {epoch} is in {self.path}: the same command "
            "resumes."
        )
