"""Make on purpose what goes wrong with a CLIP, and draw the curves that it gives.

    python benchmarks/failures.py --data FOLDER

One seed, and encoders as they are initialised: the shapes count, not the figures.
docs/when_it_goes_wrong.md explains each.
"""

import dataclasses
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import matplotlib
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers
from record import ROOT, options, provenance, write_result

from clip_lib.config import Config
from clip_lib.data.dataset import load_dataset
from clip_lib.data.images import load_image
from clip_lib.data.pipelines import FEATURE_INPUT, CachedFeatures
from clip_lib.data.vocabulary import Vectorizer, encode, known_tokens, learn_vocabulary
from clip_lib.evaluation.metrics import first_ranks
from clip_lib.evaluation.results import read_result
from clip_lib.models import initialization
from clip_lib.models.clip import (
    TEMPERATURE_RATE,
    build_clip,
    frozen_features,
    trainable_part,
    without_head,
)
from clip_lib.models.contrastive_loss import ContrastiveLoss
from clip_lib.models.saving import LOSS, PROJECTION, split_encoders
from clip_lib.models.smallbert import build_text_classifier
from clip_lib.training.callbacks import ValidationRecall
from clip_lib.training.fit import build_optimizer, clip_batches

FIGURES = ROOT / "docs" / "figures"
INPUTS = (FEATURE_INPUT, "text_input")
CURVES = ("loss", "val_loss", "val_recall", "temperature")
PIECES = 3
"""Captions of a picture, made by cutting its own: whole, first half, second half."""


class Log(keras.callbacks.Callback):
    """Keep what was measured after each epoch."""

    def __init__(self):
        super().__init__()
        self.curves = {name: [] for name in CURVES}

    def on_epoch_end(self, epoch, logs=None):
        for name, values in self.curves.items():
            values.append(float(logs[name]))


class Rows(keras.utils.PyDataset):
    """Batches of pairs: of each picture one caption, drawn anew, or all of them.

    Args:
        features: (N, ...), of the pictures.
        token_ids: (N, captions, length).
        pictures: Pictures a batch.
        all_at_once: Whether a batch holds every caption of its pictures, as pairs.
    """

    def __init__(self, features, token_ids, pictures: int, all_at_once: bool):
        super().__init__()
        self.features, self.token_ids = features, token_ids
        self.pictures, self.all_at_once = pictures, all_at_once
        self.random = np.random.default_rng(0)
        self.on_epoch_end()

    def __len__(self):
        return len(self.features) // self.pictures

    def __getitem__(self, number):
        rows = self.order[number * self.pictures :][: self.pictures]
        count = self.token_ids.shape[1]
        if self.all_at_once:
            rows, captions = np.repeat(rows, count), np.tile(range(count), len(rows))
        else:
            captions = self.random.integers(count, size=len(rows))
        pairs = self.features[rows].astype("float32"), self.token_ids[rows, captions]
        inputs = dict(zip(INPUTS, pairs, strict=True))
        return (inputs,)

    def on_epoch_end(self):
        self.order = self.random.permutation(len(self.features))


class Bench:
    """The data, the encoders as they are initialised, and the trainings from there."""

    def __init__(self, config: Config):
        self.config, self.dataset = config, load_dataset(config)
        captions = self.dataset.train["caption"]
        self.vectorizer = learn_vocabulary(captions, config)
        image = initialization.start_image_classifier(self.dataset, config)
        self.images = without_head(image, frozen=True)
        paths = self.dataset.paths(self.dataset.pictures("all"))
        self.cached = CachedFeatures(
            frozen_features(self.images), paths, config.image_size, config.model_dir
        )

    def clip(self, vectorizer=None, **changes) -> keras.Model:
        """Return a CLIP before its training."""
        config = dataclasses.replace(self.config, **changes)
        vectorizer = vectorizer or self.vectorizer
        text = initialization.start_text_classifier(self.dataset, vectorizer, config)
        return build_clip(self.images, without_head(text), config)

    def stream(self, split: str, vectorizer=None, dataset=None):
        """Return the pairs of a split."""
        vectorizer = vectorizer or self.vectorizer
        dataset = dataset or self.dataset
        pairs = clip_batches(dataset, vectorizer, self.config, split, self.cached)
        # No targets are shared by label.
        return pairs.map(lambda batch: {name: batch[name] for name in INPUTS})

    def train(self, clip, batches=None, pairs=None, epochs=None, rate=None) -> dict:
        """Train; return the curves."""
        batches = self.stream("train") if batches is None else batches
        pairs = self.stream("validation") if pairs is None else pairs
        epochs = epochs or self.config.clip_epochs
        trained, log = trainable_part(clip), Log()
        steps = epochs * len(batches)
        rate = rate or build_optimizer(self.config.clip_learning_rate, steps)
        trained.compile(rate)
        size = self.config.clip_batch_size
        measure = ValidationRecall(trainable_part(clip), pairs, size)
        trained.fit(
            batches, epochs=epochs, verbose=0, shuffle=False, callbacks=[measure, log]
        )
        return log.curves

    def recall(self, image_embeddings, text_embeddings) -> float:
        """Return the mean recall@10 of both directions."""
        similarity = image_embeddings @ text_embeddings.T
        own = np.eye(len(similarity))
        ranks = [first_ranks(each, own) for each in (similarity, similarity.T)]
        return float((np.stack(ranks) <= 10).mean())


