"""How well a CLIP finds what belongs together, beside what chance would find.

Two levels stand beside every figure, computed for the very gallery:

* ``chance``: answers in random order;
* ``label_oracle``: a retriever that knows every item's label and nothing else, and puts
  those of the query's label first, in random order.
"""

import numpy as np
import pandas as pd

from clip_lib.data import Dataset
from clip_lib.ranking import (
    first_ranks,
    precision_at_k,
    random_first_rank,
    random_recall_at_k,
    recall_at_k,
)
from clip_lib.retrieval import Clip

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
    logits = np.asarray(image_embeddings) @ np.asarray(text_embeddings).T
    relevant = np.arange(len(labels))[:, None] == image_of_text[None, :]
    same_label = labels[:, None] == labels[image_of_text][None, :]
    report = {"pairs": len(image_of_text), "images": len(labels)}
    for name, similarity, own, same in (
        ("image_to_text", logits, relevant, same_label),
        ("text_to_image", logits.T, relevant.T, same_label.T),
    ):
        everything = np.full(len(own), own.shape[1])
        report[name] = _direction(similarity, own, same) | {
            "chance": _random_order(own, everything, float(same.mean())),
            "label_oracle": _random_order(own, same.sum(axis=1), 1.0),
        }
    return report


def evaluate_dataset(clip: Clip, dataset: Dataset, split: str = "test") -> dict:
    """Measure a trained CLIP on a split of a data set; see `evaluate_retrieval`."""
    rows = dataset.part(split)
    images, _ = pd.factorize(rows["image_path"])  # Numbered by first appearance,
    pictures = rows.drop_duplicates("image_path")  # which is the order kept here.
    report = evaluate_retrieval(
        clip.embed_images(dataset.paths(pictures)),
        clip.embed_texts(rows["caption"]),
        images,
        pictures["label"].to_numpy(),
    )
    return {"split": split} | report


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
    prompts = clip.embed_texts([template.format(name) for name in class_names])
    return np.asarray(class_names)[(image_embeddings @ prompts.T).argmax(axis=1)]
