"""Plant faults into a copy of a data folder; measure what finds them again.

30 captions change pictures among themselves, 30 pictures get a foreign label, and 20
pictures come back as a new row: saved at a low JPEG quality, mirrored, or cropped by 5
to 12 percent. The three models are then trained on this folder, faults included. A
seed draws the faults, the split and the training.

    python benchmarks/cleaning.py --data FOLDER

Each fault counts as found by its own detector only: a foreign label among the off-topic
pairs is counted as a mistake. Near-duplicates are pairs of pictures; a pair that the
data held before is counted as a mistake too. The weights and thresholds of
clip_lib/evaluation/cleaning.py were chosen on seed 10.
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import ImageOps
from pipeline import measure
from record import measure_all, options, provenance, write_result
from sklearn.metrics import average_precision_score

from clip_lib.config import Config
from clip_lib.data.captions_table import COLUMNS, TABLE, read_records
from clip_lib.data.dataset import load_dataset
from clip_lib.data.images import open_picture
from clip_lib.data.source import find_folder
from clip_lib.evaluation.cleaning import (
    label_outliers,
    near_duplicates,
    off_topic_pairs,
)
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import Clip, build_indexes

SWAPPED, FOREIGN, COPIES = 30, 30, 20


def plant(source, folder: Path, seed: int) -> pd.DataFrame:
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
    records[list(COLUMNS)].to_csv(folder / TABLE, index=False)
    return records


def _crop(picture, random):
    """Take 5 to 12 percent off the width and off the height, anywhere."""
    size = np.array(picture.size)
    kept = size * (1 - random.uniform(0.05, 0.12, 2))
    corner = random.uniform(0, 1, 2) * (size - kept)
    return picture.crop(tuple(np.concatenate([corner, corner + kept]).round()))


def score(images: Index, texts: Index, truth: pd.DataFrame) -> dict:
    """Measure every detector, and what it is made of, on one faulty folder.

    Args:
        images, texts: Of that folder.
        truth: What `plant` returned, its paths those of the indexes.

    Returns:
        For each ranking its average precision, how many faults were planted, and
        chance: their share of what is ranked.
    """
    swapped, foreign, copies = (
        truth[truth["fault"] == fault] for fault in ("swapped", "foreign", "copy")
    )
    topics, labels = off_topic_pairs(images, texts), label_outliers(texts)
    # Every pair, so that a planted one that no threshold lets pass counts as missed.
    pairs = near_duplicates(images, min_agreement=-2)
    is_swapped = _among(topics, swapped["image_path"], swapped["caption"])
    is_foreign = labels["image_path"].isin(foreign["image_path"])
    is_copy = _among(pairs, copies["image_path"], copies["original"])
    rankings = {
        "off-topic pairs": (topics["score"], is_swapped),
        "off-topic pairs, CLIP alone": (-topics["similarity_z"], is_swapped),
        "off-topic pairs, words alone": (topics["label_doubt"], is_swapped),
        "label outliers, words alone": (labels["score"], is_foreign),
        "near-duplicates": (pairs["score"], is_copy),
        "near-duplicates, embedding alone": (pairs["cosine"], is_copy),
    }
    return {
        name: {
            "average_precision": float(average_precision_score(right, scores)),
            "planted": int(right.sum()),
            "chance": float(right.mean()),
        }
        for name, (scores, right) in rankings.items()
    }


def _among(table: pd.DataFrame, image_paths, others) -> np.ndarray:
    """Tell which rows of a table of suspicions are among given pairs."""
    pairs = set(zip(image_paths, others, strict=True))
    found = zip(table["image_path"], table["other"], strict=True)
    return np.array([pair in pairs for pair in found])


def one_seed(config: Config, source) -> dict:
    """Plant, train and measure once."""
    folder = Path(config.model_dir) / "data"
    truth = plant(source, folder, config.seed)
    config = dataclasses.replace(config, dataset_dir=str(folder))
    training, dataset = measure(config), load_dataset(config)
    for column in ("image_path", "original"):
        truth[column] = [str(folder / path) for path in truth[column]]
    indexes = build_indexes(Clip.load(config.clip_file), dataset)
    rankings = score(*indexes, truth)
    return {"seed": config.seed, "rankings": rankings, "training": training}


def summary(runs: list[dict]) -> pd.DataFrame:
    """Return mean and deviation over the seeds, a row per ranking."""
    rankings = pd.concat([pd.DataFrame(run["rankings"]).T for run in runs])
    by_name = rankings.groupby(level=0, sort=False)
    table = by_name[["average_precision"]].agg(["mean", "std"])
    table.columns = [" ".join(column) for column in table.columns]
    return table.assign(chance=by_name["chance"].mean()).fillna(0)


def main() -> None:
    """Measure every seed and write benchmarks/results/cleaning.json."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    make = Config.quick if given.quick else Config
    about = provenance(make())
    source, _ = find_folder(make(dataset_dir=given.data))
    tasks = [(make(seed=seed), source) for seed in given.seeds]
    runs = measure_all(one_seed, tasks, given.jobs)
    if not given.quick:
        about["planted"] = {"swapped": SWAPPED, "foreign": FOREIGN, "copies": COPIES}
        about["summary"] = summary(runs).to_dict("index")
        write_result("cleaning", about | {"runs": runs})


if __name__ == "__main__":
    main()
