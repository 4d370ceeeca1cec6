"""Planted duplicates, swaps and wrong labels are found; nothing is deleted."""

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from clip_lib.data.captions_table import read_records
from clip_lib.errors import ClipError
from clip_lib.evaluation import cleaning
from clip_lib.evaluation.cleaning import (
    find_suspicions,
    label_doubt,
    label_outliers,
    near_duplicates,
    off_topic_pairs,
    write_clean,
)
from clip_lib.retrieval.index import Index
from clip_lib.scenes.folder import LABELS, draw_scenes

DOG, BIKE = 14, 46  # Rows of a sound pair each.


def unit(vectors):
    vectors = np.asarray(vectors, "float32")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return draw_scenes(tmp_path_factory.mktemp("clean") / "scenes", per_label=15)


@pytest.fixture
def indexes(scenes):
    """A place for each label, a direction for each picture."""
    records = read_records(scenes)
    paths = [str(scenes / name) for name in records["image_path"]]
    random = np.random.default_rng(0)
    own = random.normal(0, 0.35, (len(records), 24))
    own[np.arange(len(records)), [LABELS.index(x) for x in records["label"]]] += 3
    captions = unit(own + random.normal(0, 0.1, own.shape))
    images = pd.DataFrame({"paths": paths, "labels": records["label"]})
    texts = images.rename(columns={"paths": "image_paths"})
    texts["captions"] = records["caption"]
    return Index(unit(own), images), Index(captions, texts)


def swap_captions(texts, one, other):
    rows = np.arange(len(texts.embeds))
    rows[[one, other]] = other, one
    texts.embeds[:] = texts.embeds[rows]
    texts.items["captions"] = texts.items["captions"].to_numpy()[rows]


def repeated(texts, times):
    items = pd.concat([texts.items] * times, ignore_index=True)
    return Index(np.vstack([texts.embeds] * times), items)


def crop(picture):
    width, height = picture.size
    return picture.crop((2, 9, round(0.9 * width), round(0.95 * height)))


CHANGES = {
    "again at low quality": (lambda picture: picture, 20),
    "mirrored": (ImageOps.mirror, 90),
    "cropped": (crop, 90),
    "mirrored and cropped": (lambda picture: crop(ImageOps.mirror(picture)), 50),
    "smaller": (lambda picture: picture.resize((90, 90)), 90),
}


def test_changed_copies_are_found_by_their_hash(scenes, tmp_path):
    paths = sorted(str(path) for path in scenes.glob("images/*/*_00*.jpg"))
    expected = set()
    for number, (alter, quality) in enumerate(CHANGES.values()):
        copy, original = str(tmp_path / f"{number}.jpg"), paths[5 * number]
        alter(Image.open(original)).save(copy, quality=quality)
        expected.add((copy, original))
    everything = [*paths, *sorted(copy for copy, _ in expected)]
    embeds = unit(np.random.default_rng(0).normal(size=(len(everything), 64)))
    found = near_duplicates(Index(embeds, pd.DataFrame({"paths": everything})))
    best = found.head(len(CHANGES))
    pairs = set(zip(best["image_path"], best["other"], strict=True))
    assert pairs == expected and (best["hash_agreement"] > 0.6).all()
    assert found["rank"].tolist() == list(range(1, len(found) + 1))
    row = found.iloc[0]
    place = {path: row for row, path in enumerate(everything)}
    cosine = embeds[place[row["image_path"]]] @ embeds[place[row["other"]]]
    assert row["cosine"] == pytest.approx(cosine, abs=1e-6)


def test_swapped_captions_come_first(indexes):
    images, texts = indexes
    swap_captions(texts, DOG, BIKE)
    table = off_topic_pairs(images, texts)
    paths = texts.items["image_paths"]
    assert set(table["image_path"][:2]) == {paths[DOG], paths[BIKE]}
    assert table["other"][0] in texts.items["captions"][[DOG, BIKE]].tolist()
    assert (table["similarity_z"][:2] < -1.5).all()
    assert table["score"].is_monotonic_decreasing and len(table) == 60
    # Within a label, words see nothing, but CLIP does.
    swap_captions(texts, DOG, BIKE)
    swap_captions(texts, DOG, DOG - 1)
    table = off_topic_pairs(images, texts).sort_values("similarity_z")
    assert set(table["image_path"][:2]) == set(paths[[DOG, DOG - 1]])


def test_a_cosine_is_judged_among_those_of_its_label_in_both_directions(indexes):
    images, texts = indexes
    cosines = images.embeds @ texts.embeds.T
    labels = images.items["labels"].to_numpy()
    expected = []
    for row, label in enumerate(labels):
        for scores in (cosines[row], cosines[:, row]):
            same = scores[labels == label]
            expected.append((cosines[row, row] - same.mean()) / same.std())
    expected = np.reshape(expected, (-1, 2)).mean(axis=1)
    found = off_topic_pairs(images, texts).set_index("image_path")["similarity_z"]
    assert np.allclose(found[images.items["paths"]], expected, atol=1e-3)


