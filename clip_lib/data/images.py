"""One way to read a picture, whatever its format, size or mode.

Training, search and the checks all call `load_image`, so that a picture never looks
different to the model when it is served than it did when it was learned. Scaling the
pixels is not done here: it is a layer of the model.
"""

import hashlib
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from clip_lib.errors import ClipError

MAX_PIXELS = 100_000_000
"""A picture of more pixels is refused before it is decoded, unless told otherwise."""

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
"""What is read. Pillow knows many more, some of which start other programs (EPS)."""

SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif"}
"""Names that look like pictures; what a file is, its content says."""

MAX_SCANS = 100
"""A progressive JPEG has some ten; each is decoded over the whole picture, so that
thousands in a small file take hours."""

WIDE_MODES = {"I;16", "I;16B", "I;16L", "I", "F"}

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture of each EXIF orientation upright."""


class TooManyPixels(ValueError):
    """A picture is larger than what is read."""


def open_picture(source, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open a picture file, upright and in RGB, at its own size.

    Args:
        source: Path of a picture (see `FORMATS`) or a binary file object.
        max_pixels: What holds more is refused before it is decoded.

    Returns:
        An RGB picture: turned as its EXIF orientation says, transparency on white,
        first frame of an animation.

    Raises:
        ClipError: If there is no such file, or it is not a whole picture, or
            (`TooManyPixels`) it is too large. The message names the file.
    """
    is_path = isinstance(source, str | Path)
    name = source if is_path else getattr(source, "name", "data")
    try:
        # Not left to Image.open, which would wait for ever on a named pipe.
        exists = Path(source).is_file() if is_path else True
        if exists:
            with Image.open(source, formats=FORMATS) as picture:
                width, height = picture.size
                if 0 < width * height <= max_pixels:
                    _check_scans(picture)
                    return _upright_rgb(picture)
    except Exception as error:
        # On a damaged file Pillow's decoders raise nearly anything.
        cause = " ".join(str(error).split()) or repr(error)
        bomb = isinstance(error, Image.DecompressionBombError)
        kind = TooManyPixels if bomb else ValueError
        raise kind(f"{name}: not a readable picture ({cause}).") from error
    if not exists:
        raise ClipError(f"{name}: no such picture.")
    raise TooManyPixels(
        f"{name}: {width} x {height} pixels, expected at least one and at most "
        f"{max_pixels // 1_000_000} million."
    )


def _check_scans(picture: Image.Image) -> None:
    """Refuse a JPEG that is drawn over itself without end."""
    if picture.info.get("progressive"):
        place = picture.fp.tell()
        picture.fp.seek(0)
        scans = picture.fp.read().count(b"\xff\xda")
        picture.fp.seek(place)
        if scans > MAX_SCANS:
            raise ClipError(f"{scans} scans, expected at most {MAX_SCANS}")


def _upright_rgb(picture: Image.Image) -> Image.Image:
    """Decode an opened picture, turn it and bring it to RGB on white."""
    picture.load()
    # Not ImageOps.exif_transpose: it writes the EXIF data anew, and any odd tag of a
    # camera then makes a good picture fail.
    orientation = picture.getexif().get(ExifTags.Base.Orientation)
    if orientation in TURNS:
        picture = picture.transpose(TURNS[orientation])
    if picture.mode in WIDE_MODES:
        picture = _to_eight_bits(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("RGB")


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Scale the grey levels of a 16-bit or floating-point picture to 0..255.

    Pillow's own conversion clips them: nearly everything would turn white or black.
    """
    levels = np.array(picture, "float32")
    np.nan_to_num(levels, copy=False, nan=0, posinf=0, neginf=0)
    top = 65535 if picture.mode.startswith("I;16") else max(levels.max(), 1e-12)
    # In place: a copy of a large picture takes a tenth of a gigabyte.
    levels /= top
    levels *= 255
    return Image.fromarray(levels.clip(0, 255, out=levels).astype("uint8"))


def load_image(
    source, image_size: tuple[int, int], max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Read a picture and resize it to what the model expects.

    The whole picture is kept and its sides are squeezed to a square, as in the course's
    archive: cropping would cut off things that the caption speaks of.

    Args:
        source, max_pixels: See `open_picture`.
        image_size: Height and width in pixels.

    Returns:
        uint8 array (height, width, 3), values 0 to 255.

    Raises:
        ClipError: See `open_picture`.
    """
    height, width = image_size
    picture = open_picture(source, max_pixels)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def describe_picture(source) -> dict[str, str]:
    """Say what a picture file holds.

    Args:
        source: Path of a picture.

    Returns:
        ``size`` (upright, "224 x 224"), ``mode`` (of the file, "PNG P") and ``pixels``,
        a hash that two pictures share if `open_picture` finds the same pixels in them.

    Raises:
        ClipError: See `open_picture`.
    """
    picture = open_picture(source)
    size = f"{picture.width} x {picture.height}"
    pixels = hashlib.sha256(size.encode() + picture.tobytes()).hexdigest()
    with Image.open(source, formats=FORMATS) as stored:
        mode = f"{stored.format} {stored.mode}"
    return {"size": size, "mode": mode, "pixels": pixels}
