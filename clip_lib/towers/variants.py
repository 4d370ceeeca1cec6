"""The subject's options beside the usual run: those that can be trained here, are."""

import dataclasses
import importlib.util
import os
import time
from pathlib import Path

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset, load_dataset
from clip_lib.errors import ClipError, first_line
from clip_lib.evaluation.evaluate import evaluate_dataset
from clip_lib.retrieval.search import Clip
from clip_lib.towers.choice import choose_builders
from clip_lib.towers.images import BACKBONES
from clip_lib.towers.pretrained_clip import MODEL
from clip_lib.towers.word_pieces import checkpoint_folder
from clip_lib.training.pipeline import train

KEPT = ("seed", "model_dir", "dataset_dir", "validation_share", "test_share")
KEPT += ("image_epochs", "text_epochs", "clip_epochs", "fine_tune_epochs")
KEPT += ("text_weights", "image_weights", "strategy")
BACKBONE = "mobilenet_v3"
"""The cheapest of the pretrained picture encoders."""


@dataclasses.dataclass(frozen=True)
class Option:
    """A way to train CLIP that differs from the usual one.

    Attributes:
        key: Its name: that of its row, and of the folder of its models.
        config: How to train it.
        lacks: What it would need, if it cannot be trained here: a path or a module.
    """

    key: str
    config: Config
    lacks: str = ""


def list_options(config: Config, dataset: Dataset) -> list[Option]:
    """List the options, and what each one lacks on this machine.

    Nothing is downloaded: an option whose weights are elsewhere only says so.

    Args:
        config: The usual one.
        dataset: Its data.
    """
    base = {name: getattr(config, name) for name in KEPT}
    enriched = dataset.folder.with_name(f"{dataset.folder.name}_enriched")
    found = (
        (
            "pretrained",
            Config.fine_tuning(**base),
            _lacks_file(config.pretrained_path / MODEL),
        ),
        (
            "distilbert",
            dataclasses.replace(config, text_encoder="distilbert"),
            _lacks_distilbert(config.text_weights),
        ),
        (
            BACKBONE,
            dataclasses.replace(config, image_encoder=BACKBONE),
            _lacks_backbone(config.image_weights),
        ),
        (
            "enriched",
            dataclasses.replace(config, dataset_dir=str(enriched)),
            _lacks_file(enriched / "captions.csv"),
        ),
    )
    return [
        Option(
            key,
            dataclasses.replace(
                changed, model_dir=str(config.model_path(f"option_{key}"))
            ),
            lacks,
        )
        for key, changed, lacks in found
        if changed != config  # Else it is the usual run.
    ]


def _lacks_file(path: Path) -> str:
    return "" if path.exists() else path.as_posix()


def _lacks_distilbert(text_weights: str) -> str:
    if not importlib.util.find_spec("transformers"):
        return "requirements-distilbert.txt"
    try:
        checkpoint_folder(text_weights, download=False)
    except ClipError:
        return text_weights
    return ""


def _lacks_backbone(image_weights: str) -> str:
    if image_weights != "imagenet":
        return _lacks_file(Path(image_weights)) if image_weights else "image_weights"
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    name = Path(BACKBONES[BACKBONE].url).name
    return "" if (home / "models" / name).is_file() else name


def measure_options(options: list[Option]) -> dict[str, dict]:
    """Train the options that can be trained; measure each on its test part, once.

    Returns:
        For each of them ``seconds`` of training and ``report``, see `evaluate_dataset`;
        for the others, and those whose files are there but faulty, ``lacks``.
    """
    results = {}
    for option in options:
        if option.lacks:
            results[option.key] = {"lacks": option.lacks}
            continue
        started = time.monotonic()
        try:
            dataset = load_dataset(option.config)
            train(dataset, option.config, choose_builders(option.config))
        except ClipError as error:
            results[option.key] = {"lacks": first_line(error)}
            continue
        seconds = time.monotonic() - started
        clip = Clip.load(option.config.clip_file)
        report = evaluate_dataset(clip, dataset, "test")
        results[option.key] = {"seconds": seconds, "report": report}
    return results
