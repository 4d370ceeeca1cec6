"""What the search page answers, without a server."""

import dataclasses
import html
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clip_lib.retrieval.index import Index
from clip_lib.retrieval.photo_folder import index_file, update_index
from clip_lib.retrieval.search import MODEL_FILE
from clip_lib.retrieval.zero_shot import TEMPLATES, label_index
from clip_lib.web.cards import label_rows, picture_cards, text_rows
from clip_lib.web.page import MAX_CHARACTERS, MAX_LABELS, MAX_UPLOAD_PIXELS, Page
from clip_lib.web.thumbnails import SIDE, Thumbnails
from clip_lib.web.words import ENGLISH, FRENCH, number, percent, words_for

FIELDS = re.compile(r"\{\w*\}")


@pytest.fixture(scope="module")
def model(run_config):
    return str(run_config.model_path(MODEL_FILE))


@pytest.fixture(scope="module")
def page(model):
    return Page.load([model])


@pytest.fixture
def photo(tiny_folder):
    return str(tiny_folder / "images/dog/dog_001.jpg")


def titles(answer):
    return [html.unescape(one) for one in re.findall(r"<p>\d+\. (.*?)</p>", answer)]


def test_both_languages_say_everything_with_the_same_fields():
    assert list(ENGLISH) == list(FRENCH)
    for key, english in ENGLISH.items():
        assert sorted(FIELDS.findall(english)) == sorted(FIELDS.findall(FRENCH[key]))


@pytest.mark.parametrize(
    ("accepted", "words"),
    [
        ("fr-FR,fr;q=0.9,en;q=0.8", FRENCH),
        ("FR", FRENCH),
        ("en-US,fr;q=0.5", ENGLISH),
        ("fr;q=0.9", FRENCH),
        ("frr", ENGLISH),
        ("", ENGLISH),
        (None, ENGLISH),
    ],
)
def test_the_browser_names_the_language(accepted, words):
    assert words_for(accepted) is words


def test_numbers_are_written_as_the_language_does():
    assert number(0.4149, 2, ENGLISH) == "0.41"
    assert number(-0.5, 1, FRENCH) == "\u22120,5" and number(-1e-9, 1, FRENCH) == "0,0"
    assert percent(0.219, ENGLISH) == "21.9%"
    assert percent(0.219, FRENCH) == "21,9\u00a0%"


def test_galleries_are_the_parts_of_the_training_test_first(page, model):
    sizes = page.sizes(model)
    assert list(sizes) == ["test", "validation", "train", "all"]
    assert sizes["all"] == 48 == sum(sizes.values()) - sizes["all"]
    assert page.labels(model) == ["ball", "bike", "dog", "water"]


def test_a_text_gets_the_five_pictures_that_search_finds(page, model):
    search, _ = page.galleries[model]["train"]
    expected = search.images_for("a dog on the grass", 5, "all")
    answer = page.pictures_for(model, "train", " a dog on the grass ", ENGLISH)
    captions = search.texts.items.set_index("image_paths")["captions"]
    assert titles(answer) == [captions[path] for path in expected["paths"]]
    assert answer.count('src="data:image/jpeg;base64,') == 5
    best = expected.iloc[0]
    assert f"<span>score {best['score']:.3f}</span>" in answer
    assert f"<span>margin {best['margin']:.3f}</span>" in answer
    assert f"{best['probability']:.1%}" in answer
    assert f"Best 5 of {page.sizes(model)['train']} pictures" in answer
    bars = [float(width) for width in re.findall(r"width:([\d.]+)%", answer)]
    shares = 100 * expected["probability"] / best["probability"]
    assert bars == pytest.approx(shares.tolist(), abs=0.05)
    assert "Les meilleures images, 5 sur" in page.pictures_for(
        model, "train", "a dog", FRENCH
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (" \n", "empty"),
        (None, "empty"),
        ("dog " * MAX_CHARACTERS, "too_long"),
        ("zeppelin qwertz", "none_known"),
        ("...", "none_known"),
    ],
)
@pytest.mark.parametrize("words", [ENGLISH, FRENCH], ids=["en", "fr"])
def test_a_text_that_cannot_be_answered(page, model, vectorizer, text, message, words):
    answer = page.pictures_for(model, "test", text, words)
    size = vectorizer.vocabulary_size() - 2
    expected = words[message].format(MAX_CHARACTERS if "long" in message else size)
    assert (
        html.unescape(answer) == f'<p class="clip-problem" role="alert">{expected}</p>'
    )


