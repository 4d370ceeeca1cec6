"""One call of Keras' ``fit``, with its progress shown."""

import functools
import sys

import keras
from tqdm import tqdm
from tqdm.keras import TqdmCallback

from clip_lib.evaluation.metrics import RECALLS
from clip_lib.training.epochs import EnterEpoch, EpochStream
from clip_lib.training.resume import Resume
from clip_lib.training.workers import losing_no_worker


class _Bar(TqdmCallback):
    """A progress bar without the single recalls, which would not fit in its line."""

    def __init__(self, **options):
        super().__init__(**options)
        # TqdmCallback sets this on the instance, where it would hide a method.
        recalls = [f"val_recall@{k}" for k in RECALLS]
        self.on_epoch_end = self.bar2callback(self.epoch_bar, pop=recalls)


def fit(
    model, batches, validation, epochs: int, callbacks, start: int = 0
) -> keras.callbacks.History:
    """Fit a compiled model to a stream that shuffles itself, in one line of progress.

    Args:
        model: A compiled model.
        batches: Stream of training batches, one epoch long.
        validation: The same to validate, or None.
        epochs, callbacks: As for ``Model.fit``.
        start: The first epoch, from 0.

    Returns:
        The history of ``Model.fit``.
    """
    # On the standard output, since Jupyter paints the other one red; one line in all.
    shape = "{n_fmt}/{total_fmt} {bar:12} {elapsed}<{remaining}{postfix}"
    bar = functools.partial(tqdm, file=sys.stdout, bar_format=shape)
    progress = _Bar(epochs=epochs, verbose=0, tqdm_class=bar)
    try:
        return model.fit(
            batches,
            validation_data=validation,
            epochs=epochs,
            initial_epoch=start,
            shuffle=False,  # The stream shuffles itself.
            verbose=0,
            callbacks=[*callbacks, progress],
        )
    finally:
        progress.epoch_bar.close()  # If it fails, that is told on a line of its own.


def fit_on_devices(
    model, batches, epochs: int, callbacks, resume: Resume
) -> keras.callbacks.History:
    """Fit a model on the devices of a strategy, from where it was killed, if it was.

    Args:
        model: Made and compiled within the strategy's scope.
        batches: Stream of whole training batches, one epoch long.
        epochs, callbacks: As for ``Model.fit``.
        resume: Made of the same weights.

    Returns:
        The history of all epochs, those before it was killed included.

    Raises:
        ConnectionError: If another worker is lost.
        ClipError: If a batch cannot be shared equally among the devices.
    """
    stream = EpochStream(batches, resume.strategy)
    resume.take_up(model, callbacks)
    callbacks = [EnterEpoch(stream), *callbacks, resume]
    with losing_no_worker(resume.strategy, resume.where):
        start = epochs if resume.done else resume.epoch
        history = fit(model, stream, None, epochs, callbacks, start)
    history.history = resume.history
    return history
