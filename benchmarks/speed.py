"""Measure how fast CLIP trains and answers, and where a training step's time goes.

    python benchmarks/speed.py --data FOLDER

Our training step beside that of the course's recipe (handed_out.py), each through
``fit`` with its own batches; the first epoch, which traces and decodes, is left out.
The machine should have nothing else to do. Weights do not change speed: the models are
not trained beyond the measured steps.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from clock import Clock
from handed_out import BATCH_SIZE, build_handed_out, handed_out_batches

# isort: split
import keras
import tensorflow as tf
from keras import layers
from record import machine, write_result

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset, load_dataset
from clip_lib.data.vocabulary import learn_vocabulary, save_vocabulary
from clip_lib.models.clip import build_clip, with_labels
from clip_lib.models.encoders import (
    build_image_classifier,
    build_text_classifier,
    without_head,
)
from clip_lib.models.saving import save_model, split_encoders
from clip_lib.retrieval.search import (
    IMAGE_INDEX_FILE,
    MODEL_FILE,
    TEXT_INDEX_FILE,
    VOCABULARY_FILE,
    Clip,
    Search,
    build_indexes,
)
from clip_lib.training import fit as train
from clip_lib.training.optimizer import build_optimizer

ROOT = Path(__file__).parents[1]
QUERIES = 200
TARGETS = {"query, median": 15, "index, first run": 5}
"""Milliseconds."""

START = """
import sys, time
marks = {"interpreter": time.perf_counter()}
from clip_lib.cli import ask
from clip_lib.retrieval.search import Clip, Search
from clip_lib.data.vocabulary import check_query
marks["imports"] = time.perf_counter()
load_clip = Clip.load
def load(path):
    clip = load_clip(path)
    marks["model"] = time.perf_counter()
    return clip
Clip.load = load
engine = Search.load(sys.argv[1])
marks["indexes"] = time.perf_counter()
check_query(engine.clip.vectorizer, sys.argv[2])
print(engine.images_for(sys.argv[2], 5, "all").to_string(index=False))
marks["first answer"] = time.perf_counter()
print(*(f"{name}={mark}" for name, mark in marks.items()), sep="\\n")
"""
"""What ``python -m clip_lib search`` does for a text, with a clock."""


def train_speed(clip, batches, batch_size: int, epochs: int) -> dict[str, float]:
    """Time ``fit`` and, alone, the input pipeline, over the epochs after the first.

    Args:
        clip: Compiled model.
        batches: Its training stream.
        batch_size: Pictures a batch.
        epochs: How many to time; figures are medians over them.
    """
    pictures = int(batches.cardinality()) * batch_size
    inputs = []
    for _ in range(epochs + 1):
        began = time.perf_counter()
        for _ in batches:
            pass
        inputs.append(time.perf_counter() - began)
    clock = Clock()
    clip.fit(batches, epochs=epochs + 1, shuffle=False, verbose=0, callbacks=[clock])
    step, pipeline = np.median(clock.epochs[1:]), np.median(inputs[1:])
    steady = clock.batches[int(batches.cardinality()) :]
    return {
        "batch_size": batch_size,
        "pictures_per_second": pictures / step,
        "milliseconds_per_picture": 1e3 * step / pictures,
        "milliseconds_per_batch": 1e3 * float(np.median(steady)),
        "input_milliseconds_per_picture": 1e3 * pipeline / pictures,
        "input_pictures_per_second": pictures / pipeline,
        "input_pictures_per_second_first_epoch": pictures / inputs[0],
        "input_share_of_step": pipeline / step,
    }


def forward_flops(model: keras.Model) -> int:
    """Count what a model does for one input, by TensorFlow's profiler.

    A multiplication and its addition count as two.
    """
    one = tf.TensorSpec((1, *model.input.shape[1:]), model.input.dtype)
    call = tf.function(lambda inputs: model(inputs, training=False))
    options = tf.compat.v1.profiler.ProfileOptionBuilder(
        tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    )
    return tf.compat.v1.profiler.profile(
        call.get_concrete_function(one).graph,
        options=options.with_empty_output().build(),
    ).total_float_ops


def _seconds(call, *arguments, repeats: int) -> list[float]:
    """Time repeated calls, after two that trace and warm up."""
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        call(*arguments)
        times.append(time.perf_counter() - began)
    return times[2:]


def product_rate(size: int = 2048, repeats: int = 10) -> float:
    """Return this machine's best rate of float32 matrix products, in FLOP a second."""
    matrix = tf.random.normal((size, size))
    times = _seconds(tf.function(tf.matmul), matrix, matrix, repeats=repeats)
    return 2 * size**3 / min(times)


