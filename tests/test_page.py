"""What the search page answers, without a server."""

import dataclasses
import html
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from clip_lib.errors import ClipError
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import IMAGE_INDEX_FILE, MODEL_FILE, TEXT_INDEX_FILE
from clip_lib.retrieval.zero_shot import label_index
from clip_lib.web.cards import answer_list
from clip_lib.web.page import MAX_CHARACTERS, Page
from clip_lib.web.thumbnails import Thumbnails
from clip_lib.web.words import ENGLISH, FRENCH, number, percent, words_for


@pytest.fixture
def models(run_config, tmp_path):
    """A model's folder of one's own, to be changed."""
    return shutil.copytree(run_config.model_dir, tmp_path / "models")


@pytest.fixture
def photos(tiny_folder, tmp_path):
    """A folder of photos without captions."""
    return shutil.copytree(tiny_folder / "images/dog", tmp_path / "photos")


def titles(answer):
    return [html.unescape(one) for one in re.findall(r"<p>\d+\. (.*?)</p>", answer)]


def sizes(page):
    return {name: len(one.images.items) for name, (one, *_) in page.galleries.items()}


def test_the_browser_names_the_language():
    for accepted in ("fr-FR,fr;q=0.9,en;q=0.8", "fr;q=0.9", "FR"):
        assert words_for(accepted) is FRENCH
    for accepted in ("en-US,fr;q=0.5", "frr", None):
        assert words_for(accepted) is ENGLISH


def test_each_language_says_the_same_in_its_own_numbers():
    for key, english in ENGLISH.items():
        assert english.count("{}") == FRENCH[key].count("{}")
    assert number(-0.5, 1, FRENCH) == "\u22120,5" and number(-1e-9, 1, FRENCH) == "0,0"
    assert percent(0.219, ENGLISH) == "21.9%"
    assert percent(0.219, FRENCH) == "21,9\u00a0%"


def test_a_text_gets_the_five_pictures_that_search_finds(page):
    search, *_ = page.galleries["train"]
    expected = search.images_for("a dog on the grass", 5, "all")
    answer = page.pictures_for("train", " a dog on the grass ", ENGLISH)
    captions = search.texts.items.set_index("image_paths")["captions"]
    assert titles(answer) == [captions[path] for path in expected["paths"]]
    assert answer.count('src="data:image/jpeg;base64,') == 5
    best = expected.iloc[0]
    assert f"<span>score {best['score']:.3f}</span>" in answer
    assert f"<span>margin {best['margin']:.3f}</span>" in answer
    assert f"<span>{best['probability']:.1%}</span>" in answer
    assert f"Best 5 of {len(search.images.items)}" in answer
    answer = page.pictures_for("train", "a dog", FRENCH)
    assert "Les 5 meilleures réponses" in answer and "marge 0," in answer


def test_more_answers_and_pictures_like_one(page):
    search, shown, _ = page.galleries["all"]
    answer = page.pictures_for("all", "a dog", ENGLISH, k=15)
    assert len(titles(answer)) == 15 and 'data-do="more"' in answer
    answer = page.pictures_for("all", "a dog", ENGLISH, k=10**9)
    assert len(titles(answer)) == 48 and 'data-do="more"' not in answer
    path = search.images.items["paths"][7]
    name = shown.name(path)
    assert re.fullmatch(r"\w+/\w+_\d{3}\.jpg", name)
    answer = page.pictures_for("all", "", ENGLISH, like=name)
    assert f"Similar to {name}: 5 of 47" in answer
    nearest = search.images.search(search.images.embeds[7], 6).iloc[1:]
    captions = search.texts.items.set_index("image_paths")["captions"]
    assert titles(answer) == [captions[path] for path in nearest["paths"]]
    # Each leads to a larger view, to the file, its path, and pictures like it.
    for found in (shown.name(nearest["paths"].iloc[0]), nearest["paths"].iloc[0]):
        assert html.escape(found) in html.unescape(answer)
    for name in ("dog_001.jpg", "../../etc/passwd", "", "a\0b"):
        assert page.file("all", name) is None
    with pytest.raises(ClipError, match=re.escape(ENGLISH["gone"])):
        page.pictures_for("all", "", ENGLISH, like="gone.jpg")
    with pytest.raises(ClipError, match="no such gallery here: nowhere"):
        page.pictures_for("nowhere", "a dog", ENGLISH)


