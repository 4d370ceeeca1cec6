"""One call of Keras' ``fit``, with its progress shown."""

import functools
import sys

import keras
from tqdm import tqdm
from tqdm.keras import TqdmCallback

from clip_lib.ranking import RECALLS


class _Bar(TqdmCallback):
    """A progress bar without the single recalls, which would not fit in its line."""

    def __init__(self, **options):
        super().__init__(**options)
        # TqdmCallback sets this on the instance, where it would hide a method.
        recalls = [f"val_recall@{k}" for k in RECALLS]
        self.on_epoch_end = self.bar2callback(self.epoch_bar, pop=recalls)


def fit(model, batches, validation, epochs: int, callbacks) -> keras.callbacks.History:
    """Fit a compiled model to a stream that shuffles itself, in one line of progress.

    Args:
        model: A compiled model.
        batches: Stream of training batches, one epoch long.
        validation: The same to validate, or None.
        epochs, callbacks: As for ``Model.fit``.

    Returns:
        The history of ``Model.fit``.
    """
    # On the standard output, since Jupyter paints the other one red; one line in all.
    shape = "{n_fmt}/{total_fmt} {bar:12} {elapsed}<{remaining}{postfix}"
    bar = functools.partial(tqdm, file=sys.stdout, bar_format=shape)
    progress = _Bar(epochs=epochs, verbose=0, tqdm_class=bar)
    return model.fit(
        batches,
        validation_data=validation,
        epochs=epochs,
        shuffle=False,  # The stream shuffles itself.
        verbose=0,
        callbacks=[*callbacks, progress],
    )