def step_parts(clip, batch, speed: dict, repeats: int) -> dict[str, float]:
    """Time the parts of a training step one by one, each compiled alone.

    Args:
        clip: Our CLIP, after `train_speed`.
        batch: One batch of its training.
        speed: What `train_speed` returned for it.
        repeats: Calls to time; a part is the median over them.

    Returns:
        Milliseconds a picture of each part; together they are the step that ``fit``
        took. The remainder holds the loss and what Keras does around a step; parts
        that overlap in a step, as the input does, make it smaller than that, or
        negative.
    """
    image_encoder, text_encoder = split_encoders(clip)
    images, token_ids = batch["image_input"], batch["text_input"]

    def milliseconds(call, *arguments):
        times = _seconds(tf.function(call), *arguments, repeats=repeats)
        return 1e3 * float(np.median(times)) / len(images)

    def gradients(encoder, inputs):
        with tf.GradientTape() as tape:
            embeddings = encoder(inputs, training=True)
            # Not the plain sum, which hardly depends on unit vectors' directions.
            target = tf.random.stateless_normal(embeddings.shape[1:], (0, 0))
            loss = tf.reduce_sum(embeddings * target)
        return tape.gradient(loss, encoder.trainable_variables)

    first = next(x for x in image_encoder.layers if isinstance(x, layers.Conv2D))
    augmentation = keras.Model(image_encoder.input, first.input)
    augment = milliseconds(lambda x: augmentation(x, training=True), images)
    forward = milliseconds(lambda x: image_encoder(x, training=True), images)
    both_ways = milliseconds(lambda x: gradients(image_encoder, x), images)
    text = milliseconds(lambda x: gradients(text_encoder, x), token_ids)
    with tf.GradientTape() as tape:
        clip(batch, training=True)
        loss = sum(clip.losses)
    applied = tape.gradient(loss, clip.trainable_variables)

    def apply(values):
        clip.optimizer.apply(values, clip.trainable_variables)

    parts = {
        "input pipeline": speed["input_milliseconds_per_picture"],
        "scaling and augmentation": augment,
        "image encoder, the rest forward": forward - augment,
        "image encoder, backward": both_ways - forward,
        "text encoder, both ways": text,
        "optimizer": milliseconds(apply, applied),
    }
    step = speed["milliseconds_per_picture"]
    return parts | {"remainder": step - sum(parts.values()), "whole step": step}


def query_times(search: Search, captions) -> dict[str, float]:
    """Time text queries among all pictures: tokenise, embed, search; milliseconds."""
    queries = list(dict.fromkeys(captions))[:QUERIES]
    search.images_for(queries[0], 5, "all")
    times = []
    for query in queries:
        began = time.perf_counter()
        search.images_for(query, 5, "all")
        times.append(1e3 * (time.perf_counter() - began))
    return {
        "gallery": len(search.images.items),
        "queries": len(queries),
        "median": float(np.median(times)),
        "percentile_95": float(np.percentile(times, 95)),
    }


def index_times(clip: Clip, dataset: Dataset) -> dict[str, float]:
    """Time the embedding of all picture files, decoding included; ms a picture."""
    paths = dataset.paths(dataset.pictures("all"))
    began = time.perf_counter()
    clip.embed_images(paths)
    middle = time.perf_counter()
    clip.embed_images(paths)
    return {
        "pictures": len(paths),
        "first_run": 1e3 * (middle - began) / len(paths),
        "second_run": 1e3 * (time.perf_counter() - middle) / len(paths),
    }


def start_times(model_file, query: str, repeats: int) -> dict[str, float]:
    """Time a fresh process from its start to its first answer; median seconds.

    ``command`` is the command line as it is; the others are its parts.
    """
    options = {"cwd": ROOT, "check": True, "capture_output": True, "text": True}
    command = ["-m", "clip_lib", "search", query, "--gallery", "all"]
    runs = []
    for _ in range(repeats):
        began = time.perf_counter()
        arguments = [*command, "--model", str(model_file)]
        subprocess.run([sys.executable, *arguments], **options)
        run = {"command": time.perf_counter() - began}
        # On Linux and macOS all processes read one clock.
        mark = time.perf_counter()
        arguments = ["-c", START, str(model_file), query]
        done = subprocess.run([sys.executable, *arguments], **options)
        for line in done.stdout.splitlines()[-5:]:
            name, value = line.split("=")
            run[name], mark = float(value) - mark, float(value)
        runs.append(run)
    return {name: float(np.median([run[name] for run in runs])) for name in runs[0]}


def save_run(clip, dataset: Dataset, vectorizer, config: Config) -> None:
    """Save a CLIP as the notebook does: vocabulary and indexes beside it."""
    save_model(clip, config.model_path(MODEL_FILE))
    save_vocabulary(vectorizer, config.model_path(VOCABULARY_FILE))
    indexes = build_indexes(Clip.load(config.model_path(MODEL_FILE)), dataset)
    for index, name in zip(indexes, (IMAGE_INDEX_FILE, TEXT_INDEX_FILE), strict=True):
        index.save(config.model_path(name))


