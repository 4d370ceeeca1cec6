"""What a model learned: embeddings made by hand."""

import numpy as np
import pandas as pd
import pytest

from clip_lib.data.vocabulary import Vectorizer
from clip_lib.evaluation.embeddings import (
    hardest_pairs,
    level_means,
    similarity_table,
)
from clip_lib.retrieval.index import Index

KNOWN = Vectorizer(["caption", *map(str, range(10))], 8)


def indexes(image_embeds, text_embeds, labels, place=None, captions=None):
    """Pictures p0, p1...; text j describes picture place[j]."""
    labels = np.array(labels)
    place = np.arange(len(labels)) if place is None else np.array(place)
    paths = np.array([f"p{number}" for number in range(len(labels))])
    captions = captions or [f"caption {number}" for number in range(len(place))]
    images = pd.DataFrame({"paths": paths, "labels": labels})
    texts = pd.DataFrame(
        {"captions": captions, "image_paths": paths[place], "labels": labels[place]}
    )
    return (
        Index(np.asarray(image_embeds, "float32"), images),
        Index(np.asarray(text_embeds, "float32"), texts),
    )


def test_the_matrix_is_sorted_by_label_and_has_means_of_its_cells():
    images, texts = indexes(np.eye(3), np.eye(3) + 0.5, ["b", "a", "b"], [2, 1, 0])
    table = similarity_table(images, texts)
    assert table.index.tolist() == [("a", "p1"), ("b", "p0"), ("b", "p2")]
    assert table.columns.tolist() == table.index.tolist()
    # Text 0 describes p2 and lies on axis 0, text 2 describes p0 and lies on axis 2.
    assert np.allclose(table, [[1.5, 0.5, 0.5], [0.5, 0.5, 1.5], [0.5, 1.5, 0.5]])
    levels = {"pair": 2.5 / 3, "same label": 1.5, "other label": 0.5}
    assert level_means(table).to_dict() == pytest.approx(levels)
    # A level without a cell has no mean.
    images, texts = indexes(np.eye(2), np.eye(2), ["a", "b"])
    levels = level_means(similarity_table(images, texts))
    assert levels["pair"] == 1 and np.isnan(levels["same label"])


def test_ranks_rivals_and_order_of_the_hardest_pairs():
    # Text 0 finds its picture second, behind p1; text 1 third; text 2 first.
    texts_by_images = np.array([[0.8, 0.9, 0.1], [0.7, 0.2, 0.3], [0.0, 0.1, 0.95]])
    images, texts = indexes(np.eye(3), texts_by_images, ["a", "a", "b"])
    pairs = hardest_pairs(images, texts, KNOWN)
    assert pairs["paths"].tolist() == ["p1", "p0", "p2"]
    assert pairs["text_to_image"].tolist() == [3, 2, 1]
    assert pairs["image_to_text"].tolist() == [2, 1, 1]
    assert pairs["rival_paths"].tolist() == ["p0", "p1", "p1"]
    assert pairs["rival_labels"].tolist() == ["a", "a", "a"]
    assert pairs["rival_captions"].tolist() == ["caption 0", "caption 1", "caption 1"]
    assert pairs["captions"].tolist() == ["caption 1", "caption 0", "caption 2"]
    assert pairs["reason"].iloc[-1] == "found"


def test_captions_of_one_picture_do_not_compete():
    # Picture p0 prefers its first caption, then its second, then the stranger.
    images, texts = indexes(
        np.eye(2), [[0.9, 0.0], [0.8, 0.0], [0.1, 1.0]], ["a", "b"], [0, 0, 1]
    )
    pairs = hardest_pairs(images, texts, KNOWN)
    assert set(pairs["image_to_text"]) == {1}
    assert set(pairs["rival_captions"][pairs["paths"] == "p0"]) == {"caption 2"}


def lost_dog(caption, found):
    """Four dogs, eight waters; the caption of dog 0 stands at its picture or at sea."""
    embeds = np.hstack([np.repeat(np.eye(2), [4, 8], axis=0), 0.1 * np.eye(12)])
    text_embeds = embeds.copy()
    if not found:
        text_embeds[0] = np.eye(14)[1]
    captions = [caption] + [f"caption {number}" for number in range(1, 12)]
    labels = ["dog"] * 4 + ["water"] * 8
    images, texts = indexes(embeds, text_embeds, labels, captions=captions)
    return hardest_pairs(images, texts, KNOWN).set_index("paths").loc["p0"]


def test_the_reasons_are_the_documented_rules_in_their_order():
    assert lost_dog("caption 0", found=False)["rival_labels"] == "water"
    assert lost_dog("caption 0", found=False)["reason"] == "wrong label"
    assert lost_dog("caption 0 zzz", found=False)["reason"] == "wrong label"
    assert lost_dog("caption qqq zzz", found=False)["reason"] == "unknown words"
    assert lost_dog("caption qqq zzz", found=True)["reason"] == "found"
    # Each text finds its neighbour, of the same label.
    images, texts = indexes(np.eye(6), np.roll(np.eye(6), 1, axis=0), ["dog"] * 6)
    assert set(hardest_pairs(images, texts, KNOWN)["reason"]) == {"within label"}
    # Punctuation is no word, and no share of none is a number.
    assert lost_dog("Caption 1 , 2 .", found=True)["known_words"] == 1
    assert lost_dog(".", found=True)["known_words"] == 0
