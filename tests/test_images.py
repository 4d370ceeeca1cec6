"""Any picture file, one way to read it."""

import io

import numpy as np
import pytest
from PIL import Image

from clip_lib import images
from clip_lib.images import load_image


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("RGB", "jpg"),
        ("L", "jpg"),
        ("CMYK", "jpg"),
        ("P", "png"),
        ("RGBA", "png"),
        ("LA", "png"),
        ("1", "png"),
        ("P", "gif"),
        ("RGB", "webp"),
        ("RGB", "bmp"),
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


def test_transparent_pixels_are_white_paper(tmp_path):
    path = tmp_path / "clear.png"
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(path)
    assert (load_image(path, (8, 8)) == 255).all()


def test_exif_orientation_is_obeyed(tmp_path):
    path = tmp_path / "turned.jpg"
    picture = Image.new("RGB", (40, 20))
    picture.paste((255, 0, 0), (0, 0, 20, 20))  # Left half red.
    exif = picture.getexif()
    exif[0x0112] = 6  # Turn a quarter clockwise: the left side becomes the top.
    picture.save(path, exif=exif)
    image = load_image(path, (40, 20))
    assert image[5, 10, 0] > 200 > 50 > image[35, 10, 0]


def test_the_whole_picture_is_kept():
    picture = Image.new("RGB", (100, 20))
    picture.paste((255, 255, 255), (90, 0, 100, 20))  # A strip at the far right.
    file = io.BytesIO()
    picture.save(file, "png")
    assert load_image(file, (20, 20))[:, -1].min() > 200


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.jpg: no such picture"):
        load_image(tmp_path / "nothing.jpg", (8, 8))


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), "uint8")
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"cut\.jpg: not a readable picture"):
        load_image(path, (8, 8))


def test_a_text_file_is_not_a_picture(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("hello")
    with pytest.raises(ValueError, match=r"notes\.png: not a readable picture"):
        load_image(path, (8, 8))


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = tmp_path / "wide.png"
    Image.new("1", (60, 50)).save(path)
    monkeypatch.setattr(images, "MAX_PIXELS", 2_999)
    with pytest.raises(ValueError, match=r"wide\.png: 60 x 50 pixels"):
        load_image(path, (8, 8))
