"""What a model learned: on embeddings made by hand."""

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from clip_lib.evaluation.embeddings import (
    block_means,
    hardest_pairs,
    level_means,
    similarity_table,
    tsne_table,
)
from clip_lib.evaluation.metrics import first_ranks
from clip_lib.figures import curves as plots
from clip_lib.figures import embedding_plots as explain_plots
from clip_lib.models.contrastive_loss import ContrastiveLoss
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import MODEL_FILE, Search
from clip_lib.training.callbacks import ValidationRecall

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


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


KNOWN = keras.layers.TextVectorization(
    vocabulary=["caption", *map(str, range(10))], output_sequence_length=8
)


# The similarity matrix.


def test_the_matrix_is_sorted_by_label_and_keeps_its_cells():
    images, texts = indexes(np.eye(3), np.eye(3) + 0.5, ["b", "a", "b"], [2, 1, 0])
    table = similarity_table(images, texts)
    assert table.index.tolist() == [("a", "p1"), ("b", "p0"), ("b", "p2")]
    assert table.columns.tolist() == table.index.tolist()
    # Text 0 describes p2 and lies on axis 0, text 2 describes p0 and lies on axis 2.
    assert np.allclose(table, [[1.5, 0.5, 0.5], [0.5, 0.5, 1.5], [0.5, 1.5, 0.5]])


def test_means_of_blocks_and_levels_are_those_of_a_slow_count():
    random = np.random.default_rng(0)
    labels, place = ["b", "a", "b", "c", "a"], [0, 0, 1, 2, 3, 4, 4]
    images, texts = indexes(
        random.normal(size=(5, 3)), random.normal(size=(7, 3)), labels, place
    )
    table = similarity_table(images, texts)
    cells = {}
    for i, image in enumerate(images.embeds):
        for j, text in enumerate(texts.embeds):
            here, there = labels[i], labels[place[j]]
            level = "same label" if here == there else "other label"
            level = "pair" if place[j] == i else level
            for name in ((here, there), level):
                cells.setdefault(name, []).append(image @ text)
    blocks, levels = block_means(table), level_means(table)
    assert blocks.index.tolist() == blocks.columns.tolist() == ["a", "b", "c"]
    for name, cosines in cells.items():
        mean = levels[name] if name in levels else blocks.loc[name]
        assert mean == pytest.approx(np.mean(cosines), abs=1e-6)


def test_a_level_without_a_cell_is_no_number():
    images, texts = indexes(np.eye(2), np.eye(2), ["a", "b"])
    levels = level_means(similarity_table(images, texts))
    assert levels["pair"] == 1 and levels["other label"] == 0
    assert np.isnan(levels["same label"])


# The plane.


def dozen():
    """Six pictures and six captions in two far groups."""
    random = np.random.default_rng(0)
    centres = np.repeat(np.eye(2, 8), 3, axis=0)
    embeds = centres + 0.05 * random.normal(size=(2, 6, 8))
    embeds /= np.linalg.norm(embeds, axis=2, keepdims=True)
    return indexes(*embeds, ["a"] * 3 + ["b"] * 3)


def test_a_dozen_points_are_laid_out_the_same_under_one_seed():
    images, texts = dozen()
    table = tsne_table(images, texts, seed=1)
    assert np.isfinite(table[["x", "y"]]).all(axis=None)
    pd.testing.assert_frame_equal(table, tsne_table(images, texts, seed=1))
    assert table["modality"].tolist() == ["image"] * 6 + ["text"] * 6
    assert table["path"].tolist() == 2 * [f"p{number}" for number in range(6)]


def test_groups_stay_together():
    images, texts = dozen()
    table = tsne_table(images, texts)
    points = table[["x", "y"]].to_numpy()
    gaps = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(gaps, np.inf)
    nearest = table["label"].to_numpy()[gaps.argmin(axis=1)]
    assert (nearest == table["label"]).mean() > 0.8


def test_too_few_points_are_refused():
    images, texts = indexes(np.eye(1), np.eye(1), ["a"])
    with pytest.raises(ValueError, match="2 points: expected at least 4"):
        tsne_table(images, texts)


# The hardest pairs.


def test_ranks_rivals_and_order_of_the_hardest_pairs():
    # Text 0 finds its picture second, behind p1; text 1 third; text 2 first.
    texts_by_images = np.array([[0.8, 0.9, 0.1], [0.7, 0.2, 0.3], [0.0, 0.1, 0.95]])
    images, texts = indexes(np.eye(3), texts_by_images, ["a", "a", "b"])
    pairs = hardest_pairs(images, texts, KNOWN, k=3)
    assert pairs["paths"].tolist() == ["p1", "p0", "p2"]
    assert pairs["text_to_image"].tolist() == [3, 2, 1]
    assert pairs["image_to_text"].tolist() == [2, 1, 1]
    assert pairs["rival_paths"].tolist() == ["p0", "p1", "p1"]
    assert pairs["rival_labels"].tolist() == ["a", "a", "a"]
    assert pairs["rival_captions"].tolist() == ["caption 0", "caption 1", "caption 1"]
    assert pairs["captions"].tolist() == ["caption 1", "caption 0", "caption 2"]
    assert pairs["reason"].iloc[-1] == "found"
    pd.testing.assert_frame_equal(hardest_pairs(images, texts, KNOWN, 1), pairs[:1])


