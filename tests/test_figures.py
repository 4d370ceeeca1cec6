"""What the figures show: every mark where its number says."""

import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from clip_lib.evaluation.embeddings import (
    hardest_pairs,
    level_means,
    outcomes,
    similarity_table,
    tsne_table,
)
from clip_lib.figures import curves, embedding_plots, image_grids, remarks
from clip_lib.figures.image_grids import contact_sheet
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import MODEL_FILE, Search

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def search(run_config):
    return Search.load(run_config.model_path(MODEL_FILE))


def words_of(figure):
    """Return every text in a figure."""
    figure.canvas.draw()
    texts = figure.findobj(matplotlib.text.Text)
    return " ".join(text.get_text() for text in texts).replace("\n", " ")


def gallery(labels, place):
    vectors = np.random.default_rng(0).normal(size=(2, len(labels), 3))
    paths, labels = np.array([f"p{n}" for n in range(len(labels))]), np.array(labels)
    images = pd.DataFrame({"paths": paths, "labels": labels})
    texts = pd.DataFrame({"image_paths": paths[place], "labels": labels[place]})
    return Index(vectors[0], images), Index(vectors[1], texts)


def test_the_matrix_names_each_label_on_both_axes():
    similarity = similarity_table(*gallery(list("yxxxyz"), range(6)))
    figure = embedding_plots.similarity_maps({"one": similarity, "two": similarity})
    for title, axes in zip(("one", "two"), figure.axes, strict=False):
        assert np.allclose(axes.images[0].get_array(), similarity)
        for axis in (axes.xaxis, axes.yaxis):
            names = [tick.get_text() for tick in axis.get_ticklabels()]
            assert names == ["x", "y", "z"]
            assert axis.get_ticklocs().tolist() == [1.0, 3.5, 5.0]
        assert axes.yaxis.get_minorticklocs().tolist() == [2.5, 4.5]
        mean = f"{level_means(similarity)['same label']:.2f}".replace(".", ",")
        assert axes.get_title().startswith(title)
        assert f"même étiquette {mean}" in axes.get_title()


def test_the_plane_joins_each_caption_with_its_picture():
    points = tsne_table(*gallery(list("abab"), [3, 2, 1, 0]))
    (axes,) = embedding_plots.tsne_map(points).axes
    legend = {text.get_text() for text in axes.get_legend().get_texts()}
    assert legend == {"a", "b", "image", "légende"}
    ends = [line.get_xydata() for line in axes.lines]
    places = points[["x", "y"]].to_numpy()
    assert np.allclose(ends, [[places[3 - j], places[4 + j]] for j in range(4)])


def test_the_failures_of_a_saved_model_are_shown(search):
    images, texts = search.images.part("test"), search.texts.part("test")
    pairs = hardest_pairs(images, texts, search.clip.vectorizer)
    assert set(pairs["reason"]) <= set(embedding_plots.REASONS)
    figure = embedding_plots.hardest(pairs.head(3))
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 0] * 3
    assert f"rang de l'image : {pairs['text_to_image'][0]}," in words_of(figure)


