"""How well a CLIP finds what belongs together, beside chance.

Two levels stand beside every metric, computed for the same gallery:

* ``chance``: answers in random order;
* ``label_oracle``: a retriever that knows every item's label and nothing else, and puts
  those of the query's label first, in random order.
"""

import numpy as np
import pandas as pd

from clip_lib.data.dataset import Dataset
from clip_lib.data.pipelines import image_batches
from clip_lib.errors import ClipError
from clip_lib.evaluation.metrics import (
    RECALLS,
    bootstrap_draws,
    bootstrap_interval,
    first_ranks,
    precisions_at_k,
    random_recall_at_k,
)
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import Clip, build_indexes
from clip_lib.retrieval.zero_shot import TEMPLATES, knows_label, zero_shot

DIRECTIONS = ("image_to_text", "text_to_image")
LEVELS = ("chance", "label_oracle")


def _direction(similarity, relevant, same_label, pictures) -> dict:
    """Return the metrics of one direction, their intervals and levels.

    Matrices are (queries, candidates), ``same_label`` may be None; ``pictures`` is the
    picture that each query is or describes.
    """
    ranks = first_ranks(similarity, relevant)
    # The value of each query, by metric.
    values = {f"recall@{k}": ranks <= k for k in RECALLS} | {"median_rank": ranks}
    right, candidates = relevant.sum(axis=1), np.full(*relevant.shape)
    levels = {"chance": _random_order(right, candidates)}
    if same_label is not None:
        values["label_precision@5"] = precisions_at_k(similarity, same_label, 5)
        levels["chance"]["label_precision@5"] = float(same_label.mean())
        same = same_label.sum(axis=1)
        # The list of five stays short of a label with fewer candidates.
        filled = np.minimum(same, 5) / np.minimum(candidates, 5)
        levels["label_oracle"] = _random_order(right, same)
        levels["label_oracle"]["label_precision@5"] = float(filled.mean())
    draws = bootstrap_draws(pictures)
    measured = {name: float(np.mean(value)) for name, value in values.items()}
    measured["median_rank"] = float(np.median(ranks))
    measured["interval"] = {
        name: bootstrap_interval(value, draws, name == "median_rank")
        for name, value in values.items()
    }
    return measured | levels


def _random_order(right, candidates) -> dict[str, float]:
    """Return the expected metrics of a random order, from counts (queries,) of each."""
    recalls = {f"recall@{k}": random_recall_at_k(right, candidates, k) for k in RECALLS}
    # The expected rank of the first of r right answers among n.
    ranks = (candidates + 1) / (right + 1)
    return recalls | {"median_rank": float(np.median(ranks))}


def evaluate_retrieval(
    image_embeddings, text_embeddings, image_of_text, labels=None
) -> dict:
    """Measure retrieval in both directions.

    Args:
        image_embeddings: (images, D) unit vectors.
        text_embeddings: (texts, D) unit vectors.
        image_of_text: int array (texts,), the image that each text describes; an image
            may have several texts, a query by image is then answered by any of them.
        labels: Label of each image (images,), or None if they have none: the metrics of
            labels are then left out.

    Returns:
        ``pairs`` (number of texts), ``images`` and, under ``image_to_text`` and
        ``text_to_image``: recall@1, 5, 10, median_rank and label_precision@5, with
        their 95 % bounds under ``interval``, and ``chance`` and ``label_oracle`` beside
        them. These two stand beside the directions as well: ``chance`` ->
        ``image_to_text`` -> recall@1.
    """
    image_of_text = np.asarray(image_of_text)
    similarity = np.asarray(image_embeddings) @ np.asarray(text_embeddings).T
    images = np.arange(len(similarity))
    relevant, same = images[:, None] == image_of_text, None
    if labels is not None:
        same = np.asarray(labels)[:, None] == np.asarray(labels)[image_of_text]
    turned = None if same is None else same.T
    report = {
        "pairs": len(image_of_text),
        "images": len(images),
        "image_to_text": _direction(similarity, relevant, same, images),
        "text_to_image": _direction(similarity.T, relevant.T, turned, image_of_text),
    }
    for level in LEVELS[: 1 if labels is None else 2]:
        report[level] = {name: report[name][level] for name in DIRECTIONS}
    return report


def picture_rows(images: Index, texts: Index) -> np.ndarray:
    """Return the row of each text's picture in the image index (T,).

    Raises:
        ClipError: If a text's picture is not among the images.
    """
    paths = texts.items["image_paths"]
    rows = pd.Index(images.items["paths"]).get_indexer(paths)
    if (rows < 0).any():
        path = paths[rows < 0].iloc[0]
        raise ClipError(f"{path}: the picture of a text, but not in the image index.")
    return rows


def evaluate_indexes(images: Index, texts: Index, clip: Clip | None = None) -> dict:
    """Measure retrieval between two indexes; see `evaluate_retrieval`.

    With the CLIP that made them, the report holds ``zero_shot`` too: accuracy over the
    images, chance (1 / number of labels) and templates; but not if the images have no
    labels or the model knows no word of some label.

    Raises:
        ClipError: See `picture_rows`.
    """
    image_of_text = picture_rows(images, texts)
    labels = images.items.get("labels")
    report = evaluate_retrieval(images.embeds, texts.embeds, image_of_text, labels)
    if labels is None or clip is None:
        return report
    labels = labels.to_numpy(dtype=str)
    class_names = np.unique(labels)
    if all(knows_label(clip, name) for name in class_names):
        predictions = zero_shot(clip, images.embeds, class_names)
        report["zero_shot"] = {
            "accuracy": float((predictions == labels).mean()),
            "chance": 1 / len(class_names),
            "templates": list(TEMPLATES),
        }
    return report


def evaluate_dataset(clip: Clip, dataset: Dataset, split: str = "test") -> dict:
    """Measure a trained CLIP on a split of a data set; see `evaluate_indexes`."""
    report = evaluate_indexes(*build_indexes(clip, dataset, split), clip)
    return {"split": split, "source": dataset.source} | report


def image_accuracy(model, dataset: Dataset, split: str = "test") -> float:
    """Return the share of the pictures of a split that a classifier labels rightly."""
    rows = dataset.pictures(split)
    batches = image_batches(dataset.paths(rows), model.input_shape[1:3])
    predictions = model.predict(batches, verbose=0).argmax(axis=1)
    return float((predictions == dataset.labels(rows)).mean())


def report_table(report: dict) -> pd.DataFrame:
    """Format a report as a table of numbers, one column per metric.

    Returns:
        Rows (direction, level), the levels being measured, 95 % low, 95 % high, chance
        and, with labels, label_oracle.
    """
    rows = {}
    for name in DIRECTIONS:
        measured = dict(report[name])
        intervals = measured.pop("interval")
        levels = {level: measured.pop(level) for level in LEVELS if level in measured}
        rows[name, "measured"] = measured
        for place, bound in enumerate(("low", "high")):
            values = {metric: both[place] for metric, both in intervals.items()}
            rows[name, f"95 % {bound}"] = values
        rows |= {(name, level): values for level, values in levels.items()}
    return pd.DataFrame(rows).T.round(3)