def test_ranks_agree_with_those_of_the_evaluation_when_each_picture_has_one_caption():
    random = np.random.default_rng(1)
    images, texts = indexes(*random.normal(size=(2, 9, 4)), list("abc") * 3)
    pairs = hardest_pairs(images, texts, KNOWN, 9).sort_values("paths")
    similarity, own = images.embeds @ texts.embeds.T, np.eye(9, dtype=bool)
    assert pairs["image_to_text"].tolist() == first_ranks(similarity, own).tolist()
    assert pairs["text_to_image"].tolist() == first_ranks(similarity.T, own).tolist()


def test_captions_of_one_picture_do_not_compete():
    # Picture p0 prefers its first caption, then its second, then the stranger.
    images, texts = indexes(
        np.eye(2), [[0.9, 0.0], [0.8, 0.0], [0.1, 1.0]], ["a", "b"], [0, 0, 1]
    )
    pairs = hardest_pairs(images, texts, KNOWN, 3)
    assert set(pairs["image_to_text"]) == {1}
    assert set(pairs["rival_captions"][pairs["paths"] == "p0"]) == {"caption 2"}


def test_a_tie_is_held_against_the_model():
    images, texts = indexes(np.ones((3, 1)), np.ones((3, 1)), ["a", "a", "b"])
    pairs = hardest_pairs(images, texts, KNOWN, 3)
    assert set(pairs["text_to_image"]) == set(pairs["image_to_text"]) == {3}
    assert (pairs["rival_paths"] != pairs["paths"]).all()


def lost_dog(caption, found):
    """Four dogs, eight waters; the caption of dog 0 stands at its picture or at sea."""
    embeds = np.hstack([np.repeat(np.eye(2), [4, 8], axis=0), 0.1 * np.eye(12)])
    text_embeds = embeds.copy()
    if not found:
        text_embeds[0] = np.eye(14)[1]
    captions = [caption] + [f"caption {number}" for number in range(1, 12)]
    labels = ["dog"] * 4 + ["water"] * 8
    images, texts = indexes(embeds, text_embeds, labels, captions=captions)
    return hardest_pairs(images, texts, KNOWN, 12).set_index("paths").loc["p0"]


def test_the_reasons_are_the_documented_rules_in_their_order():
    pair = lost_dog("caption 0", found=False)
    assert pair["rival_labels"] == "water"
    # Of five pictures none; of five captions the other dogs' three, and its own.
    assert pair["label_share"] == pytest.approx((0 + 4) / 10)
    assert pair["reason"] == "wrong label"
    assert lost_dog("caption 0 zzz", found=False)["reason"] == "wrong label"
    assert lost_dog("caption qqq zzz", found=False)["reason"] == "unknown words"
    assert lost_dog("caption qqq zzz", found=True)["reason"] == "found"


def test_a_pair_lost_among_its_own_label():
    image_embeds = np.eye(6)
    text_embeds = np.roll(np.eye(6), 1, axis=0)  # Each text finds its neighbour.
    images, texts = indexes(image_embeds, text_embeds, ["dog"] * 6)
    pairs = hardest_pairs(images, texts, KNOWN, 6)
    assert set(pairs["reason"]) == {"within label"}
    assert set(pairs["label_share"]) == {1.0}


@pytest.mark.parametrize(
    ("caption", "known", "named"),
    [
        ("Caption 1 , 2 .", 1.0, False),  # Punctuation is no word.
        ("A Dog 1", 1 / 3, False),
        ("caption caption zzz", 2 / 3, False),
        ("two BALLS 1 2", 0.5, True),
        ("a ball.", 0.0, True),
        ("a football 1 2", 0.5, False),
        ("a ballroom 1 2", 0.5, False),
        (".", 0.0, False),
    ],
)
def test_known_words_and_a_label_that_is_named(caption, known, named):
    images, texts = indexes(
        np.eye(2), np.eye(2), ["ball", "ball"], captions=[caption, "caption 1"]
    )
    pairs = hardest_pairs(images, texts, KNOWN, 2).set_index("paths")
    assert pairs.loc["p0", "known_words"] == pytest.approx(known)
    assert pairs.loc["p0", "names_label"] == named


