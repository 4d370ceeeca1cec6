"""Two thousand and more damaged tables, texts, pictures and indexes: read soundly, or
refused by name.

A case passes if it ends in a sound table or array, or in a ValueError of one sentence
that names the file. Any other exception fails it, also where warnings are errors. The
cases are drawn by Hypothesis and are the same in every run.
"""

import codecs
import csv
import io
import warnings
from pathlib import PurePosixPath

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from PIL import Image

from clip_lib.data import images
from clip_lib.data.captions_table import COLUMNS, TABLE, read_records
from clip_lib.data.images import load_image
from clip_lib.retrieval.index import Index


def cases(number):
    return hypothesis.settings(
        max_examples=number,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def read_or_refuse(name, read, *arguments, on_warning="error"):
    """Return what is read, or None if one sentence refuses it and names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(on_warning)
            return read(*arguments)
    except ValueError as error:
        message = str(error)
        assert message.startswith(str(name)), message
        assert message.endswith(".") and "\n" not in message, message
        assert len(message) < len(str(name)) + 600, message
        return None


def assert_sound(records):
    assert tuple(records.columns) == COLUMNS
    assert len(records)
    for path, label, caption in records.itertuples(index=False):
        assert label and label == " ".join(label.split())
        assert caption and caption == " ".join(caption.split())
        assert path == path.strip() and not set(path) & set(":\\\n\r\t\0")
        pure = PurePosixPath(path)
        assert pure.name and not pure.is_absolute() and ".." not in pure.parts


ROWS = [b"images/dog/dog_001.jpg,dog,A dog .", b'./a.png,cat,"One, ""two"""']
ROWS += ["a.xyz,caf\u00e9,\U0001f415\u200d\U0001f9ba \u2028 x".encode()]
DAMAGE = rb'/etc/a.jpg,dog,x|../../a.jpg,dog,x|C:\a.jpg,dog,x|a.jpg;dog;x|a,b,|,|"|""'
DAMAGE = [*DAMAGE.split(b"|"), b"\n", b"\r", b"\t", b"\0", b"word " * 30_000]
DAMAGE += [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, "caf\u00e9".encode("latin-1")]
DAMAGES = st.sampled_from(DAMAGE) | st.binary(max_size=6)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@cases(500)
@hypothesis.given(
    lines=st.lists(st.sampled_from(ROWS), max_size=5),
    heading=st.sampled_from([b"image_path,label,caption"] * 8 + [b"label,label"]),
    end=ENDS.map(str.encode),
    damages=st.lists(st.tuples(DAMAGES, st.integers(0, 99)), max_size=2),
)
def test_any_bytes_as_a_table(tmp_path_factory, lines, heading, end, damages):
    folder = tmp_path_factory.getbasetemp()
    content = end.join([heading, *lines])
    for damage, percent in damages:
        place = len(content) * percent // 99
        content = content[:place] + damage + content[place:]
    (folder / TABLE).write_bytes(content)
    records = read_or_refuse(folder / TABLE, read_records, folder)
    if records is not None:
        assert_sound(records)


NASTY = r"./a.jpg|b/../a.jpg|..|.|../a.jpg|/a.jpg|//host/a.jpg|C:/a.jpg|a\b.jpg|a.xyz|"
NASTY = [*NASTY.split("|"), "a\nb.jpg", " ", '"', "nan", "=1+1", "x" * 140_000]
NASTY += ["\ufeff", "\x85", "\U0001f415\u200d\U0001f9ba"]
EASY = st.sampled_from(["a.jpg", "images/dog/b.png", "A dog, asleep .", '"A" dog'])
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=12)
CELLS = st.one_of(st.sampled_from(NASTY), TEXT)
ROW = st.tuples(CELLS, EASY, EASY) | st.tuples(EASY, EASY | CELLS, EASY | CELLS)
HEADINGS = [[*COLUMNS]] * 9 + [["a\nb", "x" * 9_999], [*COLUMNS, "label"], []]


@cases(400)
@hypothesis.given(
    heading=st.sampled_from(HEADINGS),
    rows=st.lists(ROW, max_size=3),
    delimiter=st.sampled_from(",,,,,,,,,;"),
    end=ENDS,
    encoding=st.sampled_from(["utf-8"] * 12 + ["utf-8-sig", "latin-1", "utf-16"]),
)
def test_a_table_of_nasty_cells(
    tmp_path_factory, heading, rows, delimiter, end, encoding
):
    folder = tmp_path_factory.getbasetemp()
    file = io.StringIO(newline="")
    table = csv.writer(file, delimiter=delimiter, lineterminator=end)
    table.writerows([heading, *rows])
    (folder / TABLE).write_bytes(file.getvalue().encode(encoding, errors="replace"))
    records = read_or_refuse(folder / TABLE, read_records, folder)
    if records is not None:
        assert_sound(records)


PRINTED = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]))
WORDS = st.lists(PRINTED.filter(bool), min_size=1, max_size=5).map(" ".join)


