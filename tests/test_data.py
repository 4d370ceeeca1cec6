"""Reading, checking and splitting a data folder."""

import dataclasses

import pandas as pd
import pytest
from conftest import make_folder, write_folder
from PIL import Image
from sklearn.model_selection import train_test_split

from clip_lib.data.captions_table import check_pictures, read_records
from clip_lib.data.dataset import load_dataset
from clip_lib.data.split import split_records
from clip_lib.errors import ClipError


def write_csv(folder, text, encoding="utf-8"):
    (folder / "captions.csv").write_bytes(text.encode(encoding))
    return folder


def test_captions_keep_their_commas_and_quotes(tiny_folder):
    records = read_records(tiny_folder)
    assert list(records.columns) == ["image_path", "label", "caption"]
    assert records["caption"][0] == 'A "ball" of ballword1, on the grass .'


def test_words_that_look_like_missing_values_stay_words(tmp_path):
    folder = write_csv(tmp_path, "image_path,label,caption\na.jpg,None,NA\n")
    assert read_records(folder).iloc[0].tolist() == ["a.jpg", "None", "NA"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"captions\.csv: empty"),
        ("image_path,label,caption\n", r"captions\.csv: no row"),
        ("path,label,text\na,b,c\n", r"not one column image_path, caption"),
        (
            "image_path,label,caption\na.jpg,dog,one\nb.jpg,dog,\n",
            "line 3: no caption",
        ),
        ('image_path,label,caption\na.jpg,dog,"open\n', "not a CSV file"),
    ],
)
def test_a_bad_table_is_refused_by_name(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_records(write_csv(tmp_path, text))


def test_a_missing_table_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"captions\.csv: no such file"):
        read_records(tmp_path)


def test_a_table_in_another_encoding_is_refused(tmp_path):
    folder = write_csv(tmp_path, "image_path,label,caption\na,b,café\n", "latin-1")
    with pytest.raises(ValueError, match="UTF-8"):
        read_records(folder)


def test_every_unusable_picture_is_listed(tmp_path):
    folder = make_folder(tmp_path / "data", per_label=3)
    (folder / "images/dog/dog_002.jpg").unlink()
    cut = folder / "images/bike/bike_001.jpg"
    cut.write_bytes(cut.read_bytes()[:300])
    with pytest.raises(ValueError) as error:
        check_pictures(folder, read_records(folder))
    assert "2 unusable pictures" in str(error.value)
    assert "dog_002.jpg" in str(error.value)
    assert "bike_001.jpg" in str(error.value)


def test_parts_are_disjoint_stratified_and_cover_everything(tmp_path, tiny_config):
    records = pd.DataFrame(
        [(f"{label}{n}.jpg", label, "x") for label in "abcd" for n in range(150)],
        columns=["image_path", "label", "caption"],
    )
    split = split_records(records, tiny_config)
    counts = split.groupby(["split", "label"]).size().unstack()
    assert split["split"].value_counts().to_dict() == {
        "train": 420,
        "validation": 90,
        "test": 90,
    }
    assert counts.loc["train"].tolist() == [105] * 4
    assert counts.min().min() >= 22


def test_the_split_follows_the_seed(tiny_folder, tiny_config):
    records = read_records(tiny_folder)
    one = split_records(records, tiny_config)
    assert one.equals(split_records(records, tiny_config))
    other = split_records(records, dataclasses.replace(tiny_config, seed=99))
    assert not one["split"].equals(other["split"])


def five_folds(config, records):
    """Split by each fold in turn."""
    return [split_records(records, config, (fold, 5)) for fold in range(5)]


@pytest.fixture
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


def test_each_picture_is_tested_in_one_fold(many_records, tiny_config):
    tested = []
    for split in five_folds(tiny_config, many_records):
        assert split.drop(columns="split").equals(many_records)
        assert (split.groupby("image_path")["split"].nunique() == 1).all()
        pictures = split.drop_duplicates("image_path")
        counts = pictures.groupby(["split", "label"]).size().unstack()
        assert counts.loc["test"].tolist() == [30] * 4
        assert counts.loc["validation"].sum() == 90
        assert set(counts.loc["validation"]) <= {22, 23}
        assert counts.loc["train"].sum() == 390
        tested += pictures.loc[pictures["split"] == "test", "image_path"].tolist()
    assert len(tested) == 600
    assert set(tested) == set(many_records["image_path"])


