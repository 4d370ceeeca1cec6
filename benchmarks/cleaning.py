"""Plant faults into a copy of a data folder; measure what finds them again.

30 captions change pictures among themselves, 30 pictures get a foreign label, and 20
pictures come back as a new row: saved at a low JPEG quality, mirrored, or cropped by 5
to 12 percent. The three models are then trained on this folder, faults included. A
seed draws the faults, the split and the training.

    python benchmarks/cleaning.py --data FOLDER

Each fault counts as found by its own detector only: a foreign label among the off-topic
pairs is counted as a mistake. The lines "any" count both as right. Near-duplicates are
pairs of pictures; a pair that the data held before is counted as a mistake too.
The weights and thresholds of clip_lib/evaluation/cleaning.py were chosen on seed 10.
"""

import argparse
import dataclasses
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import ImageOps
from pipeline import measure
from record import machine, write_result
from sklearn.metrics import average_precision_score

from clip_lib.config import Config
from clip_lib.data.captions_table import read_records
from clip_lib.data.dataset import load_dataset
from clip_lib.data.images import open_picture
from clip_lib.data.source import find_folder
from clip_lib.data.vocabulary import learn_vocabulary
from clip_lib.evaluation.cleaning import (
    label_outliers,
    near_duplicates,
    off_topic_pairs,
)
from clip_lib.models.saving import load_clip, split_encoders
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import (
    IMAGE_INDEX_FILE,
    TEXT_INDEX_FILE,
    Clip,
    build_indexes,
)

SWAPPED, FOREIGN, COPIES = 30, 30, 20


def plant(source, folder, seed: int) -> pd.DataFrame:
    """Copy a data folder, with faults.

    Args:
        source: Sound data folder.
        folder: Where the faulty copy goes.
        seed: Of the draw.

    Returns:
        The rows of the copy, with two more columns: ``fault`` ("swapped", "foreign",
        "copy" or "") and, for a copy, ``original``: the picture it was made of.
    """
    random = np.random.default_rng(seed)
    records = read_records(source).assign(fault="", original="")
    for name in records["image_path"].unique():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(source) / name, folder / name)
    first = records.drop_duplicates("image_path").index.to_numpy()
    drawn = random.permutation(first)[: SWAPPED + FOREIGN + COPIES]
    swapped, foreign, copied = np.split(drawn, [SWAPPED, SWAPPED + FOREIGN])
    records.loc[swapped, "caption"] = np.roll(records.loc[swapped, "caption"], 1)
    records.loc[swapped, "fault"] = "swapped"
    labels = records["label"].unique()
    for row in foreign:
        rows = records["image_path"] == records.at[row, "image_path"]
        others = labels[labels != records.at[row, "label"]]
        records.loc[rows, "label"] = random.choice(others)
        records.loc[rows, "fault"] = "foreign"
    copies = records.loc[copied].assign(fault="copy")
    copies["original"] = copies["image_path"]
    copies["image_path"] = [f"images/copy_{n:02d}.jpg" for n in range(len(copies))]
    for number, row in enumerate(copies.itertuples()):
        picture, quality = open_picture(folder / row.original), 90
        if number % 3 == 0:
            quality = int(random.integers(15, 40))
        elif number % 3 == 1:
            picture = ImageOps.mirror(picture)
        else:
            picture = _crop(picture, random)
        picture.save(folder / row.image_path, quality=quality)
    records = pd.concat([records, copies], ignore_index=True)
    columns = ["image_path", "label", "caption"]
    records[columns].to_csv(folder / "captions.csv", index=False)
    return records


def _crop(picture, random):
    """Take 5 to 12 percent off the width and off the height, anywhere."""
    size = np.array(picture.size)
    kept = size * (1 - random.uniform(0.05, 0.12, 2))
    corner = random.uniform(0, 1, 2) * (size - kept)
    return picture.crop(tuple(np.concatenate([corner, corner + kept]).round()))


def train(config: Config, keep: Path) -> dict:
    """Train on the faulty folder and keep the two indexes; return test figures."""
    report = measure(config)
    dataset = load_dataset(config)
    encoders = split_encoders(load_clip(config.model_path("clip.keras")))
    vectorizer = learn_vocabulary(dataset.train["caption"], config)
    images, texts = build_indexes(Clip(*encoders, vectorizer), dataset)
    images.save(keep / IMAGE_INDEX_FILE)
    texts.save(keep / TEXT_INDEX_FILE)
    return report


def figures(scores, relevant) -> dict:
    """Measure one ranking against chance: the share planted, which both figures meet.

    Args:
        scores: (N,), the higher the more suspicious.
        relevant: bool (N,), what was planted.
    """
    scores, relevant = np.asarray(scores), np.asarray(relevant)
    planted = int(relevant.sum())
    order = np.argsort(-scores, kind="stable")[:planted]
    return {
        "average_precision": float(average_precision_score(relevant, scores)),
        "precision_at_planted": float(relevant[order].mean()),
        "planted": planted,
        "chance": float(relevant.mean()),
    }


