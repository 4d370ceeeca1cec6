"""Reading, checking and splitting a data folder."""

import dataclasses

import pandas as pd
import pytest
from conftest import make_folder, write_folder
from PIL import Image

from clip_lib.data import load_dataset
from clip_lib.records import check_pictures, read_records, split_records


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
    "name", ["/etc/a.jpg", "../a.jpg", "b/../../a.jpg", "C:\\a.jpg"]
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