def test_folds_follow_the_seed(many_records, tiny_config):
    one = five_folds(tiny_config, many_records)[3]
    assert one.equals(five_folds(tiny_config, many_records)[3])
    seeded = dataclasses.replace(tiny_config, seed=99)
    other = five_folds(seeded, many_records)[3]
    for part in ("test", "validation"):
        assert not (one["split"] == part).equals(other["split"] == part)


def test_without_folds_the_split_is_that_of_before_folds(many_records, tiny_config):
    """Figures published for a seed stay reproducible."""
    pictures = many_records.drop_duplicates("image_path")["image_path"]
    labels = pictures.str[0]
    rest, test = train_test_split(
        pictures, test_size=0.15, stratify=labels, random_state=tiny_config.seed
    )
    validation = train_test_split(
        rest, test_size=90, stratify=labels[rest.index], random_state=tiny_config.seed
    )[1]
    split = split_records(many_records, tiny_config)
    for part, expected in (("test", test), ("validation", validation)):
        assert set(split.loc[split["split"] == part, "image_path"]) == set(expected)


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ((0, 1), "fold 0 of 1: expected at least 2 folds"),
        ((5, 5), "fold 5 of 5"),
        ((-1, 5), "fold -1 of 5"),
        ((0, 13), "label 'ball': 12 pictures, expected at least 13"),
    ],
)
def test_folds_that_cannot_be_are_refused(tiny_folder, tiny_config, fold, message):
    with pytest.raises(ClipError, match=message):
        split_records(read_records(tiny_folder), tiny_config, fold)


def test_captions_of_a_picture_stay_together(tiny_folder, tiny_config):
    records = read_records(tiny_folder)
    thrice = pd.concat([records] * 3, ignore_index=True)
    split = split_records(thrice, tiny_config)
    assert (split.groupby("image_path")["split"].nunique() == 1).all()
    assert len(split) == 3 * len(records)


def test_a_label_with_too_few_pictures_is_named(tmp_path, tiny_config):
    rows = [(f"{n}.png", "dog", "x") for n in range(20)] + [("c.png", "cat", "x")]
    pictures = {name: Image.new("RGB", (8, 8)) for name, _, _ in rows}
    folder = write_folder(tmp_path / "few", rows, pictures)
    config = dataclasses.replace(tiny_config, dataset_dir=str(folder))
    with pytest.raises(ValueError, match="label 'cat': 1 pictures"):
        load_dataset(config)


def test_a_picture_with_two_labels_is_named(tiny_folder, tiny_config):
    records = read_records(tiny_folder)
    records.loc[len(records)] = [records["image_path"][0], "water", "x"]
    with pytest.raises(ValueError, match=r"ball_001\.jpg: two labels"):
        split_records(records, tiny_config)


def test_class_names_come_from_the_data(tiny_dataset):
    assert tiny_dataset.class_names == ("ball", "bike", "dog", "water")
    rows = tiny_dataset.test
    assert [tiny_dataset.class_names[i] for i in tiny_dataset.labels(rows)] == list(
        rows["label"]
    )


def test_an_unknown_part_is_refused(tiny_dataset):
    with pytest.raises(ValueError, match="split 'tset'"):
        tiny_dataset.part("tset")


def test_a_comma_outside_quotes_is_refused_by_line(tmp_path):
    text = "image_path,label,caption\na.jpg,dog,A dog, running .\n"
    with pytest.raises(ValueError, match=r"line 2: 4 fields, expected 3.*quotes"):
        read_records(write_csv(tmp_path, text))


def test_marks_of_other_systems_are_read(tmp_path):
    text = "\ufeffimage_path,label,caption\r\n\r\na\\b.jpg, dog ,Two\r\n"
    records = read_records(write_csv(tmp_path, text))
    assert records.iloc[0].tolist() == ["a/b.jpg", "dog", "Two"]


def test_two_spellings_of_a_path_are_one_picture(tmp_path):
    text = "image_path,label,caption\na.jpg,dog,x\n./a.jpg,dog,y\nb/../a.jpg,dog,z\n"
    assert read_records(write_csv(tmp_path, text))["image_path"].nunique() == 1