def test_questions_combine_and_what_cannot_be_answered_is_said(page, monkeypatch):
    search, *_ = page.galleries["all"]
    question = "dog + the grass - dogword1"
    expected = search.images_for(question, 5, "all")["paths"]
    captions = search.texts.items.set_index("image_paths")["captions"]
    answer = page.pictures_for("all", question, ENGLISH)
    assert titles(answer) == [captions[path] for path in expected]
    for text in ("dog + ", "- dog", "the", "999 * dog"):
        with pytest.raises(ClipError, match=re.escape(FRENCH["no_meaning"])):
            page.pictures_for("all", text, FRENCH)
    with pytest.raises(ClipError, match="The model never saw: zeppelin"):
        page.pictures_for("all", "dog - zeppelin", ENGLISH)
    # A path is words like others.
    path = search.images.items["paths"][0]
    assert "The model never saw" in page.pictures_for("all", path, ENGLISH)
    answer = page.pictures_for("all", "a dog without grass", ENGLISH)
    assert "“without grass”: the model looks for it all the same." in answer
    for fit in (True, False):
        monkeypatch.setattr("clip_lib.web.page.fits", lambda *given, fit=fit: fit)
        answer = page.pictures_for("all", "a dog", ENGLISH)
        assert (ENGLISH["no_fit"] in answer) is not fit


def test_a_text_without_a_known_word_is_refused(page, vectorizer):
    for words in (ENGLISH, FRENCH):
        expected = words["none_known"].format(vectorizer.vocabulary_size() - 2)
        for text in ("zeppelin qwertz", "..."):
            with pytest.raises(ClipError, match=re.escape(expected)):
                page.pictures_for("test", text, words)
    assert page.pictures_for("test", " \n", ENGLISH) == ""


def test_a_text_is_a_strangers(page):
    answer = page.pictures_for("test", "<b>zeppelin</b> dog", ENGLISH)
    assert "<b>" not in answer and "b, zeppelin" in answer
    # Half a character is dropped, and a text without end is cut.
    answer = page.pictures_for("test", "\ud800 a dog", ENGLISH)
    assert answer == page.pictures_for("test", "a dog", ENGLISH)
    answer = page.pictures_for("test", "dog " * MAX_CHARACTERS + "zeppelin", ENGLISH)
    assert "zeppelin" not in answer and "<li>" in answer
    cut = ENGLISH["cut"].format(
        page.galleries["test"].search.clip.vectorizer.sequence_length
    )
    assert cut in answer and cut not in page.pictures_for("test", "a dog", ENGLISH)


def test_a_picture_gets_the_five_texts_that_search_finds(page, photo):
    search, *_ = page.galleries["all"]
    answer = page.texts_for("all", photo, "", ENGLISH)
    assert titles(answer)[:5] == search.texts_for(photo, 5, "all")["captions"].tolist()
    # Beside them, similar pictures, but not the same one.
    assert answer.count('src="data:image/jpeg;base64,') == 10
    similar = answer[answer.index("Similar pictures: 5 of 48") :]
    captions = search.texts.items.set_index("image_paths")["captions"]
    expected = search.images_like(photo, 5, "all")["paths"]
    assert titles(similar) == [captions[path] for path in expected]
    assert "clip-bar" not in similar  # A probability would mean nothing.
    assert page.texts_for("all", None, "", ENGLISH) == ""


def test_a_picture_gets_its_labels(page, photo):
    clip = page.galleries["test"][0].clip
    answer = page.texts_for("test", photo, "dog, water ,dog,, the  grass", ENGLISH)
    index = label_index(clip, ["dog", "water", "the grass"])
    expected = index.search(clip.embed_image(photo), 3, clip.temperature)
    assert titles(answer)[:3] == expected["labels"].tolist()
    assert f"{expected['probability'][0]:.1%}" in answer
    # A label without a known word comes last, without a number.
    answer = page.texts_for("test", photo, "zeppelin, dog, water", ENGLISH)
    assert "The model never saw: zeppelin." in answer
    labels = answer[answer.index("Best 3 of 3") : answer.index("Similar pictures")]
    assert sorted(titles(labels)) == ["dog", "water"] and labels.count("score") == 2
    assert "<p>zeppelin</p></div></li></ol>" in labels
    for labels, message in (("dog", "few_labels"), ("zeppelin, qwertz", "none_known")):
        with pytest.raises(ClipError, match=ENGLISH[message].partition("{")[0]):
            page.texts_for("test", photo, labels, ENGLISH)


