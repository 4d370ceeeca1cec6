"""Continue a training that was interrupted."""

import hashlib
import json
import shutil
from pathlib import Path

import keras
import numpy as np

from clip_lib.atomic import replacing
from clip_lib.errors import first_line
from clip_lib.training.callbacks import KeepBest, warn_unsaved

_HISTORY, _MARK, _EPOCH = "history.json", "mark.txt", "training_metadata.json"


def library_files() -> list[Path]:
    """Return the source files of the core: what trained models depend on."""
    library = Path(__file__).parents[1]
    rooms = ("data", "models", "towers", "training")
    return sorted(file for room in rooms for file in (library / room).glob("*.py"))


def training_mark(model: keras.Model, *about: str) -> str:
    """Name a training: the code, the initial weights and whatever else it rests on.

    Args:
        model: The model before training.
        about: Settings, data, vocabulary, as text.
    """
    digest = hashlib.sha256()
    for file in library_files():
        digest.update(file.read_text(encoding="utf-8").encode())
    for weights in model.get_weights():
        digest.update(weights.tobytes())
    for text in about:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()[:16]


class Resume(keras.callbacks.BackupAndRestore):
    """Keras' ``BackupAndRestore``, for the same training only.

    The backup lies beside the model, in ``<model>.backup/``, until the training ends. A
    backup of another training (other data, settings, code or initial weights) is
    removed, with one line that says so.

    Args:
        path: The ``.keras`` file that the training writes.
        mark: `training_mark` of the training.
        best: The callback that keeps the best epoch.

    Attributes:
        history: Logs of all epochs, those before an interruption included.
    """

    def __init__(self, path, mark: str, best: KeepBest):
        self.folder = Path(path).with_suffix(".backup")
        super().__init__(str(self.folder), double_checkpoint=True)
        self.best, self.history = best, {}
        if self.folder.exists() and self._read(_MARK) != mark:
            print(f"{self.folder}: backup of another training, removed.")
            shutil.rmtree(self.folder)
        self._write(_MARK, mark)

    def _read(self, name: str) -> str:
        file = self.folder / name
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    def _write(self, name: str, text: str) -> None:
        with replacing(self.folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def on_train_begin(self, logs=None):
        if not (self.best.path.is_file() and self._read(_HISTORY)):
            return
        initial = self.model.get_weights()
        try:
            # Keras writes this file last: without it, the weights may be half written.
            epoch = json.loads(self._read(_EPOCH))["epoch"]
            kept = json.loads(self._read(_HISTORY))
            # The history is written first: it can hold one epoch more.
            history = kept["history"].items()
            self.history = {name: values[:epoch] for name, values in history}
            self.best.best = kept["best"]  # Of the saved epochs: a disk may be full.
            super().on_train_begin(logs)
        except (OSError, ValueError, KeyError) as error:
            # Nothing of the old training is left in the model.
            self.model.set_weights(initial)
            for variable in self.model.optimizer.variables:
                variable.assign(0 * variable)
            self.model._initial_epoch = None
            self.history, self.best.best = {}, -np.inf
            print(
                f"{self.folder}: damaged, training starts anew ({first_line(error)})."
            )
            return
        print(f"{self.folder}: training resumed after epoch {epoch}.")

    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        try:
            kept = {"history": self.history, "best": float(self.best.best)}
            self._write(_HISTORY, json.dumps(kept))
            super().on_epoch_end(epoch, logs)
        except OSError as error:  # Whatever is damaged now, on_train_begin notices.
            warn_unsaved(epoch, error)