def test_unknown_words_are_named_and_never_markup(page, model):
    answer = page.pictures_for(model, "test", "<b>zeppelin</b> dog", ENGLISH)
    assert "<b>" not in answer and "&lt;b&gt;zeppelin&lt;/b&gt;" in answer
    assert len(titles(answer)) == 5


def test_a_picture_gets_the_five_texts_that_search_finds(page, model, photo):
    search, _ = page.galleries[model]["all"]
    expected = search.texts_for(photo, 5, "all")
    answer = page.texts_for(model, "all", photo, ENGLISH)
    assert titles(answer) == expected["captions"].tolist()
    assert answer.count('src="data:image/jpeg;base64,') == 5


def test_a_picture_gets_its_labels(page, model, photo):
    search, _ = page.galleries[model]["test"]
    labels = "dog, water ,dog,, the  grass"
    answer = page.labels_for(model, photo, labels, "a {}\n\n of {} ", ENGLISH)
    index = label_index(search.clip, ["dog", "water", "the grass"], ["a {}", "of {}"])
    embedding = search.clip.embed_image(photo)
    expected = index.search(embedding, 3, search.clip.temperature)
    assert titles(answer) == expected["labels"].tolist()
    assert f"{expected['probability'][0]:.1%}" in answer
    # No sentence at all means our own.
    assert page.labels_for(model, photo, labels, "", ENGLISH) == page.labels_for(
        model, photo, labels, "\n".join(TEMPLATES), ENGLISH
    )
    strange = page.labels_for(model, photo, "dog, zeppelin", "", ENGLISH)
    assert "The model knows no word of: zeppelin." in strange


@pytest.mark.parametrize(
    ("labels", "templates", "message"),
    [
        ("dog", "", "few_labels"),
        ("", "", "few_labels"),
        (None, None, "few_labels"),
        (",".join(map(str, range(MAX_LABELS + 1))), "", "many_labels"),
        ("dog, water", "a dog", "bad_template"),
        ("dog, water", "{} and {}", "bad_template"),
        ("dog, water", "\n".join(f"{n} {{}}" for n in range(11)), "many_labels"),
        ("dog, water", "{} " + "w" * 999, "too_long"),
        ("dog, " + "w" * 999, "", "too_long"),
        ("zeppelin, qwertz", "", "none_known"),
    ],
)
def test_labels_that_cannot_be_answered(page, model, photo, labels, templates, message):
    answer = html.unescape(page.labels_for(model, photo, labels, templates, ENGLISH))
    assert "<li>" not in answer
    assert ENGLISH[message].partition("{")[0] in answer


