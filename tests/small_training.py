"""A small CLIP trained in a process of its own, since devices are chosen at its start.

    python small_training.py STRATEGY FOLDER equal          compare devices
    python small_training.py STRATEGY FOLDER killed SECONDS train, so long an epoch

What was found is left in FOLDER/found_<worker>.npz.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import tensorflow as tf

import clip_lib.losses
from clip_lib.batches import _batched, _shuffled
from clip_lib.callbacks import KeepBest
from clip_lib.clip import build_clip, with_labels
from clip_lib.config import Config
from clip_lib.fitting import fit_on_devices
from clip_lib.optimizer import build_optimizer
from clip_lib.resume import Resume
from clip_lib.strategy import on_devices, open_strategy, per_device, trainer
from clip_lib.workers import FirstWorkersFigures, of_first_worker, own_folder, worker

BATCH, PAIRS, WORDS = 8, 24, 30
FIGURES = [0.1, 0.5, 0.4, 0.3, 0.2, 0.1]


def small_clip(dropout):
    """Two encoders that learn, batch normalisation and sparse gradients among them."""
    config = Config.quick(
        seed=1,
        temperature=0.1,
        embed_dim=8,
        locked_images=False,
        feature_dropout=dropout,
    )
    keras.utils.set_random_seed(1)
    image, text = keras.Input((5,)), keras.Input((6,), dtype="int32")
    hidden = keras.layers.Dense(12, activation="relu")(image)
    words = keras.layers.Embedding(WORDS, 12)(text)
    mean = keras.layers.GlobalAveragePooling1D()(words)
    return build_clip(keras.Model(image, hidden), keras.Model(text, mean), config)


def pairs():
    random = np.random.default_rng(0)
    return tf.data.Dataset.from_tensor_slices(
        {
            "image_input": random.normal(size=(PAIRS, 5)).astype("float32"),
            "text_input": random.integers(2, WORDS, (PAIRS, 6)).astype("int32"),
            "label_input": random.integers(0, 3, PAIRS).astype("int32"),
        }
    )


def ours(steps=3):
    return build_optimizer(1e-2, 1e-2, steps)


def of_keras():
    return keras.optimizers.AdamW.from_config(ours().get_config())


def on_all(strategy, function, *arguments) -> list[np.ndarray]:
    """Run a function on all devices; return what the first made."""
    values = tf.function(lambda *given: strategy.run(function, given))(*arguments)
    return [strategy.experimental_local_results(one)[0].numpy() for one in values]


def loss_and_gradients(strategy) -> dict:
    """Return what Keras gives to the optimiser, summed over the devices."""
    clip = on_devices(small_clip(0.0), strategy)
    trained = trainer(with_labels(clip), strategy)
    weights = [weight.value for weight in trained.trainable_weights]

    def on_device(batch):
        with tf.GradientTape() as tape:
            trained(batch, training=True)
            (loss,) = trained.losses
            share = loss / strategy.num_replicas_in_sync
        gradients = map(tf.convert_to_tensor, tape.gradient(share, weights))
        context = tf.distribute.get_replica_context()
        return context.all_reduce("SUM", [share, *gradients])

    batch = next(iter(per_device(_batched(pairs(), BATCH, True), strategy)))
    names = ["loss", *(weight.path for weight in trained.trainable_weights)]
    return dict(zip(names, on_all(strategy, on_device, batch), strict=True))


def clipped_steps(strategy, make) -> np.ndarray:
    """Return a variable after steps along gradients that four shares add up to."""
    shares = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    shares *= np.array([30, 1, 5], "float32")[:, None, None]
    count = strategy.num_replicas_in_sync
    shares = tf.constant(shares.reshape(3, count, 4 // count, 5).sum(axis=2))
    with strategy.scope():
        variable, optimizer = keras.Variable(np.ones(5), dtype="float32"), make()
        optimizer.build([variable])

    def on_device():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        for share in tf.unstack(shares):
            optimizer.apply([share[number]], [variable])
        return [tf.identity(variable.value)]

    return on_all(strategy, on_device)[0]


class Figure(keras.callbacks.Callback):
    """A figure to stop by, and the time in which to be killed."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(self.seconds * BATCH / PAIRS)

    def on_epoch_end(self, epoch, logs=None):
        logs["figure"] = FIGURES[epoch]


class Announce(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        print(f"epoch {epoch + 1} ended", flush=True)


def train(strategy, folder, dropout=0.0, seconds=0.0) -> dict:
    """Train for some epochs, shuffled; return the weights and the figures."""
    clip = on_devices(small_clip(dropout), strategy)
    resume = Resume(folder / "clip.keras", clip, strategy, "this very training")
    best = own_folder(strategy, folder) / "clip.keras"
    epochs = len(FIGURES)
    trained = trainer(with_labels(clip), strategy)
    with strategy.scope():
        trained.compile(ours(epochs * PAIRS // BATCH))
    stop = keras.callbacks.EarlyStopping("figure", mode="max", patience=3)
    callbacks = [
        Figure(seconds),
        FirstWorkersFigures(strategy),
        KeepBest(best, "figure", clip),
        stop,
    ]
    if seconds:
        callbacks.append(Announce())
    stream = _batched(_shuffled(pairs(), True, 3), BATCH, True)
    history = fit_on_devices(trained, stream, epochs, callbacks, resume)
    kept = keras.saving.load_model(best)
    found = {f"last {weight.path}": weight.numpy() for weight in clip.weights}
    found |= {f"best {weight.path}": weight.numpy() for weight in kept.weights}
    found |= {f"history {name}": values for name, values in history.history.items()}
    return found | {"stopped": stop.stopped_epoch}


def equal(strategy, folder) -> dict:
    found = {
        f"gradient {k}": value for k, value in loss_and_gradients(strategy).items()
    }
    found["clipped"] = clipped_steps(strategy, ours)
    found["clipped by keras"] = clipped_steps(strategy, of_keras)
    found["first"] = int(of_first_worker(strategy, str(worker(strategy)[0]).encode()))
    found |= train(strategy, folder)
    # What would be without the texts and images of the other devices.
    clip_lib.losses.gather = lambda tensor: tensor
    alone = loss_and_gradients(strategy)
    return found | {f"alone {name}": value for name, value in alone.items()}


def main(name, folder, what, seconds="0"):
    strategy, folder = open_strategy(name), Path(folder)
    if what == "equal":
        found = equal(strategy, folder)
    else:
        found = train(strategy, folder, 0.5, float(seconds))
    np.savez(folder / f"found_{worker(strategy)[0]}.npz", **found)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ValueError, OSError) as error:  # As the command line does.
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