def score(keep: Path, truth: pd.DataFrame) -> dict:
    """Measure every detector, and what it is made of, on one faulty folder.

    Args:
        keep: Folder of the two indexes.
        truth: What `plant` returned.
    """
    images = Index.load(keep / IMAGE_INDEX_FILE)
    texts = Index.load(keep / TEXT_INDEX_FILE)
    # The paths of the indexes begin with the folder of the data.
    folder = images.items["paths"][0].removesuffix(truth["image_path"][0])
    truth = truth.assign(image_path=folder + truth["image_path"])
    rows_of = dict(list(truth.groupby("fault")))
    swapped, foreign, copies = (
        rows_of[name] for name in ("swapped", "foreign", "copy")
    )
    wrong = pd.concat([swapped, foreign])["image_path"]
    topics, labels = off_topic_pairs(images, texts), label_outliers(texts)
    # Every pair, so that a planted one that no threshold lets pass counts as missed.
    pairs, found = near_duplicates(images, min_agreement=-2), near_duplicates(images)
    is_swapped = _among(topics, swapped["image_path"], swapped["caption"])
    is_foreign = labels["image_path"].isin(foreign["image_path"])
    originals = folder + copies["original"]
    is_copy = _among(pairs, copies["image_path"], originals)
    learned = topics["image_path"].isin(
        texts.items["image_paths"][texts.items["splits"] == "train"]
    )
    rankings = {
        "off-topic pairs": (topics["score"], is_swapped),
        "off-topic pairs, CLIP alone": (-topics["similarity_z"], is_swapped),
        "off-topic pairs, CLIP alone, training pairs": (
            -topics["similarity_z"][learned],
            is_swapped[learned],
        ),
        "off-topic pairs, CLIP alone, other pairs": (
            -topics["similarity_z"][~learned],
            is_swapped[~learned],
        ),
        "off-topic pairs, words alone": (topics["label_doubt"], is_swapped),
        "off-topic pairs, any": (topics["score"], topics["image_path"].isin(wrong)),
        "label outliers, words alone": (labels["score"], is_foreign),
        "label outliers, any": (labels["score"], labels["image_path"].isin(wrong)),
        "near-duplicates": (pairs["score"], is_copy),
        "near-duplicates, hash alone": (pairs["hash_agreement"], is_copy),
        "near-duplicates, embedding alone": (pairs["cosine"], is_copy),
    }
    planted = _among(found, copies["image_path"], originals)
    return {
        "rankings": {name: figures(*ranking) for name, ranking in rankings.items()},
        "pairs_found": {"all": len(found), "planted": int(planted.sum())},
    }


def _among(table: pd.DataFrame, image_paths, others) -> np.ndarray:
    """Say which rows of a table of suspicions are among given pairs."""
    pairs = set(zip(image_paths, others, strict=True))
    return np.array(
        [
            pair in pairs
            for pair in zip(table["image_path"], table["other"], strict=True)
        ]
    )


def one_seed(source, keep: Path, config: Config) -> dict:
    """Plant, train and measure once; a finished training in ``keep`` serves again."""
    done = keep / "training.json"
    if not done.is_file():
        shutil.rmtree(keep, ignore_errors=True)
        folders = {"dataset_dir": str(keep / "data"), "model_dir": str(keep / "models")}
        truth = plant(source, keep / "data", config.seed)
        truth.to_csv(keep / "truth.csv", index=False)
        training = train(dataclasses.replace(config, **folders), keep)
        done.write_text(json.dumps(training), encoding="utf-8")
    truth = pd.read_csv(keep / "truth.csv", keep_default_na=False)
    training = json.loads(done.read_text(encoding="utf-8"))
    return {"seed": config.seed, **score(keep, truth), "training": training}


def summary(runs: list[dict]) -> pd.DataFrame:
    """Return mean and deviation over the seeds, a row per ranking."""
    figures_of_all = pd.concat([pd.DataFrame(run["rankings"]).T for run in runs])
    by_name = figures_of_all.groupby(level=0, sort=False)
    table = by_name[["average_precision", "precision_at_planted"]].agg(["mean", "std"])
    table.columns = [" ".join(column) for column in table.columns]
    return table.assign(chance=by_name["chance"].mean()).fillna(0)


def main() -> None:
    """Measure every seed and write benchmarks/results/cleaning.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="data folder, or 'scenes'")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="a trial, not written")
    parser.add_argument("--keep", help="folder for faulty data and trained indexes")
    arguments = parser.parse_args()
    make = Config.quick if arguments.quick else Config
    source, _ = find_folder(make(dataset_dir=arguments.data))
    runs = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in arguments.seeds:
            keep = Path(arguments.keep or temporary) / f"seed_{seed}"
            runs.append(one_seed(source, keep, make(seed=seed)))
            print(json.dumps(runs[-1]), flush=True)
    table = summary(runs)
    print(table.round(3).to_string())
    if arguments.quick:
        return
    result = {
        "command": "python benchmarks/cleaning.py --data ...",
        "machine": machine(),
        "planted": {"swapped": SWAPPED, "foreign": FOREIGN, "copies": COPIES},
        "summary": table.to_dict("index"),
        "runs": runs,
    }
    write_result("cleaning", result)


if __name__ == "__main__":
    main()