def hostile_files(folder, photo):
    """Return files that are no pictures, or too much of one: name -> message's key."""
    whole = Path(photo).read_bytes()
    contents = {
        "text.jpg": b"not a picture",
        "empty.png": b"",
        "truncated.jpg": whole[: len(whole) // 2],
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
        "drawing.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage",
        "page.jpg": b"<html><script>alert(1)</script></html>" + whole,
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    # A few kilobytes that would unpack to 49 million and 400 million pixels.
    Image.new("1", (7000, 7000)).save(folder / "large.png")
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    found = dict.fromkeys(contents, "no_picture")
    return found | {"large.png": "too_many_pixels", "bomb.png": "too_many_pixels"}


def test_hostile_uploads_are_refused(page, model, photo, tmp_path):
    for name, message in hostile_files(tmp_path, photo).items():
        expected = ENGLISH[message].partition("{")[0]
        upload = str(tmp_path / name)
        for answer in (
            page.texts_for(model, "test", upload, ENGLISH),
            page.labels_for(model, upload, "dog, water", "", ENGLISH),
        ):
            assert expected in answer and "<li>" not in answer, name
    assert MAX_UPLOAD_PIXELS == 40_000_000
    answer = page.texts_for(model, "test", None, ENGLISH)
    assert ENGLISH["choose_picture"] in answer


def test_a_picture_drawn_over_itself_without_end_is_refused(page, model, tmp_path):
    path = tmp_path / "endless.jpg"
    Image.new("RGB", (64, 64), "red").save(path, progressive=True)
    content = path.read_bytes()
    assert "<li>" in page.texts_for(model, "test", str(path), ENGLISH)
    last = content.rindex(b"\xff\xda")
    path.write_bytes(content[:-2] + content[last:-2] * 200 + content[-2:])
    assert ENGLISH["no_picture"].partition("{")[0] in page.texts_for(
        model, "test", str(path), ENGLISH
    )


def test_a_polyglot_is_read_as_the_picture_that_it_is(page, model, photo, tmp_path):
    both = tmp_path / "both.html"
    both.write_bytes(Path(photo).read_bytes() + b"<script>alert(1)</script>")
    answer = page.texts_for(model, "test", str(both), ENGLISH)
    assert answer == page.texts_for(model, "test", photo, ENGLISH)
    assert "script" not in answer


def test_an_unknown_gallery_is_refused(page, model, photo):
    for name in ("nowhere", "../..", "/etc", None):
        for answer in (
            page.pictures_for(model, name, "a dog", ENGLISH),
            page.texts_for(model, name, photo, ENGLISH),
        ):
            assert ENGLISH["no_gallery"] in answer and "<li>" not in answer


def test_half_a_character_is_dropped(page, model, photo):
    answer = page.pictures_for(model, "test", "\ud800 a dog", ENGLISH)
    assert answer == page.pictures_for(model, "test", "a dog", ENGLISH)
    labels = page.labels_for(model, photo, "dog\udfff, water", "", ENGLISH)
    assert titles(labels) in (["dog", "water"], ["water", "dog"])


def test_an_upload_that_is_gone_is_asked_for_again(page, model, tmp_path):
    gone = str(tmp_path / "gone.jpg")
    assert ENGLISH["choose_picture"] in page.texts_for(model, "test", gone, ENGLISH)
    answer = page.labels_for(model, gone, "dog, water", "", ENGLISH)
    assert ENGLISH["choose_picture"] in answer


@pytest.fixture
def own(run_config, tiny_folder, tmp_path):
    """A model of one's own, and a folder of photos that it indexed."""
    models = shutil.copytree(run_config.model_dir, tmp_path / "models")
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("dog_001.jpg", "dog_002.jpg", "dog_003.jpg"):
        shutil.copy(tiny_folder / "images/dog" / name, folder / name)
    model = models / MODEL_FILE
    clip = Page.load([model]).galleries[str(model)]["all"][0].clip
    update_index(clip, folder)
    return str(model), folder


def test_a_folder_of_photos_is_a_gallery(own, photo):
    model, folder = own
    page = Page.load([model], [folder, f"{folder}/"])
    assert page.sizes(model)["photos/"] == 3
    assert str(folder) in page.folders
    answer = page.pictures_for(model, "photos/", "a dog", ENGLISH)
    assert "Best 3 of 3 pictures" in answer and answer.count("data:image/jpeg") == 3
    # Without a caption, a picture has the name of its file, and not its path.
    assert sorted(titles(answer)) == ["dog_001.jpg", "dog_002.jpg", "dog_003.jpg"]
    assert str(folder) not in answer
    answer = page.texts_for(model, "photos/", photo, ENGLISH)
    assert ENGLISH["no_captions"] in answer


def test_a_folder_that_was_not_indexed_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match="not indexed for this model"):
        Page.load([model], [tmp_path])


def test_nothing_outside_the_gallery_is_shown(own, tiny_folder, tmp_path):
    model, folder = own
    secret = tmp_path / "secret.jpg"
    shutil.copy(tiny_folder / "images/ball/ball_001.jpg", secret)
    clip = Page.load([model]).galleries[model]["all"][0].clip
    path = index_file(clip, folder)
    index = Index.load(path)
    # What was a picture when it was indexed leads out of the folder now.
    os.remove(folder / "dog_001.jpg")
    os.symlink(secret, folder / "dog_001.jpg")
    # And someone wrote another path into the index.
    items = index.items.assign(
        paths=[index.items["paths"][0], f"{folder}/../secret.jpg", "/etc/passwd"]
    )
    dataclasses.replace(index, items=items).save(path)
    page = Page.load([model], [folder])
    answer = page.pictures_for(model, "photos/", "a dog", ENGLISH)
    assert answer.count(ENGLISH["gone"]) == 3 and "data:" not in answer


def test_a_folder_cannot_take_the_place_of_a_part(own, tmp_path, monkeypatch):
    model, folder = own
    folder = folder.rename(tmp_path / "test")
    search = Page.load([model]).galleries[model]["all"][0]
    update_index(search.clip, folder)
    monkeypatch.chdir(tmp_path)
    sizes = Page.load([model], ["test"]).sizes(model)
    assert sizes["test/"] == 3 and sizes["test"] > 3


def test_examples_are_pictures_of_the_gallery(page, model, own):
    examples = page.examples(model)
    assert len(examples) == 3 and all(map(os.path.isfile, examples))
    mine, folder = own
    os.remove(folder / "dog_001.jpg")
    os.symlink("/etc/passwd", folder / "dog_001.jpg")
    galleries = Page.load([mine], [folder]).galleries[mine]
    page = Page({mine: {"photos/": galleries["photos/"]}})
    names = [os.path.basename(path) for path in page.examples(mine)]
    assert names == ["dog_002.jpg", "dog_003.jpg"]


def test_thumbnails_are_small_and_follow_the_file(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (2000, 1000), "red").save(path)
    index = Index(np.zeros((1, 2)), pd.DataFrame({"paths": [str(path)]}))
    thumbnails = Thumbnails.of(index)
    assert thumbnails.folder == tmp_path
    before = thumbnails.uri(str(path))
    assert before.startswith("data:image/jpeg;base64,") and len(before) < 20_000
    assert SIDE == 320
    Image.new("RGB", (2000, 1000), "blue").save(path)
    os.utime(path, ns=(1, 1))
    assert thumbnails.uri(str(path)) != before
    path.write_bytes(b"not a picture any more")
    assert thumbnails.uri(str(path)) == ""
    path.unlink()
    assert thumbnails.uri(str(path)) == ""


def test_captions_and_names_are_never_markup(tmp_path):
    evil = '<script> " onerror="alert(1)'
    Image.new("RGB", (8, 8)).save(tmp_path / evil, "PNG")
    answers = pd.DataFrame(
        {
            "rank": [1],
            "score": [0.5],
            "margin": [np.nan],
            "probability": [1.0],
            "paths": [str(tmp_path / evil)],
            "image_paths": [str(tmp_path / evil)],
            "captions": [evil],
            "labels": [evil],
        }
    )
    thumbnails = Thumbnails(tmp_path)
    for answer in (
        picture_cards(answers, 1, thumbnails, ENGLISH),
        text_rows(answers, 1, thumbnails, ENGLISH),
        label_rows(answers, FRENCH),
    ):
        assert "<script" not in answer and "&lt;script&gt;" in answer
        assert '" onerror=' not in answer
        assert "nan" not in answer
