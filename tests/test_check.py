"""What `check_folder` finds in folders with planted faults, and in a sound one."""

import numpy as np
import pandas as pd
import pytest
from conftest import LABELS, make_folder
from PIL import Image

from clip_lib.data.captions_table import read_records
from clip_lib.data.check import check_folder, report_text
from clip_lib.data.split import split_records


@pytest.fixture
def folder(tmp_path):
    """A sound folder, ready to be spoilt."""
    return make_folder(tmp_path / "data")


def table_of(report):
    return pd.DataFrame.from_dict(report["labels"], orient="index")


def test_a_sound_folder_is_sound(folder, tiny_config):
    report = check_folder(folder, tiny_config)
    assert report["status"] == 0, report_text(report)
    assert list(table_of(report).index) == [*LABELS, "all labels"]
    assert table_of(report)["pictures"].tolist() == [12] * 4 + [48]
    assert table_of(report).loc["all labels", "train"] == 33
    # A ball of ballword1, on the grass.
    assert table_of(report)["most words"].tolist() == [7] * 5
    assert report_text(report).endswith("findings: none")


def test_every_planted_fault_is_found(folder, tiny_config):
    records = read_records(folder)
    many = "word " * (tiny_config.sequence_length + 1)
    records.loc[1:3, "caption"] = ["... !", many, records["caption"][0]]
    records.loc[len(records)] = records.loc[5]
    records.to_csv(folder / "captions.csv", index=False)
    (folder / "images/dog/dog_002.jpg").unlink()
    cut = folder / "images/bike/bike_001.jpg"
    cut.write_bytes(cut.read_bytes()[:300])
    Image.new("RGB", (8, 8)).save(folder / "images/dog/more.webp")
    (folder / "images/dog/._dog_001.jpg").write_bytes(b"what macOS adds")
    report = check_folder(folder, tiny_config)
    assert [(one["kind"], one["where"]) for one in report["findings"]] == [
        ("unreadable picture", "images/bike/bike_001.jpg"),
        ("unreadable picture", "images/dog/dog_002.jpg"),
        ("empty caption", "images/ball/ball_002.jpg"),
        ("long caption", "images/ball/ball_003.jpg"),
        ("same caption", "images/ball/ball_004.jpg"),
        ("same caption", "images/ball/ball_006.jpg"),
        ("unused picture", "images/dog/more.webp"),
    ]
    assert table_of(report).loc["ball", "cut"] == pytest.approx(1 / 13)
    assert "\nunreadable picture: images/dog/dog_002.jpg: no such pict" in report_text(
        report
    )
    assert report["status"] == 1 and report["labels"]["water"]["pictures"] == 12


def test_the_same_pixels_are_found_and_a_leak_is_named(folder, tiny_config):
    records = split_records(read_records(folder), tiny_config)
    parts = records.groupby("split")["image_path"].apply(list)
    one, two, three = parts["train"][0], parts["train"][1], parts["test"][0]
    picture = Image.open(folder / one).convert("RGB")
    for name in (one, two, three):
        # The same pixels in other bytes: what counts is what is seen.
        picture.save(folder / name, "png", compress_level=9 if name == two else 1)
    found = check_folder(folder, tiny_config)["findings"]
    leak, same = sorted(found, key=lambda one: one["kind"])
    assert (leak["kind"], same["kind"]) == ("leak", "same picture")
    assert {leak["where"], same["where"]} < {one, two, three}
    assert "train" in leak["message"] and "test" in leak["message"]


def test_captions_are_counted_as_the_tokenizer_cuts_them(folder, tiny_config):
    """In the pieces of a pretrained encoder, with its marks, and not in words."""

    class Letters:
        silent_ids, unknown_id = [0, 1, 2], 3

        def __call__(self, texts):
            rows = [[1, *map(ord, text), 2] for text in texts]
            most = max(map(len, rows))
            return np.array([row + [0] * (most - len(row)) for row in rows])

    report = check_folder(folder, tiny_config, Letters())
    assert {one["kind"] for one in report["findings"]} == {"long caption"}
    assert table_of(report).loc["all labels", "cut"] == 1
    most = len('A "ball" of ballword12, on the grass .')
    assert table_of(report).loc["ball", "most words"] == most


def drop_three_balls(folder):
    records = read_records(folder).drop(index=[9, 10, 11])
    records.to_csv(folder / "captions.csv", index=False)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "captions.csv").write_text("x\n1\n"), "not exactly"),
        (lambda folder: folder.rename(f"{folder}2"), "no such file"),
        (lambda folder: (folder / "images").rename(folder / "x"), "not one picture"),
        (drop_three_balls, "label 'ball': 9 pictures"),
    ],
)
def test_an_unusable_folder_is_told(folder, tiny_config, spoil, message):
    spoil(folder)
    report = check_folder(folder, tiny_config)
    assert report["status"] == 2
    assert message in report["unusable"] and "\n" not in report["unusable"]
    assert f"unusable: {report['unusable']}" in report_text(report)