@cases(200)
@hypothesis.given(
    rows=st.lists(st.tuples(st.integers(0, 99), WORDS, WORDS), min_size=1, max_size=5),
    order=st.permutations([*COLUMNS, "extra"]),
    end=ENDS,
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_a_sound_table_is_read_as_it_was_written(
    tmp_path_factory, rows, order, end, encoding, quoting
):
    folder = tmp_path_factory.getbasetemp()
    rows = [(f"images/{number}.png", *words) for number, *words in rows]
    with open(folder / TABLE, "w", encoding=encoding, newline="") as file:
        table = csv.DictWriter(file, order, lineterminator=end, quoting=quoting)
        table.writeheader()
        table.writerows(dict(zip(COLUMNS, row, strict=True)) for row in rows)
    assert list(read_records(folder).itertuples(index=False, name=None)) == rows


@cases(100)
@hypothesis.given(
    texts=st.lists(
        st.lists(st.sampled_from(ROWS) | DAMAGES, max_size=3), min_size=1, max_size=2
    ),
    pictures=st.sampled_from([["jpg"], ["png"], ["gif"], ["jpg", "png"], []]),
)
def test_any_bytes_as_texts(tmp_path_factory, texts, pictures):
    folder = tmp_path_factory.mktemp("texts")
    (folder / "captions").mkdir()
    (folder / "images/dog").mkdir(parents=True)
    for number, pieces in enumerate(texts):
        (folder / f"captions/{number}.txt").write_bytes(b"".join(pieces))
        for suffix in pictures:
            (folder / f"images/dog/{number}.{suffix}").touch()
    records = read_or_refuse(folder / "captions", read_records, folder)
    if records is not None:
        assert_sound(records)
        assert set(records["label"]) == {"dog"}
        assert records["image_path"].nunique() == len(texts)


def saved(mode, file_format, **options):
    """Return the bytes of a small picture that has a bit of everything."""
    noise = np.random.default_rng(0).integers(0, 255, (20, 24, 4), "uint8")
    picture = Image.fromarray(noise, "RGBA").convert("RGB").convert(mode)
    exif = picture.getexif()
    exif.update({0x0112: 6, 0x010E: "described"})
    if options.get("save_all"):
        options["append_images"] = [picture.rotate(180)]
    file = io.BytesIO()
    picture.save(file, file_format, exif=exif, **options)
    return file.getvalue()


SAVED = {
    "JPEG": [saved(mode, "JPEG", progressive=mode == "L") for mode in ("RGB", "L")]
    + [saved("CMYK", "JPEG")],
    "PNG": [saved(mode, "PNG") for mode in ("RGBA", "I;16", "1")]
    + [saved("P", "PNG", transparency=3)],
    "GIF": [saved("P", "GIF"), saved("P", "GIF", save_all=True, transparency=2)],
    "WEBP": [saved("RGBA", "WEBP", lossless=True), saved("RGB", "WEBP", save_all=True)],
    "TIFF": [saved("F", "TIFF"), saved("RGB", "TIFF", compression="tiff_lzw")],
}


@pytest.fixture
def fewer_pixels(monkeypatch):
    """A flipped size may ask for 99 million pixels: allowed, but it takes seconds."""
    monkeypatch.setattr(images, "MAX_PIXELS", 1_000_000)


@pytest.mark.parametrize("file_format", SAVED)
@cases(160)
@hypothesis.given(data=st.data())
def test_a_cut_or_flipped_picture(fewer_pixels, file_format, data):
    damaged = bytearray(data.draw(st.sampled_from(SAVED[file_format])))
    # From byte 4 on: the first ones say the format, and a flip there ends all reading.
    # Half of the flips hit the header: sizes, palettes, tables.
    reach = data.draw(st.sampled_from([64, len(damaged)]))
    for place in data.draw(st.lists(st.integers(4, reach - 1), max_size=3)):
        damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.sampled_from([True, False, False, False])):
        del damaged[data.draw(st.integers(0, len(damaged))) :]
    on_warning = data.draw(st.sampled_from(["ignore", "error"]))
    file = io.BytesIO(bytes(damaged))
    file.name = f"case.{file_format.lower()}"
    image = read_or_refuse(file.name, load_image, file, (16, 12), on_warning=on_warning)
    if image is not None:
        assert image.shape == (16, 12, 3) and image.dtype == np.uint8


@pytest.mark.parametrize("compressed", [False, True])
@cases(200)
@hypothesis.given(data=st.data())
def test_a_cut_or_flipped_index(tmp_path_factory, compressed, data):
    path = tmp_path_factory.getbasetemp() / "case.npz"
    embeds, paths = np.eye(5, 4, dtype="float32"), [*"abcd\u00e9"]
    items = pd.DataFrame({"paths": paths, "size": range(5)})
    if compressed:
        np.savez_compressed(path, embeds=embeds, paths=paths, size=range(5))
    else:
        Index(embeds, items).save(path)
    damaged = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=3)):
        damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.sampled_from([True, False, False, False])):
        del damaged[data.draw(st.integers(0, len(damaged))) :]
    path.write_bytes(damaged)
    index = read_or_refuse(path, Index.load, path)
    if index is not None:
        # A check sum covers each array whole.
        assert (index.embeds == embeds).all()
        assert (index.items[["paths"]] == items[["paths"]]).all(axis=None)
