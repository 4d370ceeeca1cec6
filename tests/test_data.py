"""Reading, checking and splitting a data folder."""

import dataclasses

import pandas as pd
import pytest
from conftest import make_folder
from sklearn.model_selection import train_test_split

from clip_lib.data.captions_table import read_records
from clip_lib.data.dataset import load_dataset
from clip_lib.data.split import split_records
from clip_lib.errors import ClipError

HEADING = "image_path,label,caption\n"


def write_csv(folder, text, encoding="utf-8"):
    (folder / "captions.csv").write_bytes(text.encode(encoding))
    return folder


def write_texts(folder, texts, pictures):
    """Write captions/<name> -> bytes, and the empty files images/<path>."""
    for name, content in texts.items():
        (folder / "captions").mkdir(exist_ok=True)
        (folder / "captions" / name).write_bytes(content)
    for name in pictures:
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / name).touch()


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ('a.jpg,dog,"A ""dog"", running ."\n', ["a.jpg", "dog", 'A "dog", running .']),
        ("./b/../a.jpg,None,NA\n", ["a.jpg", "None", "NA"]),
        ("\r\na\\b.jpg, dog ,Two\r\n", ["a/b.jpg", "dog", "Two"]),
        (
            'a.jpg,my  dog,"A dog\r\n  runs\u2028."\n',
            ["a.jpg", "my dog", "A dog runs ."],
        ),
    ],
)
def test_a_table_is_read_as_it_was_meant(tmp_path, text, record):
    records = read_records(write_csv(tmp_path, "\ufeff" + HEADING + text))
    assert list(records.columns) == ["image_path", "label", "caption"]
    assert records.to_numpy().tolist() == [record]


OUTSIDE = ("/etc/a.jpg", "//host/a.jpg", "b/../../a.jpg", "..", "C:\\a.jpg", "a\0.jpg")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"captions\.csv: not exactly one column image_path, caption"),
        (HEADING, r"captions\.csv: no row"),
        (HEADING[:-1] + ",caption\na,b,c,d\n", "not exactly one column caption"),
        (HEADING + "a.jpg,dog,one\nb.jpg,dog,\n", "line 3: no caption"),
        (
            HEADING + "a.jpg,dog,A dog, running .\n",
            "line 2: 4 fields, expected 3.*quotes",
        ),
        (HEADING + 'a.jpg,dog,"open\n', "not a CSV file"),
        (
            HEADING + 'b.jpg,dog,x\n"a\nb.jpg",dog,x\n',
            r"line 4: image_path 'a\\nb\.jpg'",
        ),
        (HEADING + "a.jpg,dog,caf\xe9\n", "UTF-8"),
        ('"image\npath",' + "x" * 9_999 + "\na,b\n", "not exactly one column"),
        *(
            (f"{HEADING}{name},dog,x\n", "not inside the data folder")
            for name in OUTSIDE
        ),
    ],
)
def test_a_bad_table_is_refused_in_one_sentence(tmp_path, text, message):
    with pytest.raises(ClipError, match=message) as error:
        read_records(write_csv(tmp_path, text, "latin-1"))
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_without_a_table_the_texts_are_read(tmp_path):
    with pytest.raises(ClipError, match=r"captions\.csv: no such file"):
        read_records(tmp_path)
    texts = {
        "dog_1.txt": b"\xef\xbb\xbfA dog .\r\n\r\nA dog,  asleep .",
        "cat 1.txt": "Un café .\n".encode(),
        "._cat 1.txt": b"\xff what macOS adds",
    }
    write_texts(tmp_path, texts, ["dog/dog_1.WEBP", "dog/dog_2.jpg", "cat/cat 1.gif"])
    (tmp_path / "images/dog/dog_1.json").write_text("no picture")
    assert read_records(tmp_path).to_numpy().tolist() == [
        ["images/cat/cat 1.gif", "cat", "Un café ."],
        ["images/dog/dog_1.WEBP", "dog", "A dog ."],
        ["images/dog/dog_1.WEBP", "dog", "A dog, asleep ."],
    ]
    write_csv(tmp_path, HEADING + "images/dog/dog_1.WEBP,dog,of the table\n")
    assert read_records(tmp_path)["caption"].tolist() == ["of the table"]


