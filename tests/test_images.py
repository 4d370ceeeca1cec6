"""Any picture file, one way to read it."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from clip_lib.data.images import date_taken, load_image, open_picture
from clip_lib.errors import ClipError


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *(("RGB", "jpg"), ("L", "jpg"), ("CMYK", "jpg"), ("P", "gif"), ("RGB", "bmp")),
        *(("P", "png"), ("RGBA", "png"), ("LA", "png"), ("1", "png"), ("RGB", "webp")),
    ],
)
def test_every_mode_and_size_becomes_rgb(tmp_path, mode, suffix):
    path = tmp_path / f"picture.{suffix}"
    Image.new("L", (50, 30), 255).convert(mode).save(path)
    image = load_image(path, (24, 16))
    assert image.shape == (24, 16, 3)
    assert image.dtype == np.uint8
    assert image.mean() > 250  # White in every mode.


@pytest.mark.parametrize(
    ("dtype", "white", "suffix"),
    [("uint16", 65535, "png"), ("int32", 65535, "tif"), ("float32", 1.0, "tif")],
)
def test_wide_grey_levels_are_scaled_not_clipped(tmp_path, dtype, white, suffix):
    path = tmp_path / f"ramp.{suffix}"
    ramp = np.tile(np.linspace(0, white, 16), (16, 1)).astype(dtype)
    Image.fromarray(ramp).save(path)
    image = load_image(path, (16, 16))
    assert np.allclose(image[0, :, 0], np.linspace(0, 255, 16), atol=1)


@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation_is_obeyed(tmp_path, orientation):
    path = tmp_path / "turned.png"
    pixels = np.random.default_rng(0).integers(0, 255, (4, 6, 3), "uint8")
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    assert (np.asarray(open_picture(path)) == expected).all()


def test_an_odd_tag_of_a_camera_does_no_harm(tmp_path):
    path = tmp_path / "odd.jpg"
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x011A: 72.0})
    Image.new("RGB", (8, 4)).save(path, exif=exif)
    # The resolution, a fraction (type 5), becomes a text (type 2).
    content = path.read_bytes()
    assert content.count(b"\x01\x1a\x00\x05") == 1
    path.write_bytes(content.replace(b"\x01\x1a\x00\x05", b"\x01\x1a\x00\x02"))
    with Image.open(path) as picture:
        assert isinstance(picture.getexif()[0x011A], str)
    assert open_picture(path).size == (4, 8)


def test_the_first_frame_is_kept_whole_and_on_white():
    first = Image.new("RGBA", (100, 20))
    first.paste("red", (90, 0, 100, 20))  # A strip at the far right.
    file = io.BytesIO()
    first.save(file, "webp", save_all=True, lossless=True, append_images=[first])
    image = load_image(file, (20, 20))
    assert image[:, 0].min() == 255 and image[5, -1].tolist() == [255, 0, 0]


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "EPS"])
def test_what_is_no_picture_is_refused_by_name(tmp_path, file_format):
    path = tmp_path / "a.png"
    Image.effect_noise((64, 64), 50).save(path, file_format)
    if file_format != "EPS":  # Whole: it would start a program.
        path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ClipError, match=r"a\.png: not a readable picture"):
        load_image(path, (8, 8))


def test_a_missing_file_and_a_pipe_are_refused_by_name(tmp_path):
    if hasattr(os, "mkfifo"):  # Opened, it would be waited for.
        os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("pipe", "nothing"):
        with pytest.raises(ClipError, match=rf"{name}\.jpg: no such picture"):
            load_image(tmp_path / f"{name}.jpg", (8, 8))


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "wide.png"
    Image.new("1", (60, 50)).save(path)
    assert load_image(path, (8, 8), max_pixels=3_000).shape == (8, 8, 3)
    with pytest.raises(ClipError, match=r"wide\.png: 60 x 50 pixels"):
        load_image(path, (8, 8), max_pixels=2_999)
    # Far above, Pillow itself refuses: here the header alone says 400 million pixels.
    size = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    chunk = b"IHDR" + size
    chunk = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(path.read_bytes()[:8] + chunk + path.read_bytes()[33:])
    with pytest.raises(ClipError, match=r"wide\.png: not a readable picture"):
        load_image(path, (8, 8))


def test_a_large_jpeg_is_decoded_at_a_part_of_its_size(tmp_path):
    path = tmp_path / "large.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), "uint8")
    large = Image.fromarray(noise).resize((1600, 1200))
    exif = Image.Exif()
    exif[0x0112] = 6  # Turned: its width becomes its height.
    large.save(path, quality=95, exif=exif)
    assert open_picture(path).size == (1200, 1600)
    assert open_picture(path, enough=300).size == (300, 400)
    expected = np.asarray(
        open_picture(path).resize((64, 64), Image.Resampling.BILINEAR)
    )
    difference = np.abs(load_image(path, (64, 64)).astype(int) - expected)
    assert difference.mean() < 1.5


def test_the_date_of_a_picture_is_that_of_the_exposure(tmp_path):
    path, exif = tmp_path / "a.jpg", Image.Exif()
    for tag, folder, date, expected in (
        (0x0132, exif, "2021:07:31 18:05:59", "2021-07-31 18:05:59"),
        (0x9003, exif.get_ifd(0x8769), "2019:01:02 03:04:05", "2019-01-02 03:04:05"),
        (0x9003, exif.get_ifd(0x8769), "    :  :     :  :  ", ""),
    ):
        folder[tag] = date
        Image.new("RGB", (8, 8)).save(path, exif=exif)
        assert date_taken(path) == expected
    path.write_bytes(b"no picture")
    assert date_taken(path) == date_taken(tmp_path / "none.jpg") == ""


def test_a_telephone_s_heic_is_a_picture(tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="pip install pillow-heif")
    path = tmp_path / "IMG_0001.HEIC"
    picture = Image.new("RGB", (64, 32), "white")
    picture.paste("red", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    heif.from_pillow(picture).save(path, exif=exif.tobytes())
    upright = np.asarray(open_picture(path)).astype(int)
    assert upright.shape == (64, 32, 3)
    assert upright[8, 16, 1] < 60 < 200 < upright[56, 16, 1]
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ClipError, match=r"0001\.HEIC: not a readable picture"):
        open_picture(path)
