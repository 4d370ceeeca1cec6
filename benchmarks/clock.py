"""The seconds of a training, while it runs."""

import time

import keras


class Clock(keras.callbacks.Callback):
    """Keep the seconds of each epoch and of each batch, input included."""

    def on_train_begin(self, logs=None):
        self.epochs, self.batches = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch_began = self.batch_began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        self.batches.append(now - self.batch_began)
        self.batch_began = now

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(time.perf_counter() - self.epoch_began)
