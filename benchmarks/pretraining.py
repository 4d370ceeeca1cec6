"""Make our own pretrained weights, and see what more pictures bring.

A CLIP is trained without labels on parts of growing size of the training pictures, and
measured on the validation pictures, one caption each. The one of all the pictures is
measured once on test too, and written to models/pretrained, in 16 bits.

    python benchmarks/pretraining.py --data FOLDER
"""

import dataclasses
import tempfile
import time
import zipfile
from pathlib import Path

import matplotlib
import pandas as pd
from record import (
    ROOT,
    measure_all,
    options,
    peak_gigabytes,
    provenance,
    write_result,
)

from clip_lib import silence_tensorflow  # noqa: F401

# isort: split
import keras

from clip_lib.atomic import replacing
from clip_lib.config import CONFIG_FILE, PRETRAINED, Config
from clip_lib.data.dataset import Dataset, load_dataset
from clip_lib.data.vocabulary import save_vocabulary
from clip_lib.evaluation.evaluate import DIRECTIONS, evaluate_dataset
from clip_lib.retrieval.search import Clip
from clip_lib.training.pipeline import train

PICTURES = (500, 1_000, 2_000)
"""Sizes of the parts, besides the whole."""
matplotlib.use("Agg")
FIGURE = ROOT / "report" / "figures" / "pretraining.png"


def save_small(model: keras.Model, path) -> Path:
    """Save a model in about half the bytes, to be handed on.

    Its weights are rounded to 16 bits, as is usual for weights that are only read: the
    zeros that stand in for the other 16 are deflated. Any Keras reads the file.
    """
    small = keras.models.clone_model(model)
    small.set_weights([w.astype("float16") for w in model.get_weights()])
    with replacing(path) as temporary, tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "model.keras"
        small.save(whole)
        with (
            zipfile.ZipFile(whole) as source,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as target,
        ):
            for name in source.namelist():
                target.writestr(name, source.read(name))
    return Path(path)


def part_of(dataset: Dataset, pictures: int, seed: int) -> Dataset:
    """Keep a random part of the training pictures, with all their captions.

    The parts of one seed are nested.
    """
    paths = dataset.pictures("train")["image_path"].sample(frac=1, random_state=seed)
    records = dataset.records
    left_out = records["image_path"].isin(paths[pictures:])
    records = records[~left_out].reset_index(drop=True)
    return dataclasses.replace(dataset, records=records)


def measure(config: Config, pictures, output) -> dict:
    """Train on a part; measure on validation and, if it is the whole, on test.

    Args:
        pictures: Size of the part; None for all, whose weights are kept.
        output: Folder that receives them.
    """
    dataset, output = load_dataset(config), Path(output)
    everything = len(dataset.pictures("train"))
    part = part_of(dataset, pictures or everything, config.seed)
    started = time.monotonic()
    trained = train(part, config)
    result = {
        "pictures": len(part.pictures("train")),
        "captions": len(part.train),
        "words": trained.vectorizer.vocabulary_size(),
        "minutes": (time.monotonic() - started) / 60,
        "epochs": len(trained.history["loss"]),
        "peak_gigabytes": peak_gigabytes(),
    }
    path, splits = config.clip_file, ["validation"]
    if not pictures:
        splits.append("test")
        path = save_small(trained.clip, output / path.name)
        save_vocabulary(trained.vectorizer, output / config.vocabulary_file.name)
        settings = dataclasses.replace(config, model_dir=PRETRAINED, dataset_dir="")
        settings.save(output / CONFIG_FILE)
        result["megabytes"] = path.stat().st_size / 1e6
    clip = Clip.load(
        path
    )  # Measure the file that is shipped, rounded weights included.
    for split in splits:
        one_caption = dataclasses.replace(dataset, records=dataset.pictures(split))
        result[split] = evaluate_dataset(clip, one_caption, split)
    return result


def draw_curve(runs: list[dict]):
    """Draw recall@10 on validation against the pictures of the pretraining."""
    reports = [run["validation"] for run in runs]
    lines = {
        way.replace("_to_", " → "): [report[way]["recall@10"] for report in reports]
        for way in DIRECTIONS
    }
    lines["chance"] = reports[0]["chance"]["image_to_text"]["recall@10"]
    axes = pd.DataFrame(lines, [run["pictures"] for run in runs]).plot(
        logx=True,
        style=["o-", "o-", "k:"],
        ylim=(0, None),
        figsize=(5.2, 3.4),
        xlabel="pictures of the pretraining, five captions each",
        ylabel=f"recall@10 among {reports[0]['images']} pictures",
    )
    pictures = [run["pictures"] for run in runs]
    axes.set_xticks(pictures, [f"{count:,}" for count in pictures], minor=False)
    axes.minorticks_off()
    return axes.figure


def main() -> None:
    """Measure every size; write the weights, pretraining.json and the curve."""
    parser = options(__doc__)
    parser.add_argument("--pictures", type=int, nargs="*", default=list(PICTURES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default=PRETRAINED, help="for the weights")
    given = parser.parse_args()
    quick = {"clip_epochs": 2} if given.quick else {}
    config = Config.pretraining(dataset_dir=given.data, seed=given.seed, **quick)
    about = provenance(config)
    with tempfile.TemporaryDirectory() as trial:  # A trial leaves the weights alone.
        output = trial if given.quick else given.output
        tasks = [(config, pictures, output) for pictures in (*given.pictures, None)]
        runs = measure_all(measure, tasks, given.jobs)
    if not given.quick:
        write_result("pretraining", about | {"runs": runs})
        draw_curve(runs).savefig(FIGURE, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