def test_hostile_uploads_are_refused(page, photo, tmp_path):
    whole = Path(photo).read_bytes()
    contents = {
        "text.jpg": b"not a picture",
        "truncated.jpg": whole[: len(whole) // 2],
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
        "drawing.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage",
        "page.jpg": b"<html><script>alert(1)</script></html>" + whole,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    # A few kilobytes that would unpack to 49 million and 400 million pixels.
    Image.new("1", (7000, 7000)).save(tmp_path / "large.png")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    # A picture drawn over itself without end: its last scan, two hundred times.
    endless = tmp_path / "endless.jpg"
    Image.new("RGB", (64, 64), "red").save(endless, progressive=True)
    content = endless.read_bytes()
    scan = content[content.rindex(b"\xff\xda") : -2]
    endless.write_bytes(content[:-2] + scan * 200 + content[-2:])
    expected = "cannot be read as a picture. Choose one of at most 40 million pixels"
    for name in (*contents, "large.png", "bomb.png", "endless.jpg", "gone.jpg"):
        with pytest.raises(ClipError, match=expected):
            page.texts_for("test", str(tmp_path / name), "", ENGLISH)


def test_galleries_are_folders_then_the_splits(models, photos, photo, capsys):
    (photos / "broken.jpg").write_bytes(b"")
    folder = photos.rename(photos.with_name("test"))
    page = Page.load([models / MODEL_FILE], [folder])
    assert list(sizes(page)) == ["test/", "test", "validation", "train", "all"]
    assert sizes(page)["test/"] == 12 and sizes(page)["all"] == 48
    assert "broken.jpg" in capsys.readouterr().err
    assert str(folder) in page.folders
    answer = page.pictures_for("test/", "a dog", ENGLISH)
    # Without a caption, a picture has the name of its file.
    assert set(titles(answer)) < {path.name for path in folder.iterdir()}
    answer = page.texts_for("test/", photo, "", ENGLISH)
    assert len(titles(answer)) == 5 and "Similar pictures" in answer


def test_models_without_pictures_of_their_own_search_the_data(
    models, tiny_config, tiny_folder, tmp_path, monkeypatch, photo
):
    for name in (IMAGE_INDEX_FILE, TEXT_INDEX_FILE):
        os.remove(models / name)
    monkeypatch.chdir(tmp_path)
    pretrained = shutil.copytree(models, tmp_path / "models/pretrained") / MODEL_FILE
    page = Page.load([models / MODEL_FILE, pretrained], config=tiny_config)
    names = [f"tiny/ · {models / MODEL_FILE}", "tiny/ · pretrained"]
    assert sizes(page) == dict.fromkeys(names, 48)
    assert page.folders == [str(tiny_folder)]
    for name in names:
        answer = page.texts_for(name, photo, "", ENGLISH)
        assert answer.count('src="data:image/jpeg;base64,') == 10
    # The shipped weights are named in words.
    shown = [label for label, _ in page.choices(FRENCH)[0]]
    assert shown[1] == f"tiny/ · {FRENCH['pretrained']} · 48 images"
    assert Page.load([pretrained], config=tiny_config).choices(ENGLISH) == (
        [("tiny/ · 48 pictures", "tiny/")],
        "Model trained on Flickr8k, photographs from 2010.",
    )
    with pytest.raises(ClipError, match="nowhere: no such folder"):
        Page.load([models / MODEL_FILE], ["nowhere"])


def test_nothing_outside_the_gallery_is_shown(models, photos, tiny_folder, tmp_path):
    secret = tmp_path / "secret.jpg"
    shutil.copy(tiny_folder / "images/ball/ball_001.jpg", secret)
    page = Page.load([models / MODEL_FILE], [photos])
    # What were pictures when they were indexed lead out of the folder now.
    for path in photos.iterdir():
        path.unlink()
        path.symlink_to(secret)
    answer = page.pictures_for("photos/", "a dog", ENGLISH)
    assert answer.count(ENGLISH["gone"]) == 5 and "data:" not in answer
    assert page.examples() == []
    assert page.file("photos/", "dog_001.jpg") is None
    thumbnails = Thumbnails(photos)
    for path in (f"{photos}/../secret.jpg", "/etc/passwd", "a\0b", ""):
        assert thumbnails.uri(path) == ""
    # Nor does an index that came with a model say itself what may be shown.
    index = Index.load(models / IMAGE_INDEX_FILE)
    items = index.items.assign(paths=["/etc/passwd", *index.items["paths"][1:]])
    dataclasses.replace(index, items=items).save(models / IMAGE_INDEX_FILE)
    with pytest.raises(ClipError, match="pictures from all over /:"):
        Page.load([models / MODEL_FILE])


def test_thumbnails_are_small_and_follow_the_file(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (2000, 1000), "red").save(path)
    thumbnails = Thumbnails(tmp_path)
    before = thumbnails.uri(str(path))
    assert before.startswith("data:image/jpeg;base64,") and len(before) < 20_000
    Image.new("RGB", (2000, 1000), "blue").save(path)
    os.utime(path, ns=(1, 1))
    assert thumbnails.uri(str(path)) != before
    path.write_bytes(b"not a picture any more")
    assert thumbnails.uri(str(path)) == ""


def test_captions_and_names_are_never_markup(tmp_path):
    evil = '<script> " onerror="alert(1)'
    Image.new("RGB", (8, 8)).save(tmp_path / evil, "PNG")
    row = {"rank": 1, "score": 0.5, "margin": float("nan"), "probability": 1.0}
    answers = pd.DataFrame([row | {"text": evil, "picture": str(tmp_path / evil)}])
    shown = Thumbnails(tmp_path)
    answer = answer_list(answers, evil, shown, evil, ENGLISH, "clip-cards")
    assert "<img" in answer and "&lt;script&gt;" in answer
    assert "<script" not in answer and '" onerror=' not in answer
    assert "nan" not in answer
