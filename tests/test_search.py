"""Queries to a saved model, and labels by their words alone."""

import dataclasses
import os
import shutil
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clip_lib.data.vocabulary import vocabulary_fingerprint
from clip_lib.errors import ClipError
from clip_lib.models.saving import load_clip, save_model
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.question import embed_question, fits, negations
from clip_lib.retrieval.search import MODEL_FILE, TEXT_INDEX_FILE, Clip, Search
from clip_lib.retrieval.zero_shot import knows_label, label_index, zero_shot


@pytest.fixture(scope="module")
def search(run_config):
    return Search.load(run_config.model_path(MODEL_FILE))


def test_an_index_file_holds_plain_arrays_of_the_courses_names(run_config):
    with np.load(run_config.model_path(TEXT_INDEX_FILE), allow_pickle=False) as arrays:
        assert {"embeds", "captions", "image_paths"} <= set(arrays.files)
        assert arrays["embeds"].dtype == np.float32
        assert len(arrays["embeds"]) == len(arrays["captions"]) == 48


def test_scores_are_the_products_of_the_vectors(search):
    """One picture and one text alone, beside the batches of the index."""
    answers = search.images_for("on the grass", k=5, gallery="test")
    assert set(answers["splits"]) == {"test"}
    assert answers["score"].is_monotonic_decreasing
    text = search.clip.embed_text("on the grass")
    for answer in answers.itertuples():
        product = search.clip.embed_image(answer.paths) @ text
        assert answer.score == pytest.approx(product, abs=1e-5)


def test_a_bare_word_is_queried_by_the_sentences_of_a_label(search):
    (label,) = label_index(search.clip, ["dog"]).embeds
    (alone, text) = search.clip.embed_texts(["dog", "a dog"])
    assert np.allclose(search.clip.embed_text(" dog "), label, atol=1e-6)
    assert not np.allclose(label, alone, atol=1e-3)
    assert np.allclose(search.clip.embed_text("a dog"), text, atol=1e-6)


def test_a_bad_query_is_refused(search, tmp_path):
    with pytest.raises(ClipError, match="Empty query"):
        search.images_for(" ")
    with pytest.raises(ClipError, match="none of its content words"):
        search.images_for("zeppelin")
    with pytest.raises(ClipError, match="no such picture"):
        search.texts_for(tmp_path / "none.jpg")


def test_a_model_comes_with_its_temperature_and_its_own_indexes(run_config, tmp_path):
    shutil.copytree(run_config.model_dir, tmp_path / "models")
    model_file = tmp_path / "models" / MODEL_FILE
    assert Search.load(model_file).images.source == "photographs"
    before = Clip.load(model_file)
    model = load_clip(model_file)
    model.set_weights([weights + 0.01 for weights in model.get_weights()])
    loss = model.get_layer("contrastive_loss")
    loss.log_scale.assign(np.log(20.0) / loss.rate)
    save_model(model, model_file)
    after = Clip.load(model_file)
    assert after.temperature == pytest.approx(1 / 20)
    assert after.fingerprint != before.fingerprint
    with pytest.raises(ClipError, match=r"image_index\.npz: made by another model"):
        Search.load(model_file)


def test_a_vocabulary_of_another_training_is_refused(tmp_path, tiny_clip, vectorizer):
    loss = tiny_clip.get_layer("contrastive_loss")
    loss.vocabulary = vocabulary_fingerprint(vectorizer)
    model_file = save_model(tiny_clip, tmp_path / MODEL_FILE)
    path = tmp_path / "vocab.txt"
    vectorizer.save(path)
    clip = Clip.load(model_file)
    assert clip.vectorizer.get_vocabulary() == vectorizer.get_vocabulary()
    lines = path.read_text(encoding="utf-8").split("\n")
    path.write_text("\n".join([*lines[:2], *lines[3:], lines[2]]), encoding="utf-8")
    with pytest.raises(ClipError, match=r"vocab\.txt: .* others, or in another order"):
        Clip.load(model_file)
    path.write_text("\n[UNK]\ndog\nball", encoding="utf-8")
    with pytest.raises(ClipError, match=r"vocab\.txt: 4 words, but"):
        Clip.load(model_file)


class Sentences:
    """Stands for a CLIP: sentence -> angle in degrees, or vector."""

    def __init__(self, angles):
        radians = {text: np.deg2rad(angle) for text, angle in angles.items()}
        self.vectors = {text: [np.cos(x), np.sin(x)] for text, x in radians.items()}

    def embed_texts(self, texts):
        return np.array([self.vectors[text] for text in texts])


def test_zero_shot_averages_its_templates_on_the_unit_sphere():
    """Of label b one sentence is nearest, of label a the mean is."""
    clip = Sentences({"a a": 30, "the a": -30, "a b": 20, "the b": 160})
    pictures = np.array([[np.cos(x), np.sin(x)] for x in np.deg2rad([20, 42, 50])])
    alone = zero_shot(clip, pictures, ["a", "b"], ["a {}"])
    assert alone.tolist() == ["b", "a", "a"]
    # The means stand at 0 and 90 degrees: unless both get back to unit length, the
    # long one of label a would also take the picture at 50 degrees.
    both = zero_shot(clip, pictures, ["a", "b"], ["a {}", "the {}"])
    assert both.tolist() == ["a", "a", "b"]