@pytest.mark.parametrize("way", ["text_to_image", "image_to_text"])
def test_examples_are_chosen_by_the_rule(search, way):
    images, texts = search.images.part("test"), search.texts.part("test")
    pairs = hardest_pairs(images, texts, search.clip.vectorizer)
    chosen = outcomes(pairs, way)
    assert (chosen["success"][way] == 1).all() and (chosen["failure"][way] > 5).all()
    pairs[way] = [7, 1] * (len(pairs) // 2) + [1] * (len(pairs) % 2)
    for outcome, queries in outcomes(pairs, way).items():
        figure = image_grids.example(search, queries, way, outcome)
        middle = queries.iloc[len(queries) // 2]
        assert f"rang {middle[way]}" in (words := words_of(figure))
        assert (
            f"{image_grids.OUTCOMES[outcome]} n° {len(queries) // 2 + 1} sur" in words
        )
        assert middle["captions"][:20] in words
    none = image_grids.example(search, pairs.head(0), way, "failure")
    assert "échec : aucune question" in words_of(none)


def test_axes_and_legends_have_commas():
    names = "loss", "val_loss", "accuracy", "val_accuracy"
    history = {name: [0.15, 0.25] for name in names}
    words = words_of(curves.classifier_curves(history, 4, "titre"))
    assert re.search(r"\d,\d", words) and not re.search(r"\d\.\d", words)
    assert "époque gardée : 2" in words and "hasard : 1,39" in words


def test_the_own_picture_and_the_own_caption_are_green(search):
    where = image_grids.gallery_name(search.texts, "test")
    count = len(search.texts.part("test").items)
    assert where == f"{count} légendes de test (photographies)"
    path = search.texts.part("test").items["image_paths"][0]
    answers = search.texts_for(path, count)
    figure = image_grids.text_answers(path, answers, where)
    green = [t for t in figure.axes[1].texts if t.get_color() == image_grids.RIGHT]
    assert len(green) == 1 and green[0].get_text().endswith("la sienne")
    answers = search.images_for("the grass", 3)
    own = answers["paths"][1]
    axes = image_grids.image_answers(answers, "costs $5", where, own).axes
    frames = [each.spines["top"].get_visible() for each in axes]
    assert frames == [False, True, False]


def test_the_contact_sheet_shows_scores_and_reasons(search, tmp_path):
    paths = search.images.items["paths"]
    label = search.images.items["labels"][7]
    rows = [
        ("near-duplicate", paths[1], paths[0], 0.9, 1),
        ("off-topic pair", paths[4], "costs $5 or $6", 0.9, 1),
        ("off-topic pair", paths[5], "another caption of it", 0.9, 2),
        ("label outlier", paths[7], "zebra", 0.9, 1),
    ]
    found = pd.DataFrame(rows, columns=["kind", "image_path", "other", "score", "rank"])
    figure = contact_sheet(found, search.images, per_kind=2)
    figure.savefig(tmp_path / "sheet.png")  # A lone dollar sign would be a formula.
    shown = [axes for axes in figure.axes if axes.images]
    assert len(figure.axes) == 6 and len(shown) == 4
    assert shown[0].get_title() == "n° 1   score 0,900"
    reason = shown[3].get_xlabel().replace("\n", " ")
    assert reason == f"étiquette {label}, plutôt zebra\u00a0?"
    empty = contact_sheet(found[found["kind"] == "label outlier"], search.images, 2)
    assert [text.get_text() for text in empty.axes[0].texts] == ["rien trouvé"]
    with pytest.raises(ValueError, match=r"a\.jpg: a suspicion, but not in the image"):
        contact_sheet(found.assign(image_path="a.jpg"), search.images)


def test_remarks_say_what_the_numbers_are():
    history = {"accuracy": [0.3, 0.9], "val_accuracy": [0.5, 0.4], "val_loss": [2, 1]}
    said = remarks.classifier(history, 4)
    assert "Époque gardée : 1 sur 2, exactitude en validation 0,50" in said
    assert "plus basse de 0,20 : dropout" in said and "à l'époque 2." in said
    for train, words in ((0.5, "est la même."), (0.9, "apprend aussi par cœur")):
        assert words in remarks.classifier(history | {"accuracy": [train, 1]}, 4)
    said = remarks.confusion([0, 0, 1, 1], [0, 1, 1, 1], ["dog", "ball"])
    assert "*ball* (100 %)" in said and "*dog* pris pour *ball*, 1 fois" in said
    said = remarks.confusion([0, 1], [0, 1], ["dog", "ball"])
    assert said == "En tête : *dog*, *ball* (100 %)."
    said = remarks.confusion([0, 1], [1, 0], ["dog", "ball"])
    assert "Parmi les confusions les plus fréquentes : *dog*" in said
    rising = {"loss": [4, 3, 2], "val_loss": [4, 3, 3.5], "val_recall": [0.1, 0.2, 0.3]}
    said = remarks.clip(rising | {"temperature": [0.15, 0.14, 0.13]}, 84)
    assert "époque 2, puis remonte" in said and "l'époque 3, qui est gardée" in said
    labels = pd.MultiIndex.from_arrays([list("xxy"), list("abc")])
    labels = labels.set_names(["label", "path"])
    for own, words in ((0.9, "distingue plus que"), (0.51, "distingue à peine plus")):
        cosines = np.where(
            np.eye(3), own, [[0, 0.5, 0.1], [0.5, 0, 0.1], [0.1, 0.1, 0]]
        )
        assert words in remarks.similarity(pd.DataFrame(cosines, labels, labels))
    both = {way: {"recall@10": 0.4} for way in ("image_to_text", "text_to_image")}
    chance = {way: {"recall@10": 0.1} for way in both}
    said = remarks.retrieval(both | {"chance": chance})
    assert said.count("0,40, 4,0 fois le hasard") == 2 and "oracle" not in said
    ways = [(way, k) for way in both for k in ("recall@10", "recall@1")]
    means = {"mean": [0.34, 0.06, 0.2, 0.01], "deviation": 0.02}
    values = means | {"label_oracle": [0.33, 0.03] * 2}
    said = remarks.beside_oracle(
        pd.DataFrame(values, index=pd.MultiIndex.from_tuples(ways))
    )
    assert "image → texte, rappel à 10 0,34 (oracle 0,33 : à un écart-type" in said
    assert "à 1 0,06 (oracle 0,03 : au-dessus) ; texte → image" in said
    assert (
        "rappel à 10 0,20 (oracle 0,33 : au-dessous), à 1 0,01 (oracle 0,03 :" in said
    )
    points = pd.DataFrame(
        {"x": [0, 0.1, 9, 9.1], "y": 0.0, "label": list("xyxy")},
        index=["image", "image", "text", "text"],
    )
    assert "0 % des cas" in remarks.neighbours(points)
    assert "100 % : deux nuages" in remarks.neighbours(points)
