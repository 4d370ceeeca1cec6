"""Damaged tables and pictures, drawn by Hypothesis: read soundly, or refused.

A case passes if it ends in a sound table or array, or in a ClipError of one sentence
that names the file. Any other exception fails it, also where warnings are errors.
"""

import codecs
import io
import warnings
from pathlib import PurePosixPath

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from clip_lib.data.captions_table import COLUMNS, TABLE, read_records
from clip_lib.data.images import load_image
from clip_lib.errors import ClipError

CASES = hypothesis.settings(
    max_examples=200,
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
    except ClipError as error:
        message = str(error)
        assert message.startswith(str(name)), message
        assert message.endswith(".") and "\n" not in message, message
        assert len(message) < len(str(name)) + 600, message
        return None


ROWS = [b"images/dog/dog_001.jpg,dog,A dog .", b'./a.png,cat,"One, ""two"""']
ROWS += ["a.xyz,caf\u00e9,\U0001f415\u200d\U0001f9ba \u2028 x".encode()]
DAMAGE = rb'/etc/a.jpg,dog,x|../../a.jpg,dog,x|C:\a.jpg,dog,x|a.jpg;dog;x|a,b,|,|"|""'
DAMAGE = [*DAMAGE.split(b"|"), b"\n", b"\r", b"\t", b"\0", b"word " * 30_000]
DAMAGE += [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, "caf\u00e9".encode("latin-1")]


@CASES
@hypothesis.given(
    lines=st.lists(st.sampled_from(ROWS), max_size=5),
    heading=st.sampled_from([b"image_path,label,caption"] * 8 + [b"label,label"]),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    damages=st.lists(
        st.tuples(st.sampled_from(DAMAGE) | st.binary(max_size=6), st.integers(0, 99)),
        max_size=2,
    ),
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
        assert tuple(records.columns) == COLUMNS and len(records)
        for path, label, caption in records.itertuples(index=False):
            assert label == " ".join(label.split())  # "" without that column.
            assert caption and caption == " ".join(caption.split())
            assert path == path.strip() and not set(path) & set(":\\\n\r\t\0")
            pure = PurePosixPath(path)
            assert pure.name and not pure.is_absolute() and ".." not in pure.parts


def saved(mode, file_format, **options):
    """Return the bytes of a small picture that has a bit of everything."""
    noise = np.random.default_rng(0).integers(0, 255, (20, 24, 3), "uint8")
    picture = Image.fromarray(noise).convert(mode)
    exif = picture.getexif()
    exif.update({0x0112: 6, 0x010E: "described"})
    if options.get("save_all"):
        options["append_images"] = [picture.rotate(180)]
    file = io.BytesIO()
    picture.save(file, file_format, exif=exif, **options)
    return file.getvalue()


SAVED = {
    "JPEG": [saved("RGB", "JPEG"), saved("L", "JPEG", progressive=True)],
    "PNG": [saved("RGBA", "PNG"), saved("I;16", "PNG"), saved("1", "PNG")],
    "GIF": [saved("P", "GIF"), saved("P", "GIF", save_all=True, transparency=2)],
    "WEBP": [saved("RGBA", "WEBP", lossless=True), saved("RGB", "WEBP", save_all=True)],
    "TIFF": [saved("F", "TIFF"), saved("RGB", "TIFF", compression="tiff_lzw")],
}


@pytest.mark.parametrize("file_format", SAVED)
@CASES
@hypothesis.given(data=st.data())
def test_a_cut_or_flipped_picture(file_format, data):
    sound = data.draw(st.sampled_from(SAVED[file_format]))
    # The first four bytes say the format: a flip there ends all reading.
    on_warning = data.draw(st.sampled_from(["ignore", "error"]))
    content = bytearray(sound)
    # Half of the flips hit the header: sizes, palettes, tables.
    reach = data.draw(st.sampled_from([64, len(content)]))
    for place in data.draw(st.lists(st.integers(4, reach - 1), max_size=3)):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.sampled_from([True, False, False, False])):
        del content[data.draw(st.integers(0, len(content))) :]
    file = io.BytesIO(bytes(content))
    file.name = f"case.{file_format.lower()}"
    # A flipped size may ask for 99 million pixels: allowed, but it takes seconds.
    about = (file.name, load_image, file, (16, 12), 1_000_000)
    image = read_or_refuse(*about, on_warning=on_warning)
    if image is not None:
        assert image.shape == (16, 12, 3) and image.dtype == np.uint8
