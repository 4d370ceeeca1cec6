"""How well a CLIP finds what belongs together, beside what chance would find.

Two levels stand beside every figure, computed for the very gallery:

* ``chance``: answers in random order;
* ``label_oracle``: a retriever that knows every item's label and nothing else, and puts
  those of the query's label first, in random order.
"""

import numpy as np
import pandas as pd

from clip_lib.data import Dataset
from clip_lib.index import Index
from clip_lib.ranking import (
    first_ranks,
    precision_at_k,
    random_first_rank,
    random_recall_at_k,
    recall_at_k,
)
from clip_lib.retrieval import Clip, build_indexes

RECALLS = (1, 5, 10)


def _direction(similarity, relevant, same_label) -> dict[str, float]:
    ranks = first_ranks(similarity, relevant)
    figures = {f"recall@{k}": recall_at_k(ranks, k) for k in RECALLS}
    figures["median_rank"] = float(np.median(ranks))
    figures["mean_rank"] = float(np.mean(ranks))
    figures["label_precision@5"] = precision_at_k(similarity, same_label, 5)
    return figures


def _random_order(relevant, candidates, label_precision: float) -> dict[str, float]:
    right = relevant.sum(axis=1)
    figures = {f"recall@{k}": random_recall_at_k(right, candidates, k) for k in RECALLS}
    ranks = random_first_rank(right, candidates)
    figures["median_rank"] = float(np.median(ranks))
    figures["mean_rank"] = float(np.mean(ranks))
    figures["label_precision@5"] = label_precision
    return figures


def evaluate_retrieval(
    image_embeddings, text_embeddings, image_of_text, labels
) -> dict:
    """Measure retrieval in both directions.

    Args:
        image_embeddings: (images, D) unit vectors.
        text_embeddings: (texts, D) unit vectors.
        image_of_text: int array (texts,), the image that each text describes; an image
            may have several texts, a query by image is then answered by any of them.
        labels: Label of each image (images,).

    Returns:
        ``pairs`` (number of texts), ``images`` and, under ``image_to_text`` and
        ``text_to_image``, recall@1, 5, 10, median_rank, mean_rank and
        label_precision@5, with ``chance`` and ``label_oracle`` beside them.
    """
    image_of_text, labels = np.asarray(image_of_text), np.asarray(labels)
    similarity = np.asarray(image_embeddings) @ np.asarray(text_embeddings).T
    relevant = np.arange(len(labels))[:, None] == image_of_text[None, :]
    same_label = labels[:, None] == labels[image_of_text][None, :]
    report = {"pairs": len(image_of_text), "images": len(labels)}
    for name, scores, own, same in (
        ("image_to_text", similarity, relevant, same_label),
        ("text_to_image", similarity.T, relevant.T, same_label.T),
    ):
        everything = np.full(len(own), own.shape[1])
        report[name] = _direction(scores, own, same) | {
            "chance": _random_order(own, everything, float(same.mean())),
            "label_oracle": _random_order(own, same.sum(axis=1), 1.0),
        }
    return report


def evaluate_indexes(images: Index, texts: Index) -> dict:
    """Measure retrieval between two indexes; see `evaluate_retrieval`.

    Args:
        images: Image index, with its columns paths and labels.
        texts: Text index, with its column image_paths: the picture of each text.

    Raises:
        ValueError: If an index lacks a column, or a text's picture is not among the
            images.
    """
    for index, columns in ((images, ("paths", "labels")), (texts, ("image_paths",))):
        missing = [name for name in columns if name not in index.items]
        if missing:
            raise ValueError(f"an index has no {', '.join(missing)}: build it again.")
    places = {path: place for place, path in enumerate(images.items["paths"])}
    image_of_text = [places.get(path, -1) for path in texts.items["image_paths"]]
    if -1 in image_of_text:
        path = texts.items["image_paths"].iloc[image_of_text.index(-1)]
        raise ValueError(f"{path}: the picture of a text, but not in the image index.")
    return evaluate_retrieval(
        images.embeds, texts.embeds, image_of_text, images.items["labels"]
    )


def evaluate_dataset(clip: Clip, dataset: Dataset, split: str = "test") -> dict:
    """Measure a trained CLIP on a split of a data set; see `evaluate_retrieval`."""
    report = evaluate_indexes(*build_indexes(clip, dataset, split))
    return {"split": split, "source": dataset.source} | report


def report_table(report: dict) -> pd.DataFrame:
    """Lay a report out for reading: a row per direction, chance and oracle below."""
    rows = {}
    for direction in ("image_to_text", "text_to_image"):
        figures = dict(report[direction])
        levels = {level: figures.pop(level) for level in ("chance", "label_oracle")}
        rows[direction, "measured"] = figures
        for level, values in levels.items():
            rows[direction, level] = values
    return pd.DataFrame(rows).T.round(3)


def zero_shot(clip: Clip, image_embeddings, class_names, template: str = "a {}"):
    """Label pictures by the nearest label text, without any classifier.

    Source: Radford et al. 2021 (CLIP), section 3.1.

    Args:
        clip: A trained CLIP.
        image_embeddings: (N, D) unit vectors.
        class_names: Labels.
        template: Sentence into which a label is put.

    Returns:
        Array (N,) of labels.
    """
    text_embeddings = clip.embed_texts([template.format(name) for name in class_names])
    similarity = np.asarray(image_embeddings) @ text_embeddings.T
    return np.asarray(class_names)[similarity.argmax(axis=1)]