def shuffled(batches):
    """Tear the pairs of each batch apart, anew each time."""
    return batches.map(
        lambda batch: batch | {"text_input": tf.random.shuffle(batch["text_input"])}
    )


def without_unit_length(clip: keras.Model, config: Config) -> keras.Model:
    """Return the same CLIP without its normalisation: raw products."""
    encoders = [
        keras.Model(one.input, one.get_layer(PROJECTION).output, name=one.name)
        for one in split_encoders(clip)
    ]
    names = ("image_input", "text_input")
    inputs = [
        keras.Input(each.input.shape[1:], dtype=each.input.dtype, name=name)
        for each, name in zip(encoders, names, strict=True)
    ]
    loss = ContrastiveLoss(config.temperature, 0.0, TEMPERATURE_RATE, name=LOSS)
    outputs = loss([one(each) for one, each in zip(encoders, inputs, strict=True)])
    return keras.Model(dict(zip(names, inputs, strict=True)), outputs, name="clip")


def with_fixed_temperature(clip: keras.Model) -> keras.Model:
    """Freeze the temperature where it starts."""
    clip.get_layer(LOSS).log_scale.trainable = False
    return clip


def eight_pairs(bench: Bench):
    """Return a data set of eight pairs, to learn and to be measured on."""
    rows = bench.dataset.train.groupby("label").head(2)[:8]
    both = [rows.assign(split=split) for split in ("train", "validation")]
    return dataclasses.replace(bench.dataset, records=pd.concat(both))


