"""Planted duplicates, swaps and wrong labels are found; nothing is deleted."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_folder
from PIL import Image, ImageOps

from clip_lib.data.captions_table import read_records
from clip_lib.evaluation.cleaning import (
    COLUMNS,
    find_suspicions,
    label_doubt,
    label_outliers,
    near_duplicates,
    off_topic_pairs,
)
from clip_lib.figures.contact_sheet import contact_sheet, write_clean
from clip_lib.retrieval.index import Index
from clip_lib.scenes import LABELS, draw_scenes

DOG, BIKE = 14, 46  # Rows of a sound pair each.


def unit(vectors):
    vectors = np.asarray(vectors, "float32")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make_indexes(folder):
    """Embed a folder by hand: a place for each label, a direction for each picture."""
    records = read_records(folder)
    paths = [str(folder / name) for name in records["image_path"]]
    random = np.random.default_rng(0)
    own = random.normal(0, 0.35, (len(records), 24))
    own[np.arange(len(records)), [LABELS.index(x) for x in records["label"]]] += 3
    captions = unit(own + random.normal(0, 0.1, own.shape))
    images = pd.DataFrame({"paths": paths, "labels": records["label"]})
    texts = pd.DataFrame(
        {
            "captions": records["caption"],
            "image_paths": paths,
            "labels": records["label"],
        }
    )
    return Index(unit(own), images), Index(captions, texts)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return draw_scenes(tmp_path_factory.mktemp("clean") / "scenes", per_label=15)


@pytest.fixture
def indexes(scenes):
    return make_indexes(scenes)


def swap_captions(texts, one, other):
    rows = np.arange(len(texts.embeds))
    rows[[one, other]] = other, one
    texts.embeds[:] = texts.embeds[rows]
    texts.items["captions"] = texts.items["captions"].to_numpy()[rows]


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


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_by_its_hash(scenes, tmp_path, change):
    paths = sorted(str(path) for path in scenes.glob("images/*/*_00*.jpg"))
    alter, quality = CHANGES[change]
    copy = str(tmp_path / "copy.jpg")
    alter(Image.open(paths[7])).save(copy, quality=quality)
    everything = pd.DataFrame({"paths": [*paths, copy]})
    embeds = unit(np.random.default_rng(0).normal(size=(len(everything), 64)))
    found = near_duplicates(Index(embeds, everything))
    assert found.iloc[0][["image_path", "other"]].tolist() == [copy, paths[7]]
    assert found.iloc[0]["found_by"] == "hash"
    assert found.iloc[0]["hash_agreement"] > 0.6


def test_two_measures_agree_or_differ(indexes, scenes, tmp_path):
    images, _ = indexes
    copy = str(tmp_path / "copy.jpg")
    Image.open(images.items["paths"][DOG]).save(copy, quality=50)
    items = pd.concat([images.items, pd.DataFrame({"paths": [copy]})])
    items = items.reset_index(drop=True)
    embeds = np.vstack([images.embeds, images.embeds[DOG]])
    embeds[20] = embeds[30]  # Two pictures that differ, embedded at one place.
    found = near_duplicates(Index(embeds, items), min_cosine=0.999)
    by = found.set_index(["image_path", "other"])["found_by"]
    assert by[copy, items["paths"][DOG]] == "both"
    assert by[items["paths"][30], items["paths"][20]] == "embedding"
    assert found["rank"].tolist() == list(range(1, len(found) + 1))
    assert found.iloc[0]["image_path"] == copy


def test_swapped_captions_come_first(indexes):
    images, texts = indexes
    swap_captions(texts, DOG, BIKE)
    table = off_topic_pairs(images, texts)
    paths = texts.items["image_paths"]
    assert set(table["image_path"][:2]) == {paths[DOG], paths[BIKE]}
    assert table["other"][0] in texts.items["captions"][[DOG, BIKE]].tolist()
    assert (table["similarity_z"][:2] < -1.5).all()
    assert table["score"].is_monotonic_decreasing and len(table) == 60


def test_a_swap_within_a_label_is_seen_by_clip(indexes):
    images, texts = indexes
    swap_captions(texts, DOG, DOG - 1)
    table = off_topic_pairs(images, texts).sort_values("similarity_z")
    assert set(table["image_path"][:2]) == set(images.items["paths"][[DOG, DOG - 1]])


def test_a_swap_that_clip_has_learned_is_betrayed_by_its_words(indexes):
    images, texts = indexes
    embeds = texts.embeds.copy()
    swap_captions(texts, DOG, BIKE)
    texts.embeds[:] = embeds
    rank = off_topic_pairs(images, texts).set_index("image_path")["rank"]
    # Of 60, and both cosines are far above the others.
    assert (rank[images.items["paths"][[DOG, BIKE]]] <= 10).all()


def test_both_directions_weigh_the_same(indexes):
    images, texts = indexes
    there = off_topic_pairs(images, texts).sort_values("image_path")
    back = off_topic_pairs(
        Index(texts.embeds, images.items), Index(images.embeds, texts.items)
    ).sort_values("image_path")
    assert np.allclose(there["similarity_z"], back["similarity_z"], atol=1e-4)


def test_similarity_is_judged_within_its_label(indexes):
    """A label whose pairs are all less alike is no more suspicious for it."""
    images, texts = indexes
    before = off_topic_pairs(images, texts).set_index("image_path")["similarity_z"]
    dogs = (images.items["labels"] == "dog").to_numpy()
    # A direction of its own, orthogonal to all: every cosine of a dog is halved.
    for index, column in ((images, 0), (texts, 1)):
        more = np.zeros((60, 2), "float32")
        more[dogs, column] = 1
        shrunk = np.where(dogs[:, None], index.embeds * 0.5**0.5, index.embeds)
        more *= 0.5**0.5
        object.__setattr__(index, "embeds", np.hstack([shrunk, more]))
    after = off_topic_pairs(images, texts).set_index("image_path")["similarity_z"]
    assert np.allclose(after, before[after.index], atol=1e-3)


def test_a_wrong_label_comes_first_with_the_right_one(indexes):
    images, texts = indexes
    for index in indexes:
        index.items.loc[DOG, "labels"] = "bike"
    first = label_outliers(images, texts, k=5).iloc[0]
    assert first["image_path"] == images.items["paths"][DOG]
    assert first["other"] == "dog" and first["rank"] == 1
    assert first["image_neighbours"] == first["text_neighbours"] == 1


def test_a_sound_table_has_no_stranger(indexes):
    table = label_outliers(*indexes, k=5)
    assert (table[["image_neighbours", "text_neighbours"]] == 0).all(axis=None)
    images, _ = indexes
    own = images.items.set_index("paths")["labels"]
    assert (table["other"] != own[table["image_path"]].to_numpy()).all()


def test_several_captions_make_one_outlier(indexes):
    images, texts = indexes
    items = pd.concat([texts.items, texts.items], ignore_index=True)
    twice = Index(np.vstack([texts.embeds, texts.embeds]), items)
    assert len(label_outliers(images, twice)) == 60
    assert len(off_topic_pairs(images, twice)) == 120


def test_captions_of_one_picture_do_not_vouch_for_each_other(indexes):
    """The same wrong label on all captions of a picture is still doubted."""
    _, texts = indexes
    texts.items.loc[DOG, "labels"] = "bike"
    once = label_doubt(texts)[0][DOG]
    items = pd.concat([texts.items] * 4, ignore_index=True)
    doubt, likely = label_doubt(Index(np.vstack([texts.embeds] * 4), items))
    assert doubt[DOG] > once - 0.1
    assert likely[DOG] == "dog"


def test_one_label_has_no_outlier_to_find(indexes):
    images, texts = indexes
    texts.items["labels"] = "dog"
    with pytest.raises(ValueError, match=r"'dog': 60.*expected two labels"):
        off_topic_pairs(images, texts)


def test_indexes_of_two_trainings_are_refused(indexes):
    images, texts = indexes
    texts.items.loc[5, "image_paths"] = "other.jpg"
    with pytest.raises(ValueError, match=r"other\.jpg: not in the image index"):
        label_outliers(images, texts)


def test_an_index_without_labels_is_refused(indexes):
    images, texts = indexes
    bare = Index(images.embeds, images.items[["paths"]])
    for detector in (off_topic_pairs, label_outliers):
        with pytest.raises(ValueError, match="an index has no labels: expected"):
            detector(bare, texts)


def test_suspicions_are_a_plain_csv(indexes, tmp_path):
    found = find_suspicions(*indexes, limit=4)
    assert found.columns.tolist() == COLUMNS
    found.to_csv(tmp_path / "suspicions.csv", index=False)
    again = pd.read_csv(tmp_path / "suspicions.csv")
    assert again.columns.tolist() == [
        "kind",
        "image_path",
        "other",
        "score",
        "rank",
        "reason",
    ]
    counts = again["kind"].value_counts()
    assert counts["off-topic pair"] == counts["label outlier"] == 4
    assert again.notna().all(axis=None)


def suspect(images, texts):
    paths, captions = images.items["paths"], texts.items["captions"]
    rows = [
        ("near-duplicate", paths[1], paths[0], 0.9, 1, ""),
        ("off-topic pair", paths[4], captions[4], 0.9, 1, ""),
        ("off-topic pair", paths[5], "another caption of it", 0.9, 1, ""),
        ("label outlier", paths[7], "bike", 0.9, 1, ""),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_the_cleaned_copy_leaves_the_original_alone(indexes, scenes, tmp_path):
    before = (scenes / "captions.csv").read_bytes()
    assert write_clean(scenes, suspect(*indexes), tmp_path / "clean.csv") == 3
    assert (scenes / "captions.csv").read_bytes() == before
    (tmp_path / "captions.csv").write_bytes((tmp_path / "clean.csv").read_bytes())
    expected = read_records(scenes).drop(index=[1, 4, 7]).reset_index(drop=True)
    assert read_records(tmp_path).equals(expected)


def test_the_original_is_never_written_over(indexes, scenes, tmp_path, monkeypatch):
    before = (scenes / "captions.csv").read_bytes()
    (tmp_path / "link.csv").symlink_to(scenes / "captions.csv")
    monkeypatch.chdir(scenes.parent)
    for path in (
        scenes / "captions.csv",
        scenes / "images" / ".." / "captions.csv",
        Path("scenes/captions.csv"),
        tmp_path / "link.csv",
    ):
        with pytest.raises(ValueError, match=r"csv: the original, expected another"):
            write_clean(scenes, suspect(*indexes), path)
    assert (scenes / "captions.csv").read_bytes() == before


def test_suspicions_of_another_folder_are_refused(indexes, scenes, tmp_path):
    found = suspect(*indexes).assign(image_path="elsewhere/a.jpg")
    with pytest.raises(ValueError, match=r"elsewhere/a\.jpg: a suspicion, but not in"):
        write_clean(scenes, found, tmp_path / "clean.csv")
    assert not (tmp_path / "clean.csv").exists()


def test_the_contact_sheet_shows_scores_and_reasons(indexes, tmp_path):
    import matplotlib.pyplot as plt

    images, texts = indexes
    found = suspect(images, texts)
    found.loc[1, "other"] = "costs $5 or $6"
    figure = contact_sheet(found, images, per_kind=2)
    figure.savefig(tmp_path / "sheet.png")
    shown = [axes for axes in figure.axes if axes.images]
    assert len(figure.axes) == 6 and len(shown) == 4
    assert shown[0].get_title() == "n° 1   score 0.900"
    assert r"\$5 or \$6" in shown[1].get_xlabel().replace("\n", " ")
    reason = shown[3].get_xlabel().replace("\n", " ")
    assert reason == "étiquette dog, plutôt bike\u00a0?"
    empty = contact_sheet(found[found["kind"] == "label outlier"], images, 2)
    assert [text.get_text() for text in empty.axes[0].texts] == ["rien trouvé"]
    plt.close("all")


def test_the_benchmark_plants_what_it_says(tmp_path):
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    from cleaning import plant

    source = make_folder(tmp_path / "sound", per_label=25)
    truth = plant(source, tmp_path / "faulty", seed=3)
    sound = read_records(source).set_index("image_path")
    faulty = read_records(tmp_path / "faulty")
    assert truth["fault"].value_counts().to_dict() == {
        "swapped": 30,
        "foreign": 30,
        "copy": 20,
        "": 40,
    }
    assert faulty.equals(truth[faulty.columns])
    for row in truth.itertuples():
        assert (tmp_path / "faulty" / row.image_path).is_file()
        origin = sound.loc[row.original or row.image_path]
        assert (row.caption != origin["caption"]) == (row.fault == "swapped")
        assert (row.label != origin["label"]) == (row.fault == "foreign")
