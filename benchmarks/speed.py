"""Measure how fast CLIP trains, answers, embeds pictures, and searches.

    python benchmarks/speed.py --data FOLDER

Our training beside that of the course's recipe (handed_out.py), each through ``fit``
with its own batches; the first epoch, which traces and decodes, is left out. The
machine should have nothing else to do. Weights do not change speed: the models are not
trained beyond the measured epochs.
"""

import tempfile
import time

import numpy as np
import pandas as pd
from handed_out import BATCH_SIZE, Clock, build_handed_out, handed_out_batches
from record import options, provenance, write_result

from clip_lib import silence_tensorflow  # noqa: F401
from clip_lib.config import CONFIG_FILE, Config
from clip_lib.data.dataset import Dataset, load_dataset
from clip_lib.data.pipelines import CachedFeatures
from clip_lib.data.vocabulary import learn_vocabulary
from clip_lib.models.clip import (
    build_clip,
    frozen_features,
    trainable_part,
    without_head,
)
from clip_lib.models.initialization import (
    start_image_classifier,
    start_text_classifier,
)
from clip_lib.models.saving import save_model, split_encoders
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import (
    IMAGE_INDEX_FILE,
    TEXT_INDEX_FILE,
    Clip,
    Search,
    build_indexes,
)
from clip_lib.training.fit import build_optimizer, clip_batches

QUERIES, WIDTH = 200, 128
GALLERIES = (600, 10_000, 100_000, 1_000_000)


def train_speed(clip, batches, batch_size: int, epochs: int) -> dict[str, float]:
    """Time ``fit``, its input included, over the epochs after the first.

    Args:
        clip: Compiled model.
        batches: Its training stream.
        batch_size: Pictures a batch.
        epochs: How many to time; the numbers are medians over them.
    """
    pictures, clock = int(batches.cardinality()) * batch_size, Clock()
    clip.fit(batches, epochs=epochs + 1, shuffle=False, verbose=0, callbacks=[clock])
    seconds = float(np.median(clock.seconds[1:]))
    return {
        "batch_size": batch_size,
        "pictures_per_second": pictures / seconds,
        "milliseconds_per_picture": 1e3 * seconds / pictures,
    }


def build(dataset: Dataset, vectorizer, config: Config):
    """Build an untrained CLIP and save it, with its indexes, as the notebook does."""
    clip = build_clip(
        without_head(start_image_classifier(dataset, config), frozen=True),
        without_head(start_text_classifier(dataset, vectorizer, config)),
        config,
    )
    save_model(clip, config.clip_file)
    vectorizer.save(config.vocabulary_file)
    config.save(config.model_path(CONFIG_FILE))
    indexes = build_indexes(Clip.load(config.clip_file), dataset)
    for index, name in zip(indexes, (IMAGE_INDEX_FILE, TEXT_INDEX_FILE), strict=True):
        index.save(config.model_path(name))
    return clip


def training_speeds(clip, dataset: Dataset, vectorizer, config: Config, epochs: int):
    """Time our training and the course's.

    Returns:
        ``ours``, with the milliseconds a picture that its features take, once;
        ``handed_out``; and ``ratio``: how many times faster our training is, these
        milliseconds spread over its epochs.
    """
    paths = dataset.paths(dataset.part("train"))
    began = time.perf_counter()
    features = CachedFeatures(
        frozen_features(split_encoders(clip)[0]),
        paths,
        config.image_size,
        config.model_dir,
    )
    once = 1e3 * (time.perf_counter() - began) / len(features.row_of)
    batches = clip_batches(dataset, vectorizer, config, "train", features)
    trained = trainable_part(clip, labelled=True)
    steps = (epochs + 1) * int(batches.cardinality())
    trained.compile(build_optimizer(config.clip_learning_rate, steps))
    batch_size = min(config.clip_batch_size, len(features.row_of))
    ours = train_speed(trained, batches, batch_size, epochs)
    ours["features_milliseconds_per_picture"] = once

    everything = learn_vocabulary(dataset.records["caption"], config)
    theirs = train_speed(
        build_handed_out(config, everything.vocabulary_size()),
        handed_out_batches(dataset, everything, config, "train"),
        min(BATCH_SIZE, len(dataset.train)),
        epochs,
    )
    cost = ours["milliseconds_per_picture"] + once / config.clip_epochs
    ratio = theirs["milliseconds_per_picture"] / cost
    return {"ours": ours, "handed_out": theirs, "ratio": ratio}


def query_times(search, queries) -> dict[str, float]:
    """Time one query after the other, warm; milliseconds."""
    for query in queries[:5]:
        search(query)
    times = []
    for query in queries:
        began = time.perf_counter()
        search(query)
        times.append(1e3 * (time.perf_counter() - began))
    return {
        "queries": len(queries),
        "median": float(np.median(times)),
        "percentile_95": float(np.percentile(times, 95)),
    }


def index_time(clip: Clip, paths) -> float:
    """Time the embedding of picture files, decoding included; milliseconds each."""
    clip.embed_images(paths[:32])
    began = time.perf_counter()
    clip.embed_images(paths)
    return 1e3 * (time.perf_counter() - began) / len(paths)


def gallery_times(size: int) -> dict:
    """Time the search among random vectors beside its bound, the product alone.

    Args:
        size: Number of vectors; their rows are those of an index of photos.
    """
    random = np.random.default_rng(size)
    vectors = random.standard_normal((size + QUERIES, WIDTH), "float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeds, queries = vectors[:size], vectors[size:]
    items = {
        "paths": [f"/home/student/Pictures/{row:07d}.jpg" for row in range(size)],
        "size": random.integers(10**5, 10**7, size),
        "mtime_ns": random.integers(16 * 10**17, 17 * 10**17, size),
    }
    index = Index(embeds, pd.DataFrame(items))
    return {
        "size": size,
        "milliseconds": {
            "ours": query_times(lambda query: index.search(query), queries),
            "product": query_times(lambda query: embeds @ query, queries),
        },
    }


def measure(config: Config, epochs: int, galleries=GALLERIES) -> dict:
    """Measure everything.

    Args:
        config: Data, sizes, and the folder that receives the model.
        epochs: Epochs of each training to time, besides the first.
        galleries: Sizes of the random galleries.
    """
    dataset = load_dataset(config)
    vectorizer = learn_vocabulary(dataset.train["caption"], config)
    clip = build(dataset, vectorizer, config)
    texts, search = list(dataset.records["caption"]), Search.load(config.clip_file)
    queries = query_times(
        lambda text: search.images_for(text, 5, "all"), texts[:QUERIES]
    )
    paths = dataset.paths(dataset.pictures("all"))
    return {
        "training": training_speeds(clip, dataset, vectorizer, config, epochs),
        "query_milliseconds": queries | {"gallery": len(search.images.items)},
        "index_milliseconds_per_picture": index_time(search.clip, paths),
        "galleries": [gallery_times(size) for size in galleries],
    }


def main() -> None:
    """Measure, print, and write benchmarks/results/speed.json."""
    parser = options(__doc__, jobs=False)
    parser.add_argument("--epochs", type=int, default=4, help="timed, of each training")
    given = parser.parse_args()
    make = Config.quick if given.quick else Config
    about = provenance(make())
    sizes = (1, GALLERIES[:2]) if given.quick else (given.epochs,)
    with tempfile.TemporaryDirectory() as folder:
        config = make(dataset_dir=given.data, model_dir=folder)
        result = about | measure(config, *sizes)
    print(result)
    if not given.quick:
        write_result("speed", result)


if __name__ == "__main__":
    main()
