"""A small CLIP trained in a process of its own: devices are chosen when it starts.

    python small_training.py two FOLDER DATA         on two devices, our own CLIP too
    python small_training.py four FOLDER             on four
    python small_training.py workers FOLDER SECONDS  be one worker of TF_CONFIG
    python small_training.py killed FOLDER SECONDS   train, so many seconds an epoch

What was found is left in FOLDER.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import pytest
import tensorflow as tf

from clip_lib.config import Config
from clip_lib.data.dataset import load_dataset
from clip_lib.data.pipelines import batched, shuffled
from clip_lib.data.vocabulary import learn_vocabulary
from clip_lib.models.clip import build_clip, with_labels
from clip_lib.models.encoders import (
    build_image_classifier,
    build_text_classifier,
    without_head,
)
from clip_lib.training.callbacks import KeepBest
from clip_lib.training.distribution import (
    on_devices,
    open_strategy,
    per_device,
    trainer,
)
from clip_lib.training.fit import clip_batches, fit_clip
from clip_lib.training.fitting import fit_on_devices
from clip_lib.training.optimizer import build_optimizer
from clip_lib.training.resume import Resume
from clip_lib.training.workers import (
    FirstWorkersFigures,
    own_folder,
    share_file,
    worker,
)

BATCH, PAIRS, WORDS = 8, 24, 30
MARK = "this very training"
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
    hidden = keras.layers.Dense(12, activation="relu", name="hidden")(image)
    words = keras.layers.Embedding(WORDS, 12, name="words")(text)
    mean = keras.layers.GlobalAveragePooling1D()(words)
    clip = build_clip(keras.Model(image, hidden), keras.Model(text, mean), config)
    # As after some training: it starts so small that its gradients are huge.
    kernel = clip.get_layer("image_encoder").get_layer("projection").kernel
    kernel.assign(30 * kernel)
    return clip


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


def numbered(kind, weights) -> list[str]:
    """Name weights: both projections have the same path."""
    return [f"{kind} {n} {weight.path}" for n, weight in enumerate(weights)]


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

    batch = next(iter(per_device(batched(pairs(), BATCH, True), strategy)))
    names = ["loss", *numbered("gradient", trained.trainable_weights)]
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


def train(strategy, folder, dropout=0.0, seconds=0.0) -> dict:
    """Train for some epochs, shuffled; return the weights and the figures."""
    clip = on_devices(small_clip(dropout), strategy)
    resume = Resume(folder / "clip.keras", clip, strategy, MARK)
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
    stream = batched(shuffled(pairs(), True, 3), BATCH, True)
    history = fit_on_devices(trained, stream, epochs, callbacks, resume)
    kept = keras.saving.load_model(share_file(strategy, best))
    found = {}
    for kind, model in (("last", clip), ("best", kept)):
        names = numbered(kind, model.weights)
        found |= dict(zip(names, model.get_weights(), strict=True))
    found |= {f"history {name}": values for name, values in history.history.items()}
    return found | {"stopped": stop.stopped_epoch}


def compare(strategy) -> dict:
    """Return what must be the same on any number of devices."""
    found = loss_and_gradients(strategy)
    return found | {"clipped": clipped_steps(strategy, ours)}


def without(strategy, monkeypatch) -> dict:
    """Return the same without what makes it so."""
    with monkeypatch.context() as patch:
        patch.setattr("clip_lib.models.contrastive_loss.gather", lambda tensor: tensor)
        found = loss_and_gradients(strategy)
    return found | {"clipped": clipped_steps(strategy, of_keras)}


def two_devices(folder, data):
    """Compare, see what would be otherwise, and train our own CLIP."""
    strategy = open_strategy("mirrored:2")
    np.savez(folder / "two.npz", **compare(strategy))
    np.savez(folder / "without.npz", **without(strategy, pytest.MonkeyPatch()))
    np.savez(folder / "trained.npz", **train(strategy, folder))
    config = Config.quick(
        seed=1, dataset_dir=data, clip_batch_size=8, strategy="mirrored:2"
    )
    dataset = load_dataset(config)
    vectorizer = learn_vocabulary(dataset.train["caption"], config)
    images = build_image_classifier(config, 4)
    texts = build_text_classifier(config, vectorizer.vocabulary_size(), 4)
    clip = build_clip(without_head(images), without_head(texts), config)
    clip, history = fit_clip(clip, dataset, vectorizer, config, folder / "ours.keras")
    pairs = clip_batches(dataset, vectorizer, config, "validation")
    embeddings = clip.predict(pairs, verbose=0)
    history.history["embeddings"] = embeddings
    np.savez(folder / "ours.npz", **history.history)


def main(what, folder, *rest):
    folder = Path(folder)
    if what == "two":
        two_devices(folder, *rest)
    elif what == "four":
        np.savez(folder / "four.npz", **compare(open_strategy("mirrored:4")))
    elif what == "workers":
        strategy = open_strategy("multiworker")
        number = worker(strategy)[0]
        if not (folder / "clip.keras").exists():
            np.savez(folder / f"compared_{number}.npz", **compare(strategy))
        found = train(strategy, folder, seconds=float(rest[0]))
        np.savez(folder / f"trained_{number}.npz", **found)
    else:
        train(open_strategy(""), folder, 0.5, float(rest[0]))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ValueError, OSError) as error:  # As the command line does.
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
