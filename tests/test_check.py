"""What `check_folder` finds in folders with planted faults, and in a sound one."""

import csv
import dataclasses
import json

import pytest
from conftest import LABELS, make_folder
from PIL import Image

from clip_lib.data.captions_table import COLUMNS, read_records
from clip_lib.data.check import check_folder
from clip_lib.data.split import split_records


@pytest.fixture
def folder(tmp_path):
    """A sound folder with its text files, ready to be spoilt."""
    folder = make_folder(tmp_path / "data")
    (folder / "captions").mkdir()
    for row in read_records(folder).itertuples():
        name = row.image_path.split("/")[-1].replace(".jpg", ".txt")
        (folder / "captions" / name).write_text(row.caption + "\n", "utf-8")
    return folder


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
    # A ball of ballword1, on the grass: one word of each caption is no other one's.
    assert report.labels["most words"].tolist() == [7] * 5
    assert report.figures["words"]["of these unknown to training"] == 48 - 33
    assert report.figures["size"] == {"64 x 64": 48}
    assert report.figures["mode"] == {"JPEG RGB": 48}
    assert str(report).endswith("findings: none")


def test_pictures_that_do_not_open_are_found(folder, tiny_config):
    (folder / "images/dog/dog_002.jpg").unlink()
    cut = folder / "images/bike/bike_001.jpg"
    cut.write_bytes(cut.read_bytes()[:300])
    report = check_folder(folder, tiny_config)
    assert report.kinds == {"unreadable picture": 2}
    bike, dog = report.findings
    assert bike.where == "images/bike/bike_001.jpg"
    assert bike.message.startswith("not a readable picture")
    assert dog == ("unreadable picture", "images/dog/dog_002.jpg", "no such picture.")
    assert report.status == 1


def test_texts_that_disagree_with_the_table_are_found(folder, tiny_config):
    texts = folder / "captions"
    (texts / "ball_001.txt").unlink()
    (texts / "ball_002.txt").write_text("Another caption\n")
    (texts / "ball_003.txt").write_bytes(b"caf\xe9")
    (texts / "ball_999.txt").write_text("Of no picture\n")
    with open(texts / "ball_004.txt", "a") as file:
        file.write("\nA second caption, which is in no row .\n")
    assert found(folder, tiny_config) == [
        ("missing text", "images/ball/ball_001.jpg"),
        ("other text", "images/ball/ball_002.jpg"),
        ("unreadable text", "images/ball/ball_003.jpg"),
        ("other text", "images/ball/ball_004.jpg"),
        ("orphan text", "captions/ball_999.txt"),
    ]


def test_several_captions_in_one_text_agree_with_several_rows(folder, tiny_config):
    first = read_records(folder)["image_path"][0]
    rewrite(folder, lambda rows: rows.insert(1, [first, "ball", "A second caption ."]))
    with open(folder / "captions/ball_001.txt", "a") as file:
        file.write("\nA second caption .\n\n")
    assert found(folder, tiny_config) == []


def test_odd_captions_are_found(folder, tiny_config):
    def spoil(rows):
        rows[1][2] = "... !"
        rows[2][2] = "word " * (tiny_config.sequence_length + 1)
        rows[3][2] = rows[0][2]
        rows.append(rows[5])

    rewrite(folder, spoil)
    for text in (folder / "captions").iterdir():
        text.unlink()
    assert found(folder, tiny_config) == [
        ("empty caption", "images/ball/ball_002.jpg"),
        ("long caption", "images/ball/ball_003.jpg"),
        ("same caption", "images/ball/ball_004.jpg"),
        ("repeated row", "images/ball/ball_006.jpg"),
    ]
    table = check_folder(folder, tiny_config).labels
    assert table.loc["ball", "cut"] == pytest.approx(1 / 13)
    assert table.loc["dog", "cut"] == 0


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
    assert ("small label", "ball", "9 pictures") in report.findings
    assert report.kinds["unused picture"] == 3


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "captions.csv").write_text("x,y\n1,2\n"), "not one"),
        (lambda folder: (folder / "images").rename(folder / "moved"), "not one pict"),
    ],
)
def test_an_unusable_folder_is_one_sentence(folder, tiny_config, spoil, message):
    spoil(folder)
    report = check_folder(folder, tiny_config)
    assert report.status == 2
    assert message in report.unusable
    assert "\n" not in report.unusable
    assert f"unusable: {report.unusable}" in str(report)


def test_a_missing_folder_is_unusable(tmp_path, tiny_config):
    assert check_folder(tmp_path / "nowhere", tiny_config).status == 2


def test_the_report_is_json_and_text(folder, tiny_config):
    (folder / "images/dog/dog_002.jpg").unlink()
    report = check_folder(folder, dataclasses.replace(tiny_config, sequence_length=5))
    read = json.loads(report.to_json())
    assert read["status"] == 1
    assert read["kinds"] == {"unreadable picture": 1, "long caption": 48}
    assert read["findings"][0]["where"] == "images/dog/dog_002.jpg"
    assert read["labels"]["water"]["pictures"] == 12
    assert read["figures"]["words"]["vocabulary"] > 10
    lines = str(report).splitlines()
    assert len(lines) > 49
    assert lines[0] == "unreadable picture: images/dog/dog_002.jpg: no such picture."


def test_texts_alone_are_checked_too(folder, tiny_config):
    (folder / "captions.csv").unlink()
    assert check_folder(folder, tiny_config).status == 0
