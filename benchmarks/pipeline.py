"""Train and measure the three models, over seeds or over folds.

A seed changes everything that is drawn: the split, the initial weights, the order of
the batches. ``--train-seeds`` changes all but the split. With ``--folds 5`` each
picture is tested once. Choices (the epoch kept) are made on validation; test is
measured once.

    python benchmarks/pipeline.py --data FOLDER --name folds --folds 5 --seeds 42
"""

import dataclasses
import time

import pandas as pd
from record import (
    list_splits,
    measure_all,
    options,
    peak_gigabytes,
    provenance,
    write_result,
)

from clip_lib import silence_tensorflow  # noqa: F401
from clip_lib.config import IMAGE_ENCODERS, PRESETS, Config
from clip_lib.data.dataset import Dataset, load_dataset
from clip_lib.data.vocabulary import encode
from clip_lib.errors import ClipError
from clip_lib.evaluation.evaluate import evaluate_dataset, image_accuracy
from clip_lib.retrieval.search import Clip
from clip_lib.towers.choice import choose_builders
from clip_lib.towers.pretrained_clip import load_pretrained
from clip_lib.training.pipeline import train


def with_captions(dataset: Dataset, file) -> Dataset:
    """Give the training pictures all the captions of a table, and no other picture.

    Args:
        dataset: Split data.
        file: CSV with the columns image_path and caption, several rows a picture.
    """
    table = pd.read_csv(file)[["image_path", "caption"]]
    train = dataset.pictures("train").drop(columns="caption")
    missing = set(train["image_path"]) - set(table["image_path"])
    if missing:
        raise ClipError(f"{file}: no caption for {min(missing)}.")
    rest = dataset.records[dataset.records["split"] != "train"]
    records = pd.concat([train.merge(table, on="image_path"), rest], ignore_index=True)
    return dataclasses.replace(dataset, records=records)


def measure(
    config: Config, captions=None, fold=None, train_seed=None, others=None
) -> dict:
    """Train once as the notebook does; return the metrics on test.

    What a training starts from, if it is pretrained, is measured as well.

    Args:
        config: Its ``seed`` draws the split.
        captions: See `with_captions`.
        fold: See `load_dataset`.
        train_seed: Seed of everything but the split, if it is another one.
        others: Another data folder, whose test part is measured too.
    """
    dataset, seed = load_dataset(config, fold=fold), config.seed
    if not dataset.class_names:
        raise ClipError(f"{dataset.folder}: no labels; see pretraining.py.")
    if captions:
        dataset = with_captions(dataset, captions)
    if train_seed is not None:
        config = dataclasses.replace(config, seed=train_seed)
    started = time.monotonic()
    trained = train(dataset, config, choose_builders(config))
    minutes = (time.monotonic() - started) / 60
    token_ids = encode(trained.vectorizer, dataset.test["caption"])
    predictions = trained.text_classifier.predict(token_ids, verbose=0).argmax(axis=1)
    clip = Clip.load(config.clip_file)
    result = {"clip": evaluate_dataset(clip, dataset, "test")}
    models = {"clip": clip}
    if config.pretrained_dir:
        models["start"] = load_pretrained(config)
        result["start"] = evaluate_dataset(models["start"], dataset, "test")
    if others:
        other = load_dataset(dataclasses.replace(config, dataset_dir=others))
        result["others"] = {
            name: evaluate_dataset(model, other, "test")
            for name, model in models.items()
        }
    return result | {
        "seed": seed,
        "train_seed": config.seed,
        "fold": fold[0] if fold else 0,
        "pairs": {part: len(dataset.part(part)) for part in ("train", "validation")},
        "minutes": minutes,
        "peak_gigabytes": peak_gigabytes(),
        "epochs": len(trained.history["loss"]),
        "temperature": trained.history["temperature"][-1],
        "image_accuracy": image_accuracy(trained.image_classifier, dataset),
        "text_accuracy": float((predictions == dataset.labels(dataset.test)).mean()),
        "chance_accuracy": 1 / len(dataset.class_names),
    }


def main() -> None:
    """Measure every seed and fold; write benchmarks/results/pipeline_<name>.json."""
    parser = options(__doc__, splits=True)
    about = "seeds of the training alone, with each split"
    parser.add_argument(
        "--train-seeds", type=int, nargs="+", default=[None], help=about
    )
    parser.add_argument("--captions", help="table with more captions to train on")
    parser.add_argument("--others", help="data folder, whose test part is measured too")
    parser.add_argument("--preset", choices=PRESETS, default="course")
    parser.add_argument("--image-encoder", choices=IMAGE_ENCODERS)
    parser.add_argument("--text-encoder", help="smallbert, distilbert...")
    given = parser.parse_args()
    make = Config.quick if given.quick else PRESETS[given.preset]
    changes = {
        name: value
        for name in ("image_encoder", "text_encoder")
        if (value := getattr(given, name))
    }
    about = provenance(make(**changes))
    tasks = [
        (
            make(seed=seed, dataset_dir=given.data, **changes),
            given.captions,
            fold,
            other,
            given.others,
        )
        for seed, fold in list_splits(given)
        for other in given.train_seeds
    ]
    runs = measure_all(measure, tasks, given.jobs)
    if not given.quick:
        write_result(f"pipeline_{given.name}", about | {"runs": runs})


if __name__ == "__main__":
    main()
