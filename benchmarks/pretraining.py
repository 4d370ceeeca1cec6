"""Make our own pretrained weights, and see what more pictures bring.

A CLIP is trained without labels on parts of growing size of the training pictures, and
measured on the validation pictures, one caption each. The one of all the pictures is
measured once on test too, and written to models/pretrained, in 16 bits.

    python benchmarks/pretraining.py --data FOLDER
"""

import argparse
import dataclasses
import sys
import tempfile
import time
from pathlib import Path

from record import each_in_its_process, machine, peak_gigabytes, write_result

sys.path.insert(0, str(Path(__file__).parents[1]))

from clip_lib import silence_tensorflow as quiet  # noqa: F401
from clip_lib.config import PRETRAINED, Config
from clip_lib.data.dataset import Dataset, load_dataset
from clip_lib.data.vocabulary import load_vocabulary, save_vocabulary
from clip_lib.evaluation.evaluate import evaluate_dataset
from clip_lib.models.saving import load_clip, save_small
from clip_lib.retrieval.search import Clip
from clip_lib.training.pipeline import train

PICTURES = (500, 1_000, 2_000)
"""Sizes of the parts, besides the whole."""


def part_of(dataset: Dataset, pictures: int, seed: int) -> Dataset:
    """Keep a random part of the training pictures, with all their captions.

    The parts of one seed lie in each other.
    """
    paths = dataset.pictures("train")["image_path"].sample(frac=1, random_state=seed)
    records = dataset.records
    left_out = records["image_path"].isin(paths[pictures:])
    records = records[~left_out].reset_index(drop=True)
    return dataclasses.replace(dataset, records=records)


def one_caption(dataset: Dataset, split: str) -> Dataset:
    """Keep the first caption of each picture of a split, and nothing else."""
    return dataclasses.replace(dataset, records=dataset.pictures(split))


def measure(task) -> dict:
    """Train on a part; measure on validation and, if it is the whole, on test.

    Args:
        task: Configuration, number of pictures (None: all), folder that receives the
            weights of the whole.
    """
    config, pictures, output = task
    dataset = load_dataset(config)
    everything = len(dataset.pictures("train"))
    part = part_of(dataset, pictures or everything, config.seed)
    with tempfile.TemporaryDirectory() as folder:
        config = dataclasses.replace(config, model_dir=folder)
        started = time.monotonic()
        trained = train(part, config)
        result = {
            "pictures": len(part.pictures("train")),
            "captions": len(part.train),
            "words": trained.clip.vectorizer.vocabulary_size(),
            "minutes": (time.monotonic() - started) / 60,
            "epochs": len(trained.history["loss"]),
            "peak_gigabytes": peak_gigabytes(),
        }
        clip, splits = trained.clip, ["validation"]
        if not pictures:
            splits.append("test")
            path = save_small(
                load_clip(config.clip_file), output / config.clip_file.name
            )
            vocabulary = load_vocabulary(config.vocabulary_file, config.sequence_length)
            save_vocabulary(vocabulary, output / config.vocabulary_file.name)
            result["megabytes"] = path.stat().st_size / 1e6
            clip = Clip.load(path)  # What is measured is what is handed on.
            encoders = clip.image_encoder, clip.text_encoder
            result["parameters"] = [encoder.count_params() for encoder in encoders]
        for split in splits:
            one = one_caption(dataset, split)
            result[split] = evaluate_dataset(clip, one, split)
            result[split].pop("source")
    return result


def main() -> None:
    """Measure every size and write benchmarks/results/pretraining.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with thousands of them")
    parser.add_argument("--pictures", type=int, nargs="*", default=list(PICTURES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default=str(PRETRAINED), help="for the weights")
    arguments = parser.parse_args()
    config = Config.pretraining(dataset_dir=arguments.data, seed=arguments.seed)
    output = Path(arguments.output)
    sizes = [*arguments.pictures, None]
    tasks = [(config, pictures, output) for pictures in sizes]
    runs = []
    for run in each_in_its_process(measure, tasks):
        runs.append(run)
        ways = ("image_to_text", "text_to_image")
        recalls = " / ".join(
            f"{run['validation'][way]['recall@10']:.3f}" for way in ways
        )
        print(f"{run['pictures']} pictures: R@10 {recalls}, {run['minutes']:.1f} min")
    chosen = dataclasses.asdict(config)
    for name in ("model_dir", "dataset_dir"):
        chosen.pop(name)
    command = "python benchmarks/pretraining.py --data ..."
    result = {"command": command, "machine": machine(), "config": chosen, "runs": runs}
    write_result("pretraining", result)


if __name__ == "__main__":
    main()