def test_a_pair_that_makes_no_gallery_is_refused():
    images, texts = indexes(np.eye(2), np.eye(2), ["a", "b"])
    with pytest.raises(ValueError, match="k = 0"):
        hardest_pairs(images, texts, KNOWN, 0)
    texts.items.loc[1, "image_paths"] = "elsewhere.jpg"
    with pytest.raises(ValueError, match=r"elsewhere\.jpg"):
        hardest_pairs(images, texts, KNOWN)
    with pytest.raises(ValueError, match="expected at least 2"):
        hardest_pairs(*indexes(np.eye(1), np.eye(1), ["a"]), KNOWN)


# What is logged and drawn.


def words_of(figure):
    """Return every text in a figure."""
    figure.canvas.draw()
    return " ".join(
        text.get_text() for text in figure.findobj(matplotlib.text.Text)
    ).replace("\n", " ")


def test_each_recall_of_an_epoch_is_logged_and_drawn():
    # Image to text: own ranks 1, 2, 3. Text to image: 2, 1, 1.
    similarity = np.array([[0.9, 0.1, 0.0], [0.95, 0.5, 0.3], [0.8, 0.4, 0.35]])

    class Model:
        def predict(self, pairs, verbose):
            return similarity, np.eye(3)

        def get_layer(self, name):
            layer = ContrastiveLoss()
            layer.build(None)
            return layer

    logs, callback = {}, ValidationRecall(Model(), None, 3)
    callback.on_epoch_end(0, logs)
    assert logs["val_recall@1"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert logs["val_recall@5"] == logs["val_recall@10"] == 1
    recalls = [logs[f"val_recall@{k}"] for k in (1, 5, 10)]
    assert logs["val_recall"] == pytest.approx(np.mean(recalls))
    history = {name: [value, value / 2] for name, value in (logs | {"loss": 1}).items()}
    figure = plots.clip_curves(history, batch_size=3, candidates=3)
    assert len(figure.axes) == 3
    assert {"rappel à 1", "rappel à 5", "rappel à 10", "température"} <= {
        line.get_label() for axes in figure.axes for line in axes.lines
    }
    for axes in figure.axes:
        (kept,) = (line for line in axes.lines if line.get_label() == "époque gardée")
        assert set(kept.get_xdata()) == {1}


def test_the_matrix_figure_names_each_label_on_both_axes():
    random = np.random.default_rng(0)
    images, texts = indexes(*random.normal(size=(2, 6, 3)), list("yxxxyz"))
    figure = explain_plots.similarity_by_label(similarity_table(images, texts))
    left = figure.axes[0]
    assert [len(axes.images) for axes in figure.axes[:2]] == [1, 1]
    for axis in (left.xaxis, left.yaxis):
        assert [tick.get_text() for tick in axis.get_ticklabels()] == ["x", "y", "z"]
        assert axis.get_ticklocs().tolist() == [1.0, 3.5, 5.0]
    boundaries = [line.get_ydata()[0] for line in left.lines[:2]]
    assert boundaries == [2.5, 4.5]
    assert len(figure.axes[1].texts) == 9


def test_the_plane_joins_each_caption_with_its_picture():
    images, texts = indexes(
        *np.random.default_rng(0).normal(size=(2, 4, 3)), list("abab"), [3, 2, 1, 0]
    )
    points = tsne_table(images, texts)
    figure = explain_plots.tsne_map(points)
    (axes,) = figure.axes
    assert {"a", "b", "image", "légende"} == {
        text.get_text() for text in axes.get_legend().get_texts()
    }
    assert len(axes.collections) == 4 and len(axes.lines) == 4
    ends = [line.get_xydata() for line in axes.lines]
    places = points[["x", "y"]].to_numpy()
    assert np.allclose(ends, [[places[3 - j], places[4 + j]] for j in range(4)])


def test_the_hardest_pairs_are_shown(run_config):
    search = Search.load(run_config.model_path(MODEL_FILE))
    images, texts = search.images.part("test"), search.texts.part("test")
    pairs = hardest_pairs(images, texts, search.clip.vectorizer, 3)
    assert set(pairs["reason"]) <= set(explain_plots.REASONS)
    figure = explain_plots.hardest(pairs)
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 0] * 3
    assert f"rang de l'image : {pairs['text_to_image'][0]}," in words_of(figure)


def test_a_low_temperature_sharpens_the_answers():
    cosines = np.random.default_rng(0).uniform(-1, 1, 30)
    temperatures = {"unité": 1, "apprise": 0.07}
    figure = explain_plots.temperature_bars(cosines, temperatures, shown=10)
    assert len(figure.axes) == 2
    for axes, temperature in zip(figure.axes, temperatures.values(), strict=True):
        heights = [bar.get_height() for bar in axes.patches]
        expected = np.sort(softmax(cosines / temperature))[::-1][:10]
        assert np.allclose(heights, expected)
    first = [axes.patches[0].get_height() for axes in figure.axes]
    assert first[0] < first[1]
    assert "température apprise (0.07)" in words_of(figure)
