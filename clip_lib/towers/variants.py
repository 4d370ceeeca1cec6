"""The subject's options beside the usual run: those that can be trained here, are."""

import dataclasses
import time

from clip_lib.config import Config
from clip_lib.data.dataset import Dataset, load_dataset
from clip_lib.errors import ClipError, first_line
from clip_lib.evaluation.evaluate import evaluate_dataset, image_accuracy
from clip_lib.retrieval.search import MODEL_FILE, Clip
from clip_lib.towers.choice import choose_builders
from clip_lib.towers.images import LITE0
from clip_lib.towers.texts import CHECKPOINTS, checkpoint_folder
from clip_lib.training.pipeline import train

KEPT = ("seed", "model_dir", "dataset_dir", "validation_share", "test_share")
KEPT += ("image_epochs", "text_epochs", "fine_tune_epochs")
"""Settings of the usual run that training from our own weights keeps."""


@dataclasses.dataclass(frozen=True)
class Option:
    """A way to train CLIP that differs from the usual one.

    Attributes:
        key: Its name: that of its row, and of the folder of its models.
        config: How to train it.
        lacks: What it would need, if it cannot be trained here.
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
    # The same pictures, without looking for them again.
    config = dataclasses.replace(config, dataset_dir=str(dataset.folder))
    base = {name: getattr(config, name) for name in KEPT}
    folder = dataset.folder.absolute()  # "." has no name.
    enriched = folder.with_name(f"{folder.name}_enriched")
    needed = {
        "pretrained": config.pretrained_path / MODEL_FILE,
        LITE0: config.pretrained_path / MODEL_FILE,
        "enriched": enriched / "captions.csv",
    }
    lacks = {key: path.as_posix() for key, path in needed.items() if not path.exists()}
    try:
        checkpoint_folder("distilbert", download=False)
    except ClipError:
        lacks["distilbert"] = CHECKPOINTS["distilbert"]
    changed = {
        "pretrained": Config.fine_tuning(**base),
        "distilbert": dataclasses.replace(config, text_encoder="distilbert"),
        LITE0: dataclasses.replace(
            config, image_encoder=LITE0, image_size=Config().image_size
        ),
        "enriched": dataclasses.replace(config, dataset_dir=str(enriched)),
    }
    return [
        Option(
            key,
            dataclasses.replace(
                other, model_dir=str(config.model_path(f"option_{key}"))
            ),
            lacks.get(key, ""),
        )
        for key, other in changed.items()
        if other != config  # Else it is the usual run.
    ]


def measure_options(options: list[Option]) -> dict[str, dict]:
    """Train the options that can be trained; measure each on its test part, once.

    Returns:
        For each of them ``seconds`` of training, ``megabytes`` of the saved CLIP,
        ``accuracy`` of the image classifier and ``report``, see `evaluate_dataset`; for
        the others, and those whose files are there but faulty, ``lacks``.
    """
    results = {}
    for option in options:
        if option.lacks:
            results[option.key] = {"lacks": option.lacks}
            continue
        started, file = time.monotonic(), option.config.clip_file
        try:
            dataset = load_dataset(option.config)
            trained = train(dataset, option.config, choose_builders(option.config))
        except ClipError as error:
            results[option.key] = {"lacks": first_line(error)}
            continue
        results[option.key] = {
            "seconds": time.monotonic() - started,
            "megabytes": file.stat().st_size / 1e6,
            "accuracy": image_accuracy(trained.image_classifier, dataset),
            "report": evaluate_dataset(Clip.load(file), dataset, "test"),
        }
    return results