@pytest.mark.parametrize(
    ("content", "pictures", "message"),
    [
        (b"A dog .", ["a.jpg"], r"a\.txt: 0 pictures"),
        (b"A dog .", ["dog/a.jpg", "cat/a.png"], r"a\.txt: 2 pictures"),
        (b" \n\n", ["dog/a.jpg"], r"a\.txt: no caption"),
        (b"caf\xe9", ["dog/a.jpg"], r"a\.txt: not text in UTF-8"),
    ],
)
def test_a_bad_text_is_refused_by_name(tmp_path, content, pictures, message):
    write_texts(tmp_path, {"a.txt": content}, pictures)
    with pytest.raises(ClipError, match=message):
        read_records(tmp_path)


@pytest.fixture(scope="module")
def many_records():
    """Of each of 4 labels 150 pictures, with one to three captions in any order."""
    rows = [
        (f"{label}{n}.jpg", label, f"caption {k}")
        for label in "abcd"
        for n in range(150)
        for k in range(1 + n % 3)
    ]
    records = pd.DataFrame(rows, columns=["image_path", "label", "caption"])
    return records.sample(frac=1, random_state=0, ignore_index=True)


def test_the_split_is_by_picture_and_that_of_the_seed(many_records, tiny_config):
    split = split_records(many_records, tiny_config)
    assert split.drop(columns="split").equals(many_records)
    assert (split.groupby("image_path")["split"].nunique() == 1).all()
    # The very one of scikit-learn: numbers published for a seed stay reproducible.
    pictures = many_records.drop_duplicates("image_path")["image_path"]
    labels, seed = pictures.str[0], tiny_config.seed
    rest, test = train_test_split(
        pictures, test_size=0.15, stratify=labels, random_state=seed
    )
    validation = train_test_split(
        rest, test_size=90, stratify=labels[rest.index], random_state=seed
    )[1]
    for part, expected in (("test", test), ("validation", validation)):
        assert set(split.loc[split["split"] == part, "image_path"]) == set(expected)


def test_each_picture_is_tested_in_one_fold(many_records, tiny_config):
    tested = []
    for fold in range(5):
        split = split_records(many_records, tiny_config, (fold, 5))
        assert (split.groupby("image_path")["split"].nunique() == 1).all()
        pictures = split.drop_duplicates("image_path")
        counts = pictures.groupby(["split", "label"]).size()
        assert counts["test"].tolist() == [30] * 4
        assert sorted(counts["validation"]) == [22, 22, 23, 23]
        tested += pictures.loc[pictures["split"] == "test", "image_path"].tolist()
    assert sorted(tested) == sorted(set(many_records["image_path"]))
    seeded = dataclasses.replace(tiny_config, seed=99)
    other = split_records(many_records, seeded, (4, 5))
    assert not split["split"].equals(other["split"])


def test_more_folds_than_pictures_of_a_label_are_refused(tiny_config):
    with pytest.raises(ClipError, match="'ball': 12 pictures, expected at least 13"):
        load_dataset(tiny_config, fold=(0, 13))


def test_a_picture_with_two_labels_is_named(tiny_folder, tiny_config):
    records = read_records(tiny_folder)
    records.loc[len(records)] = [records["image_path"][0], "water", "x"]
    with pytest.raises(ClipError, match=r"ball_001\.jpg: two labels"):
        split_records(records, tiny_config)


def test_a_data_set_numbers_its_labels_and_counts_a_picture_once(tiny_config):
    dataset = load_dataset(tiny_config, fold=(0, 4))
    assert dataset.class_names == ("ball", "bike", "dog", "water")
    rows = dataset.test
    assert [dataset.class_names[i] for i in dataset.labels(rows)] == list(rows["label"])
    twice = pd.concat([dataset.records] * 2)
    twice = dataclasses.replace(dataset, records=twice)
    assert len(twice.pictures("train")) == len(dataset.train)
    with pytest.raises(ClipError, match="split 'tset'"):
        dataset.part("tset")


def test_every_unusable_picture_and_a_small_label_are_named(tmp_path, tiny_config):
    folder = make_folder(tmp_path / "data", per_label=3)
    config = dataclasses.replace(tiny_config, dataset_dir=str(folder))
    with pytest.raises(ClipError, match="label 'ball': 3 pictures"):
        load_dataset(config)
    assert len(load_dataset(config, split=False).records) == 12
    (folder / "images/dog/dog_002.jpg").unlink()
    cut = folder / "images/bike/bike_001.jpg"
    cut.write_bytes(cut.read_bytes()[:300])
    with pytest.raises(ClipError, match=r"2 unusable.*\s+.*bike_001.*\s+.*dog_002"):
        load_dataset(config)