def train_all(bench: Bench) -> dict[str, dict]:
    """Train each failure, and the same without it; return the curves."""
    config, found = bench.config, {}
    found["right"] = bench.train(bench.clip())
    found["torn pairs"] = bench.train(bench.clip(), shuffled(bench.stream("train")))
    eight = eight_pairs(bench)
    streams = [bench.stream(split, dataset=eight) for split in ("train", "validation")]
    found["eight"] = bench.train(bench.clip(), *streams, epochs=60)
    torn = shuffled(streams[0])
    found["eight, torn"] = bench.train(bench.clip(), torn, streams[1], epochs=60)
    raw = without_unit_length(bench.clip(), config)
    found["raw products"] = bench.train(raw)
    for name, temperature in (("temperature 1", 1.0), ("temperature 0.01", 0.01)):
        clip = with_fixed_temperature(bench.clip(temperature=temperature))
        found[name] = bench.train(clip)
    long = 3 * config.clip_epochs
    rate = keras.optimizers.Adam(1e-3)
    found["long"] = bench.train(bench.clip(), epochs=long, rate=rate)
    rows = bench.dataset.train
    words = [caption.split() for caption in rows["caption"]]
    halves = [(w, w[: len(w) // 2], w[len(w) // 2 :]) for w in words]
    flat = [" ".join(piece) for each in halves for piece in each]
    token_ids = encode(bench.vectorizer, flat).reshape(len(rows), PIECES, -1)
    features = bench.cached.array[bench.cached.rows(bench.dataset.paths(rows))]
    for name, all_at_once in (("one caption a picture", False), ("all captions", True)):
        size = config.clip_batch_size // (PIECES if all_at_once else 1)
        batches = Rows(features, token_ids, size, all_at_once)
        found[name] = bench.train(bench.clip(), batches, epochs=long)
    everything = learn_vocabulary(bench.dataset.records["caption"], config)
    streams = [bench.stream(split, everything) for split in ("train", "validation")]
    found["vocabulary of all"] = bench.train(bench.clip(everything), *streams)
    known = {}
    for name, one in (("train", bench.vectorizer), ("all", everything)):
        words = known_tokens(one, bench.dataset.test["caption"])
        known[name] = float(1 - np.concatenate(words).mean())
    found["unknown words of test"] = known
    return found


def searches(bench: Bench) -> dict[str, dict]:
    """Train once, then search with what differs from the training."""
    clip = bench.clip()
    bench.train(clip)
    image_encoder, text_encoder = split_encoders(clip)
    rows = bench.dataset.validation
    size = bench.config.image_size
    pixels = np.stack([load_image(path, size) for path in bench.dataset.paths(rows)])
    pixels = pixels.astype("float32")
    token_ids = encode(bench.vectorizer, rows["caption"])
    texts = text_encoder.predict(token_ids, verbose=0)
    found = {"pixels": {}}
    for name, images in (
        ("as trained", pixels),
        ("0 to 1 rather than 0 to 255", pixels / 255),
        ("blue and red exchanged", pixels[..., ::-1]),
        ("upside down", pixels[:, ::-1]),
    ):
        vectors = image_encoder.predict(images, verbose=0)
        found["pixels"][name] = bench.recall(vectors, texts)
    images = image_encoder.predict(pixels, verbose=0)
    words = bench.vectorizer.get_vocabulary()[2:]
    foreign = Vectorizer(words[::-1], token_ids.shape[1])
    lost = Vectorizer(["qwertz"], token_ids.shape[1])
    found["first answers"] = {}
    for name, vectorizer in (
        ("its own vocabulary", bench.vectorizer),
        ("another vocabulary", foreign),
        ("no word known", lost),
    ):
        vectors = text_encoder.predict(encode(vectorizer, rows["caption"]), verbose=0)
        firsts = (images @ vectors.T).argmax(axis=0)
        counts = np.sort(np.bincount(firsts, minlength=len(images)))[::-1]
        found["first answers"][name] = counts.tolist()
    found["padding"] = padding(bench, token_ids)
    return found


def padding(bench: Bench, token_ids) -> dict[str, float]:
    """Return the cosine of a caption's vectors, once it is padded further.

    Of an encoder whose word vectors are drawn at random, as is usual: ours start from
    zeros for padding, which hides the fault at first.
    """
    keras.utils.set_random_seed(bench.config.seed)
    words = bench.vectorizer.vocabulary_size()
    text = build_text_classifier(bench.config, words, len(bench.dataset.class_names))
    # A product carries no mask: the layer below would take it, and average the words.
    contexts = text.get_layer("last_norm").output * 1.0
    mask = keras.ops.not_equal(text.input, 0)
    pool, found = layers.GlobalAveragePooling1D(), {}
    short = int((token_ids > 0).sum(axis=1).max())
    for name, masked in (("masked mean", True), ("mean over all positions", False)):
        vectors = []
        for length in (short, token_ids.shape[1]):
            own = mask[:, :length] if masked else None
            outputs = pool(contexts[:, :length], mask=own)
            both = keras.Model(text.input, outputs).predict(token_ids, verbose=0)
            vectors.append(both / np.linalg.norm(both, axis=1, keepdims=True))
        found[name] = float((vectors[0] * vectors[1]).sum(axis=1).mean())
    others = vectors[0] @ vectors[0].T
    others = others[~np.eye(len(others), dtype=bool)]
    found["two captions, mean over all positions"] = float(others.mean())
    return found


_SAVE = """
import sys
import keras
import numpy as np

{register}
class Twice(keras.layers.Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return self.factor * inputs
{config}

if sys.argv[2] == "save":
    inputs = keras.Input((1,))
    keras.Model(inputs, {layer}(inputs)).save(sys.argv[1])
else:
    keras.saving.load_model(sys.argv[1])
"""
_CONFIG = """
    def get_config(self):
        return super().get_config() | {"factor": self.factor}
"""
_REGISTER = '@keras.saving.register_keras_serializable(package="mine")'


def reloads() -> dict[str, str]:
    """Save a layer of one's own and load it in another process; return what it says."""
    found = {}
    for name, layer, register, config, again in (
        ("no get_config, a number", "Twice(2)", _REGISTER, "", True),
        ("no get_config, an array", "Twice(np.ones(1))", _REGISTER, "", True),
        ("the class is not imported", "Twice(2)", _REGISTER, _CONFIG, False),
        ("a Lambda", "keras.layers.Lambda(lambda x: 2 * x)", "", "", True),
        ("registered, with get_config", "Twice(2)", _REGISTER, _CONFIG, True),
    ):
        code = _SAVE.replace("{register}", register).replace("{config}", config)
        code = code.replace("{layer}", layer)
        alone = "import sys, keras; keras.saving.load_model(sys.argv[1])"
        load = code if again else alone
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder, "model.keras"))
            for script, what in ((code, "save"), (load, "load")):
                process = subprocess.run(
                    [sys.executable, "-c", script, file, what],
                    capture_output=True,
                    text=True,
                )
                if process.returncode:
                    break
        outermost = process.stderr.rpartition("Traceback")[2]
        said = re.findall(r"(?ms)^\w+Error: .*", outermost) or [outermost]
        sentence = " ".join(said[0].split()).split(". ")[0]
        sentence = sentence if process.returncode else f"{what}ed"
        found[name] = sentence.replace("`", "").replace("|", " ").removesuffix(",")
    return found


def draw(found: dict) -> None:
    """Draw every figure of docs/when_it_goes_wrong.md."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    curves, size = found["curves"], found["config"]["clip_batch_size"]
    FIGURES.mkdir(parents=True, exist_ok=True)

    def panel(axes, names, curve, title, level=None, called=""):
        for name in names:
            values = curves[name][curve]
            axes.plot(range(1, len(values) + 1), values, label=name)
        if level is not None:
            axes.axhline(level, color="grey", linestyle="--", label=called)
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")

    def figure(name, *panels):
        drawn, line = plt.subplots(
            1, len(panels), figsize=(4.6 * len(panels), 3), layout="constrained"
        )
        for axes, one in zip(np.atleast_1d(line), panels, strict=True):
            one(axes)
        drawn.savefig(FIGURES / f"{name}.png", dpi=90)
        plt.close(drawn)

    def curve(*arguments):
        return lambda axes: panel(axes, *arguments)

    def bars(values, title, label):
        def one(axes):
            axes.barh(list(values), list(values.values()), color="tab:blue")
            axes.invert_yaxis()
            axes.set(title=title, xlabel=label)

        return one

    log = f"ln {size}", float(np.log(size))
    recall = "validation recall, mean of R@1, 5, 10"
    pair = ("right", "torn pairs")
    figure(
        "stuck",
        curve(pair, "loss", "training loss", log[1], log[0]),
        curve(("eight", "eight, torn"), "loss", "eight pairs", np.log(8), "ln 8"),
    )
    names = ("right", "raw products")
    figure(
        "raw",
        curve(names, "loss", "training loss", log[1], log[0]),
        curve(names, "val_recall", recall),
    )
    names = ("one caption a picture", "all captions")
    figure(
        "negatives",
        curve(names, "loss", "training loss", float(np.log(PIECES)), f"ln {PIECES}"),
        curve(names, "val_recall", recall),
    )
    names = ("right", "temperature 1", "temperature 0.01")
    least = float(np.log(1 + (size - 1) * np.exp(-2)))
    figure(
        "temperature",
        curve(names, "loss", "training loss", least, "least at temperature 1"),
        curve(names, "val_recall", recall),
    )
    figure(
        "rising",
        curve(("long",), "val_loss", "validation loss", log[1], log[0]),
        curve(("long",), "val_recall", recall),
    )

    def firsts(axes):
        for name, counts in found["searches"]["first answers"].items():
            share = np.cumsum(counts) / sum(counts)
            axes.plot(range(1, len(counts) + 1), share, label=name)
        title = f"first answers of {sum(counts)} captions"
        axes.set(title=title, xlabel="pictures, most frequent first", ylabel="share")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")

    figure("same", firsts)
    searched = found["searches"]
    title, label = "validation recall@10", "mean of both ways"
    figure("pixels", bars(searched["pixels"], title, label))
    title, label = "one caption, padded further", "cosine"
    figure("padding", bars(searched["padding"], title, label))


def main() -> None:
    """Write benchmarks/results/failures.json, and draw."""
    parser = options(__doc__, jobs=False)
    given = parser.parse_args()
    make = Config.quick if given.quick else Config
    with tempfile.TemporaryDirectory() as folder:
        config = make(dataset_dir=given.data, model_dir=folder, label_share=0.0)
        found = provenance(config)
        bench = Bench(config)
        found["source"] = bench.dataset.source
        found |= {"curves": train_all(bench), "searches": searches(bench)}
    found["reloads"] = reloads()
    if not given.quick:
        write_result("failures", json.loads(json.dumps(found)))
        draw(read_result("failures"))


if __name__ == "__main__":
    main()
