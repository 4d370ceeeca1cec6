"""What `check_folder` finds in folders with planted faults, and in a sound one."""

import csv
import json

import numpy as np
import pytest
from conftest import LABELS, make_folder
from PIL import Image

from clip_lib.data.captions_table import COLUMNS, read_records
from clip_lib.data.check import check_folder
from clip_lib.data.split import split_records


@pytest.fixture
def folder(tmp_path):
    """A sound folder, ready to be spoilt."""
    return make_folder(tmp_path / "data")


def rewrite(folder, change):
    """Change the rows of captions.csv, a list of [image_path, label, caption]."""
    rows = read_records(folder).to_numpy().tolist()
    change(rows)
    with open(folder / "captions.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def found(folder, config):
    """Return (kind, where) of each finding."""
    return [finding[:2] for finding in check_folder(folder, config).findings]


def test_a_sound_folder_is_sound(folder, tiny_config):
    report = check_folder(folder, tiny_config)
    assert report.status == 0, str(report)
    assert list(report.labels.index) == [*LABELS, "all labels"]
    assert report.labels["pictures"].tolist() == [12] * 4 + [48]
    assert report.labels.loc["all labels", "train"] == 33
    # A ball of ballword1, on the grass.
    assert report.labels["most words"].tolist() == [7] * 5
    assert str(report).endswith("findings: none")


def test_pictures_that_do_not_open_are_found_and_told(folder, tiny_config):
    (folder / "images/dog/dog_002.jpg").unlink()
    cut = folder / "images/bike/bike_001.jpg"
    cut.write_bytes(cut.read_bytes()[:300])
    report = check_folder(folder, tiny_config)
    assert report.status == 1
    bike, dog = report.findings
    assert bike.where == "images/bike/bike_001.jpg"
    assert bike.message.startswith("not a readable picture")
    assert dog == ("unreadable picture", "images/dog/dog_002.jpg", "no such picture.")
    assert "unreadable picture: images/dog/dog_002.jpg: no such" in str(report)
    read = json.loads(report.to_json())
    assert read["status"] == 1 and read["labels"]["water"]["pictures"] == 12
    assert read["findings"][1]["where"] == "images/dog/dog_002.jpg"


def test_odd_captions_are_found(folder, tiny_config):
    def spoil(rows):
        rows[1][2] = "... !"
        rows[2][2] = "word " * (tiny_config.sequence_length + 1)
        rows[3][2] = rows[0][2]
        rows.append(rows[5])

    rewrite(folder, spoil)
    assert found(folder, tiny_config) == [
        ("empty caption", "images/ball/ball_002.jpg"),
        ("long caption", "images/ball/ball_003.jpg"),
        ("same caption", "images/ball/ball_004.jpg"),
        ("same caption", "images/ball/ball_006.jpg"),
    ]
    table = check_folder(folder, tiny_config).labels
    assert table.loc["ball", "cut"] == pytest.approx(1 / 13)
    assert table.loc["dog", "cut"] == 0


def test_captions_are_counted_as_the_tokenizer_cuts_them(folder, tiny_config):
    """In the pieces of a pretrained encoder, with its marks, and not in words."""

    class Letters:
        silent_ids, unknown_id = [0, 1, 2], 3

        def __call__(self, texts):
            rows = [[1, *map(ord, text), 2] for text in texts]
            most = max(map(len, rows))
            return np.array([row + [0] * (most - len(row)) for row in rows])

    assert check_folder(folder, tiny_config).status == 0
    report = check_folder(folder, tiny_config, Letters())
    assert {finding.kind for finding in report.findings} == {"long caption"}
    assert report.labels.loc["all labels", "cut"] == 1
    assert report.labels.loc["ball", "most words"] == len(
        'A "ball" of ballword12, on the grass .'
    )


def test_the_same_pixels_are_found_and_a_leak_is_named(folder, tiny_config):
    records = split_records(read_records(folder), tiny_config)
    parts = records.groupby("split")["image_path"].apply(list)
    one, two, three = parts["train"][0], parts["train"][1], parts["test"][0]
    picture = Image.open(folder / one).convert("RGB")
    for name in (one, two, three):
        # The same pixels in other bytes: what counts is what is seen.
        picture.save(folder / name, "png", compress_level=9 if name == two else 1)
    findings = sorted(check_folder(folder, tiny_config).findings)
    assert [finding.kind for finding in findings] == ["leak", "same picture"]
    assert {findings[0].where, findings[1].where} < {one, two, three}
    assert "train" in findings[0].message and "test" in findings[0].message


def test_pictures_of_no_row_are_found(folder, tiny_config):
    Image.new("RGB", (8, 8)).save(folder / "images/dog/more.webp")
    (folder / "images/dog/._dog_001.jpg").write_bytes(b"what macOS adds")
    (folder / ".cache").mkdir()
    Image.new("RGB", (8, 8)).save(folder / ".cache/thumbnail.png")
    assert found(folder, tiny_config) == [("unused picture", "images/dog/more.webp")]


def test_a_folder_that_cannot_be_split_is_unusable_but_told(folder, tiny_config):
    rewrite(folder, lambda rows: rows.__delitem__(slice(9, 12)))
    report = check_folder(folder, tiny_config)
    assert report.status == 2
    assert "label 'ball': 9 pictures" in report.unusable
    assert report.findings[-1] == ("small label", "ball", "9 pictures")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "captions.csv").write_text("x,y\n1,2\n"), "not one"),
        (lambda folder: (folder / "images").rename(folder / "moved"), "not one pict"),
        (lambda folder: folder.rename(f"{folder}2"), "no such file"),
    ],
)
def test_an_unusable_folder_is_one_sentence(folder, tiny_config, spoil, message):
    spoil(folder)
    report = check_folder(folder, tiny_config)
    assert report.status == 2
    assert message in report.unusable
    assert "\n" not in report.unusable
    assert f"unusable: {report.unusable}" in str(report)