def test_templates_need_a_place_for_the_label_and_do_nothing_else():
    for templates in ([], "a dog", ["a {}", "the"]):
        with pytest.raises(ClipError, match="expected sentences such as"):
            label_index(Sentences({}), ["a", "b"], templates)
    clip = Sentences({"dog {0} {x!r} dog": 0})
    assert len(label_index(clip, ["dog"], ["{} {0} {x!r} {}"]).embeds) == 1


def test_a_label_is_known_by_any_of_its_words(search):
    assert knows_label(search.clip, "red_ball")
    assert not knows_label(search.clip, "zeppelin")
    assert not knows_label(search.clip, "---")


# Questions of several terms.


def test_a_question_is_the_weighed_sum_of_its_terms(search, photo):
    texts = ("a dog", "the water", "on the grass")
    dog, water, grass = map(search.clip.embed_text, texts)
    picture = search.clip.embed_image(photo)
    for question, expected in (
        ("a dog", dog),
        ("a dog + the water", dog + water),
        ("2*a dog - 0.5 * the water + on the grass", 2 * dog - 0.375 * water + grass),
        ('"a dog" - "the water"', dog - 0.75 * water),
        ("- the water + a dog", dog - 0.75 * water),
        (f"{photo} + on the grass", picture + grass),
        (f"on the grass - {photo}", grass - 0.75 * picture),
        # Text taken as it is: its signs are no signs, and punctuation is dropped.
        ('"a dog - a dog"', search.clip.embed_text("a dog a dog")),
    ):
        found = embed_question(search.clip, question, pictures=True)
        assert np.allclose(found, expected / np.linalg.norm(expected), atol=1e-5)
    scores = search.images_for("a dog - the water", 48, "all")["score"]
    assert scores.is_monotonic_decreasing and scores.abs().max() <= 1


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("a dog +", "a sign without a term"),
        ("a dog + - water", "a sign without a term"),
        ("- water", "every term is excluded"),
        ("-", "Empty query"),
        ("0*dog", "expected a weight above 0"),
        ("a dog - 1.34*a dog + 0.005*a dog", "cancel each other out"),
        ("a dog - zeppelin", "'zeppelin': none of its content"),
    ],
)
def test_a_question_that_cannot_be_read_is_refused(search, question, message):
    with pytest.raises(ClipError, match=message):
        search.images_for(question)


def test_a_stranger_s_question_reads_no_file(search, photo):
    expected = search.clip.embed_text(photo)  # It has the word dog.
    assert np.allclose(embed_question(search.clip, photo), expected, atol=1e-6)


def test_what_a_model_would_misread_is_found():
    found = negations('a dog not on the grass -snow without "no water", cat-like')
    assert found == [("not on the grass", "grass"), ("-snow", "snow")]
    assert negations("notes of a dog - snow") == []


def test_pictures_like_a_picture_are_the_others(search, photo, tmp_path, monkeypatch):
    alike = search.images_like(photo, 99, "all")
    assert len(alike) == 47 and photo not in alike["paths"].tolist()
    assert alike["probability"].sum() == pytest.approx(1)
    assert alike["margin"].iloc[:-1].min() >= 0 and np.isnan(alike["margin"].iloc[-1])
    first = alike.iloc[0]
    cosine = search.clip.embed_image(photo) @ search.clip.embed_image(first["paths"])
    assert first["score"] == pytest.approx(cosine, abs=1e-5)
    # A copy elsewhere, as a visitor uploads it.
    copy = shutil.copy(photo, tmp_path / "copy.jpg")
    assert search.images_like(copy, 99, "all")["paths"].tolist() == [*alike["paths"]]
    # An index may name its pictures from where the project lies.
    monkeypatch.chdir(Path(photo).parent)
    names = search.images.items["paths"].map(os.path.relpath)
    items = search.images.items.assign(paths=names)
    images = dataclasses.replace(search.images, items=items)
    blind = types.SimpleNamespace(temperature=search.clip.temperature)  # Reads nothing.
    here = dataclasses.replace(search, images=images, clip=blind)
    found = here.images_like(Path(photo).name, 99, "all")["paths"].map(os.path.abspath)
    assert found.tolist() == alike["paths"].tolist()


class Words:
    """Stands for a CLIP and its search: each letter is a word, and has its own axis."""

    letters, width, fingerprint = "abcdefghijklmnopqrstuvwxyz", 26, "words"

    def __init__(self, pictures):
        self.clip = self.vectorizer = self
        embeds = self.embed_texts(pictures)
        self.images = Index(embeds, pd.DataFrame({"paths": [*pictures]}))

    def get_vocabulary(self):
        return ["", "[UNK]", *self.letters]

    def embed_texts(self, texts):
        counts = [[text.split().count(one) for one in self.letters] for text in texts]
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    def embed_text(self, text):
        return self.embed_texts([text])[0]


def test_a_question_fits_if_it_beats_nonsense():
    """The pictures lie in the plane of the words a to e; f to z are strangers there."""
    search = Words(pictures="abcde" * 5)
    assert fits(search, "a", "all") and fits(search, "a b", "all")
    assert not fits(search, "x", "all") and not fits(search, "x y z q", "all")
    # Excluded terms do not count; a query with a picture always fits.
    assert fits(search, "a - z", "all") and not fits(search, "x - a", "all")
    assert fits(search, "a.jpg + x", "all", pictures=True)
