"""Read any picture file into one form: upright, RGB, of the model's size.

Training, search and the checks all call `load_image`, so that the model is served
pictures as it was trained on them. Scaling the pixels is a layer of the model.
"""

import importlib.util
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from clip_lib.errors import ClipError, first_line

MAX_SCANS = 100
MAX_PIXELS = 100_000_000
"""A larger picture is refused before it is decoded, unless told otherwise."""

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
"""The formats read. Pillow knows more, some of which start other programs (EPS)."""

SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif"}
"""File names taken for pictures; the format is found in the content."""

OTHER_KINDS = {
    "HEIC": {".heic", ".heif"},
    "raw": {".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"},
    "video": {".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mts", ".webm"},
    "other pictures": {".heics", ".jp2", ".jxl", ".psd", ".svg"},
}
"""File names, by kind, that a person takes for photographs, but that are not read."""

if importlib.util.find_spec("pillow_heif"):  # An extra: pip install pillow-heif.
    import pillow_heif

    pillow_heif.register_heif_opener()
    FORMATS += ("HEIF",)
    SUFFIXES |= OTHER_KINDS.pop("HEIC")

WIDE_MODES = {"I;16", "I;16B", "I;16L", "I", "F"}


def open_picture(
    source, max_pixels: int = MAX_PIXELS, enough: int | None = None
) -> Image.Image:
    """Open a picture file, upright and in RGB, at its own size.

    Args:
        source: Path of a picture (see `FORMATS`) or a binary file object.
        max_pixels: A picture with more is refused before it is decoded.
        enough: A size that suffices, in pixels a side: a larger JPEG is decoded at a
            half, a quarter or an eighth, in a fraction of the time.

    Returns:
        An RGB picture: turned as its EXIF orientation says, transparency on white,
        first frame of an animation.

    Raises:
        ClipError: If there is no such file, it is not a complete picture, or it is too
            large.
    """
    is_path = isinstance(source, str | Path)
    name = source if is_path else getattr(source, "name", "data")
    # Image.open would wait for ever on a named pipe.
    if is_path and not Path(source).is_file():
        raise ClipError(f"{name}: no such picture.")
    try:
        with Image.open(source, formats=FORMATS) as picture:
            width, height = picture.size
            if 0 < width * height <= max_pixels:
                _check_scans(picture)
                if enough:
                    picture.draft(None, (enough, enough))  # Nothing but for a JPEG.
                return _upright_rgb(picture)
    except Exception as error:
        # On a damaged file Pillow's decoders raise nearly anything.
        cause = first_line(error)
        raise ClipError(f"{name}: not a readable picture ({cause}).") from error
    raise ClipError(
        f"{name}: {width} x {height} pixels, expected at least one and at most "
        f"{max_pixels // 1_000_000} million."
    )


def _check_scans(picture: Image.Image) -> None:
    """Refuse a progressive JPEG that is drawn over itself thousands of times."""
    if picture.info.get("progressive"):
        place = picture.fp.tell()
        picture.fp.seek(0)
        scans = picture.fp.read().count(b"\xff\xda")
        picture.fp.seek(place)
        if scans > MAX_SCANS:
            raise ClipError(f"{scans} scans, expected at most {MAX_SCANS}")


def _upright_rgb(picture: Image.Image) -> Image.Image:
    """Decode an opened picture, turn it upright and convert it to RGB on white."""
    picture.load()
    # exif_transpose writes the EXIF data it finds here anew, and would fail on a good
    # picture with one odd tag; the orientation has been read by then.
    picture.getexif()
    picture.info.pop("exif", None)
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode in WIDE_MODES:
        # Scaled: Pillow's own conversion clips, nearly everything would turn white.
        levels = np.nan_to_num(np.array(picture, "float32"), posinf=0, neginf=0)
        top = 65535 if picture.mode.startswith("I;16") else max(levels.max(), 1e-12)
        levels = (levels * (255 / top)).clip(0, 255)
        picture = Image.fromarray(levels.astype("uint8"))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("RGB")


def load_image(
    source, image_size: tuple[int, int], max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Read a picture and resize it to the model's input.

    The whole picture is kept and its sides are squeezed to a square, as in the course's
    archive: cropping would cut off things the caption mentions.

    Returns:
        uint8 array (height, width, 3), values 0 to 255; see `open_picture` for the
        arguments and for what is refused.
    """
    height, width = image_size
    # Twice the size, to shrink it from there as any other picture.
    picture = open_picture(source, max_pixels, 2 * max(height, width))
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def small_jpeg(path, side: int, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return a small copy of a picture, at most ``side`` pixels wide and high.

    Nothing else is in it: no place, no camera. See `open_picture` for what is refused.
    """
    picture, stored = open_picture(path, max_pixels, 2 * side), io.BytesIO()
    picture.info.clear()
    picture.thumbnail((side, side))
    picture.save(stored, "JPEG", quality=82)
    return stored.getvalue()


def date_taken(path) -> str:
    """Return when a picture was taken, by its EXIF data: "2024-07-31 18:05:59".

    Empty if it does not say, or cannot be read.
    """
    try:
        with Image.open(path, formats=FORMATS) as picture:
            exif = picture.getexif()
            # The moment of the exposure, else that of the file.
            found = exif.get_ifd(0x8769).get(0x9003) or exif.get(0x0132)
    except Exception:  # As for `open_picture`.
        return ""
    parts = re.fullmatch(r"([12]\d{3}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)\0*", str(found))
    return "{}-{}-{} {}".format(*parts.groups()) if parts else ""
