"""Indexes, and the questions asked of a saved model."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clip_lib.data.vocabulary import save_vocabulary, vocabulary_fingerprint
from clip_lib.models.saving import load_clip, save_model
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import MODEL_FILE, TEXT_INDEX_FILE, Clip, Search


@pytest.fixture
def index():
    embeds = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], "float32")
    items = pd.DataFrame(
        {"paths": list("abcd"), "splits": ["train", "test", "test", "train"]}
    )
    return Index(embeds, items)


@pytest.fixture(scope="module")
def search(run_config):
    return Search.load(run_config.model_path(MODEL_FILE))


def test_the_nearest_come_first_with_their_scores(index):
    answers = index.search([1, 0], k=3)
    assert answers["paths"].tolist() == ["a", "c", "b"]
    assert answers["rank"].tolist() == [1, 2, 3]
    assert np.allclose(answers["score"], [1, 0.6, 0])


def test_more_answers_than_items_gives_them_all(index):
    assert len(index.search([1, 0], k=50)) == 4


def test_no_answer_cannot_be_asked_for(index):
    with pytest.raises(ValueError, match="k = 0"):
        index.search([1, 0], k=0)


def test_a_gallery_is_one_part(index):
    assert index.part("test").search([1, 0])["paths"].tolist() == ["c", "b"]
    assert len(index.part("all").items) == 4
    with pytest.raises(ValueError, match="gallery 'tset' is empty"):
        index.part("tset")


def test_an_index_comes_back_as_it_was(tmp_path, index):
    again = Index.load(index.save(tmp_path / "index.npz"))
    assert (again.embeds == index.embeds).all()
    assert again.items.equals(index.items)


def test_an_index_file_holds_plain_arrays_of_the_courses_names(run_config):
    with np.load(run_config.model_path(TEXT_INDEX_FILE), allow_pickle=False) as arrays:
        assert {"embeds", "captions", "image_paths"} <= set(arrays.files)
        assert arrays["embeds"].dtype == np.float32
        assert len(arrays["embeds"]) == len(arrays["captions"]) == 48


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut"])
def test_a_broken_index_is_named(tmp_path, content):
    (tmp_path / "index.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"index\.npz: not an index"):
        Index.load(tmp_path / "index.npz")


def test_an_index_of_pickled_objects_is_refused(tmp_path):
    np.savez(tmp_path / "index.npz", embeds=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="not an index"):
        Index.load(tmp_path / "index.npz")


def test_a_caption_as_query_scores_its_own_entry_one(search):
    row = search.texts.items.iloc[7]
    embedding = search.clip.embed_text(row["captions"])
    best = search.texts.search(embedding, k=1).iloc[0]
    assert best["captions"] == row["captions"]
    assert best["score"] == pytest.approx(1, abs=1e-5)


def test_one_query_and_a_batch_give_the_same_vectors(search):
    paths = search.images.items["paths"][:3]
    singly = [search.clip.embed_image(path) for path in paths]
    assert np.allclose(search.clip.embed_images(paths), singly, atol=1e-5)
    assert np.allclose(search.images.embeds[:3], singly, atol=1e-5)


def test_scores_are_the_products_of_the_vectors(search):
    answers = search.images_for("on the grass", k=5, gallery="test")
    assert set(answers["splits"]) == {"test"}
    assert answers["score"].is_monotonic_decreasing
    text = search.clip.embed_text("on the grass")
    for answer in answers.itertuples():
        product = search.clip.embed_image(answer.paths) @ text
        assert answer.score == pytest.approx(product, abs=1e-5)


def test_any_picture_can_be_a_query(search, tmp_path):
    path = tmp_path / "query.png"
    Image.new("LA", (301, 77), (90, 128)).save(path)
    assert len(search.texts_for(path, k=5, gallery="all")) == 5


def test_a_bad_query_is_refused(search, tmp_path):
    with pytest.raises(ValueError, match="Empty query"):
        search.images_for(" ")
    with pytest.raises(ValueError, match="not one word"):
        search.images_for("zeppelin")
    with pytest.raises(ValueError, match="no such picture"):
        search.texts_for(tmp_path / "none.jpg")


def test_an_index_of_another_model_is_refused(run_config, tmp_path):
    shutil.copytree(run_config.model_dir, tmp_path / "models")
    model_file = tmp_path / "models" / MODEL_FILE
    assert Search.load(model_file).images.source == "photographs"
    clip = load_clip(model_file)
    clip.set_weights([weights + 0.01 for weights in clip.get_weights()])
    save_model(clip, model_file)
    with pytest.raises(ValueError, match=r"image_index\.npz: made by another model"):
        Search.load(model_file)


def test_an_index_in_the_courses_bare_form_is_searched(tmp_path, index):
    np.savez(tmp_path / "bare.npz", embeds=index.embeds, paths=np.array(list("abcd")))
    bare = Index.load(tmp_path / "bare.npz")
    assert bare.part("all").search([1, 0], k=1)["paths"].tolist() == ["a"]
    with pytest.raises(
        ValueError, match="gallery 'test' is empty: expected one of all"
    ):
        bare.part("test")


def test_an_index_whose_columns_do_not_match_is_named(tmp_path, index):
    np.savez(tmp_path / "odd.npz", embeds=index.embeds, paths=np.array(list("ab")))
    with pytest.raises(ValueError, match=r"odd\.npz: not an index"):
        Index.load(tmp_path / "odd.npz")


def test_a_vocabulary_of_another_training_is_refused(run_config, tmp_path):
    (tmp_path / "vocab.txt").write_text("\n[UNK]\ndog\nball", encoding="utf-8")
    with pytest.raises(ValueError, match=r"vocab\.txt: 4 words, but"):
        Clip.load(run_config.model_path(MODEL_FILE), tmp_path / "vocab.txt")


def test_the_same_words_in_another_order_are_refused(tmp_path, tiny_clip, vectorizer):
    loss = tiny_clip.get_layer("contrastive_loss")
    loss.vocabulary = vocabulary_fingerprint(vectorizer)
    save_model(tiny_clip, tmp_path / MODEL_FILE)
    save_vocabulary(vectorizer, tmp_path / "vocab.txt")
    clip = Clip.load(tmp_path / MODEL_FILE)
    assert clip.vectorizer.get_vocabulary() == vectorizer.get_vocabulary()
    lines = (tmp_path / "vocab.txt").read_text(encoding="utf-8").split("\n")
    shifted = [*lines[:2], *lines[3:], lines[2]]
    (tmp_path / "vocab.txt").write_text("\n".join(shifted), encoding="utf-8")
    with pytest.raises(ValueError, match=r"vocab\.txt: .* others, or in another order"):
        Clip.load(tmp_path / MODEL_FILE)