def measure(config: Config, epochs: int, repeats: int, starts: int) -> dict:
    """Measure everything.

    Args:
        config: Data, sizes, and the folder that receives the model.
        epochs: Epochs of each training to time, besides the first.
        repeats: Calls of each part of the step to time.
        starts: Fresh processes to time.
    """
    dataset = load_dataset(config)
    vectorizer = learn_vocabulary(dataset.train["caption"], config)
    size, labels = vectorizer.vocabulary_size(), len(dataset.class_names)
    clip = build_clip(
        without_head(build_image_classifier(config, labels)),
        without_head(build_text_classifier(config, size, labels)),
        config,
    )
    batches = train.clip_batches(dataset, vectorizer, config, "train")
    steps = (epochs + 1) * int(batches.cardinality())
    rates = config.clip_learning_rate, config.weight_decay
    trained = with_labels(clip)
    trained.compile(build_optimizer(*rates, steps))
    batch_size = min(config.clip_batch_size, len(dataset.pictures("train")))
    ours = train_speed(trained, batches, batch_size, epochs)
    flops, rate = forward_flops(split_encoders(clip)[0]), product_rate()
    parts = step_parts(trained, next(iter(batches)), ours, repeats)

    everything = learn_vocabulary(dataset.records["caption"], config)
    batches = handed_out_batches(dataset, everything, config, "train")
    theirs = train_speed(
        build_handed_out(config, everything.vocabulary_size()),
        batches,
        min(BATCH_SIZE, len(dataset.train)),
        epochs,
    )
    save_run(clip, dataset, vectorizer, config)
    model_file = config.model_path(MODEL_FILE)
    captions = dataset.records["caption"]
    return {
        "training": {
            "ours": ours,
            "handed_out": theirs,
            "ratio": ours["pictures_per_second"] / theirs["pictures_per_second"],
        },
        "image_encoder": {
            "forward_megaflop": flops / 1e6,
            "gigaflop_per_second": rate / 1e9,
            # No way back: the encoder is locked.
            "bare_forward_milliseconds_per_picture": 1e3 * flops / rate,
        },
        "step_milliseconds_per_picture": parts,
        "query_milliseconds": query_times(Search.load(model_file), captions),
        "index_milliseconds_per_picture": index_times(Clip.load(model_file), dataset),
        "start_seconds": start_times(model_file, dataset.train["caption"][0], starts),
    }


def report(result: dict) -> str:
    """Lay the figures out for reading."""
    training, encoder = result["training"], result["image_encoder"]
    query, index = (
        result[f"{name}_milliseconds{per}"]
        for name, per in (("query", ""), ("index", "_per_picture"))
    )
    ours, theirs = training["ours"], training["handed_out"]
    lines = [f"{'':40}{'ours':>10}{'handed out':>12}"]
    for name, title in (
        ("batch_size", "pictures a batch"),
        ("pictures_per_second", "training, pictures a second"),
        ("input_pictures_per_second", "input alone, pictures a second"),
        ("input_pictures_per_second_first_epoch", "the same, first epoch"),
        ("input_share_of_step", "input alone, share of the step"),
    ):
        lines.append(f"{title:40}{ours[name]:10.3g}{theirs[name]:12.3g}")
    rows = [("ratio of training speeds", training["ratio"], "")]
    for name, value in result["step_milliseconds_per_picture"].items():
        rows.append((f"  {name}", value, "ms a picture"))
    bare = encoder["bare_forward_milliseconds_per_picture"]
    rows += [
        ("matrix products of this machine", encoder["gigaflop_per_second"], "GFLOP/s"),
        ("image encoder, forward", encoder["forward_megaflop"], "MFLOP a picture"),
        ("bare image encoder, forward", bare, "ms a picture, at that rate"),
        ("query, median", query["median"], "ms"),
        ("query, 95th percentile", query["percentile_95"], "ms"),
        ("index, first run", index["first_run"], "ms a picture"),
        ("index, second run", index["second_run"], "ms a picture"),
    ]
    for name, value in result["start_seconds"].items():
        rows.append((f"start to answer: {name}", value, "s"))
    for title, value, unit in rows:
        target = f" (target {TARGETS[title]})" if title in TARGETS else ""
        lines.append(f"{title:40}{value:10.3g} {unit}{target}")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write benchmarks/results/speed.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="data folder, or 'scenes'")
    parser.add_argument("--epochs", type=int, default=4, help="timed, of each training")
    parser.add_argument("--quick", action="store_true", help="a trial, not written")
    arguments = parser.parse_args()
    make = Config.quick if arguments.quick else Config
    epochs, repeats, starts = (
        (1, 3, 1) if arguments.quick else (arguments.epochs, 20, 3)
    )
    with tempfile.TemporaryDirectory() as folder:
        config = make(dataset_dir=arguments.data, model_dir=folder)
        result = {
            "command": f"python benchmarks/speed.py --data ... --epochs {epochs}",
            "machine": machine(),
        } | measure(config, epochs, repeats, starts)
    print(report(result))
    if arguments.quick:
        return
    write_result("speed", result)


if __name__ == "__main__":
    main()