def test_a_wrong_label_comes_first_with_the_right_one(indexes):
    _, texts = indexes
    sound = label_outliers(texts)
    own = texts.items.set_index("image_paths")["labels"]
    assert (sound["other"] != own[sound["image_path"]].to_numpy()).all()
    texts.items.loc[DOG, "labels"] = "bike"
    first = label_outliers(texts).iloc[0]
    assert first["image_path"] == texts.items["image_paths"][DOG]
    assert first["other"] == "dog" and first["rank"] == 1


def test_captions_of_one_picture_do_not_vouch_for_each_other(indexes):
    """The same wrong label on all captions of a picture is still doubted."""
    images, texts = indexes
    texts.items.loc[DOG, "labels"] = "bike"
    once = label_doubt(texts)[0][DOG]
    doubt, likely = label_doubt(repeated(texts, 4))
    assert doubt[DOG] > once - 0.1
    assert likely[DOG] == "dog"
    assert len(label_outliers(repeated(texts, 2))) == 60
    assert len(off_topic_pairs(images, repeated(texts, 2))) == 120


def test_memory_grows_with_the_pictures_and_not_with_their_square(monkeypatch):
    """One table of all pairs takes 4 MB here, and some twenty were held at once."""
    count, random = 700, np.random.default_rng(0)
    paths, labels = (
        [f"{row}.jpg" for row in range(count)],
        random.choice([*"abcd"], count),
    )
    items = pd.DataFrame({"paths": paths, "labels": labels})
    images = Index(unit(random.normal(size=(count, 32))), items)
    items = items.rename(columns={"paths": "image_paths"}).assign(captions="a caption")
    texts = Index(unit(random.normal(size=(count, 32))), items)
    views = {path: random.random((20, 144)) < 0.5 for path in paths}
    views[paths[-1]] = views[paths[5]]
    doubt = np.linspace(0.1, 0.9, count)
    monkeypatch.setattr(cleaning, "hash_views", views.get)
    monkeypatch.setattr(cleaning, "label_doubt", lambda texts: (doubt, labels))
    tracemalloc.start()
    found = find_suspicions(images, texts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6, f"{peak / 1e6:.0f} MB"  # Of which the hashes are 8.
    assert found[["image_path", "other"]].iloc[0].tolist() == [paths[-1], paths[5]]


def test_what_cannot_be_judged_is_refused(indexes):
    images, texts = indexes
    bare = Index(texts.embeds, texts.items.drop(columns="labels"))
    for detect in (label_outliers, lambda texts: off_topic_pairs(images, texts)):
        with pytest.raises(ClipError, match="an index has no labels: expected"):
            detect(bare)
    strange = texts.items.assign(image_paths="other.jpg")
    with pytest.raises(ClipError, match=r"other\.jpg: .* not in the image index"):
        off_topic_pairs(images, Index(texts.embeds, strange))
    texts.items["labels"] = "dog"
    with pytest.raises(ClipError, match=r"'dog': 60.*expected two labels"):
        off_topic_pairs(images, texts)


@pytest.fixture
def suspicions(indexes):
    paths, captions = indexes[0].items["paths"], indexes[1].items["captions"]
    rows = [
        ("near-duplicate", paths[1], paths[0], 0.9, 1),
        ("off-topic pair", paths[4], captions[4], 0.9, 1),
        ("off-topic pair", paths[5], "another caption of it", 0.9, 1),
        ("label outlier", paths[7], "bike", 0.9, 1),
    ]
    return pd.DataFrame(rows, columns=["kind", "image_path", "other", "score", "rank"])


def test_the_cleaned_copy_leaves_the_original_alone(suspicions, scenes, tmp_path):
    before = (scenes / "captions.csv").read_bytes()
    assert write_clean(scenes, suspicions, tmp_path / "captions.csv") == 3
    assert (scenes / "captions.csv").read_bytes() == before
    expected = read_records(scenes).drop(index=[1, 4, 7]).reset_index(drop=True)
    assert read_records(tmp_path).equals(expected)


def test_the_original_is_never_written_over(suspicions, scenes, tmp_path, monkeypatch):
    before = (scenes / "captions.csv").read_bytes()
    (tmp_path / "link.csv").symlink_to(scenes / "captions.csv")
    monkeypatch.chdir(scenes.parent)
    for path in (
        scenes / "images" / ".." / "captions.csv",
        Path("scenes/captions.csv"),
        tmp_path / "link.csv",
    ):
        with pytest.raises(ClipError, match=r"csv: this is the original captions"):
            write_clean(scenes, suspicions, path)
    assert (scenes / "captions.csv").read_bytes() == before


def test_a_list_that_does_not_fit_is_refused(suspicions, scenes, tmp_path):
    path = tmp_path / "clean.csv"
    with pytest.raises(ClipError, match=r"elsewhere/a\.jpg: a suspicion, but not in"):
        write_clean(scenes, suspicions.assign(image_path="elsewhere/a.jpg"), path)
    with pytest.raises(ClipError, match="expected the columns of a list"):
        write_clean(scenes, suspicions[["image_path"]], path)
    assert not path.exists()