@pytest.mark.parametrize(
    "name",
    [
        "/etc/a.jpg",
        "//host/a.jpg",
        "../a.jpg",
        "b/../../a.jpg",
        "..",
        "b/..",
        "C:\\a.jpg",
    ],
)
def test_a_picture_outside_the_folder_is_refused(tmp_path, name):
    text = f"image_path,label,caption\n{name},dog,x\n"
    with pytest.raises(ValueError, match="not inside the data folder"):
        read_records(write_csv(tmp_path, text))


def test_several_captions_are_one_picture(tiny_dataset):
    twice = dataclasses.replace(
        tiny_dataset, records=pd.concat([tiny_dataset.records] * 2)
    )
    assert len(twice.pictures("train")) == len(tiny_dataset.train)


def test_a_zero_byte_is_refused(tmp_path):
    folder = write_csv(tmp_path, "image_path,label,caption\na\0.jpg,dog,x\n")
    with pytest.raises(ValueError, match=r"captions\.csv: not text in UTF-8"):
        read_records(folder)


def test_a_path_that_breaks_the_line_is_refused(tmp_path):
    text = 'image_path,label,caption\nb.jpg,dog,x\n"a\nb.jpg",dog,x\n'
    with pytest.raises(ValueError, match=r"line 4: image_path 'a\\nb\.jpg'"):
        read_records(write_csv(tmp_path, text))


def test_a_caption_stands_on_one_line(tmp_path):
    text = 'image_path,label,caption\na.jpg,my  dog,"A dog\r\n  runs\u2028."\n'
    record = read_records(write_csv(tmp_path, text)).iloc[0]
    assert record.tolist() == ["a.jpg", "my dog", "A dog runs ."]


def test_a_refusal_stays_short_and_on_one_line(tmp_path):
    text = '"image\npath",' + "x" * 9_999 + "\na,b\n"
    with pytest.raises(ValueError) as error:
        read_records(write_csv(tmp_path, text))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def write_texts(folder, texts, pictures):
    """Write captions/<name> -> bytes, and the empty files images/<path>."""
    for name, content in texts.items():
        (folder / "captions").mkdir(exist_ok=True)
        (folder / "captions" / name).write_bytes(content)
    for name in pictures:
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / name).touch()
    return folder


def test_without_a_table_the_texts_are_read(tmp_path):
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


def test_the_table_is_the_truth_where_there_are_both(tmp_path):
    write_texts(tmp_path, {"a.txt": b"of the text"}, ["dog/a.jpg"])
    write_csv(tmp_path, "image_path,label,caption\nimages/dog/a.jpg,dog,of the table\n")
    assert read_records(tmp_path)["caption"].tolist() == ["of the table"]


@pytest.mark.parametrize(
    ("content", "pictures", "message"),
    [
        (b"A dog .", [], r"a\.txt: 0 pictures"),
        (b"A dog .", ["a.jpg"], r"a\.txt: 0 pictures"),
        (b"A dog .", ["dog/a.jpg", "cat/a.png"], r"a\.txt: 2 pictures"),
        (b" \n\n", ["dog/a.jpg"], r"a\.txt: no caption"),
        (b"caf\xe9", ["dog/a.jpg"], r"a\.txt: not text in UTF-8"),
    ],
)
def test_a_bad_text_is_refused_by_name(tmp_path, content, pictures, message):
    write_texts(tmp_path, {"a.txt": content}, pictures)
    with pytest.raises(ValueError, match=message):
        read_records(tmp_path)


def test_any_formats_labels_and_several_captions_load(tmp_path, tiny_config):
    formats = {"jpg": "CMYK", "png": "P", "webp": "RGBA", "gif": "L"}
    texts = {}
    for number in range(40):
        suffix, mode = list(formats.items())[number % 4]
        label = "sea shell" if number < 20 else "café"
        path = tmp_path / f"images/{label}/{number}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9 + number, 12), (number, 0, 9)).convert(mode).save(path)
        texts[f"{number}.txt"] = f"Number {number} .\nIt is {number} .\n".encode()
    write_texts(tmp_path, texts, [])
    dataset = load_dataset(dataclasses.replace(tiny_config, dataset_dir=str(tmp_path)))
    assert dataset.class_names == ("café", "sea shell")
    assert len(dataset.records) == 80
    assert (dataset.records.groupby("image_path")["split"].nunique() == 1).all()
