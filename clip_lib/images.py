"""One way to read a picture, whatever its format, size or mode.

Training, search and the checks all call `load_image`, so that a picture never looks
different to the model when it is served than it did when it was learned. Scaling the
pixels is not done here: it is a layer of the model.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 100_000_000
"""A picture that would unpack to more pixels than this is refused before decoding."""


WIDE_MODES = {"I;16", "I;16B", "I;16L", "I", "F"}


def open_picture(source) -> Image.Image:
    """Open a picture file, upright and in RGB, at its own size.

    Args:
        source: Path of a picture (JPEG, PNG, GIF, WebP...) or a binary file object.

    Returns:
        An RGB picture: turned as its EXIF orientation says, transparency on white,
        first frame of an animation.

    Raises:
        ValueError: If there is no such file, or it is not a whole picture, or it holds
            more than `MAX_PIXELS`. The message names the file.
    """
    name = source if isinstance(source, str | Path) else getattr(source, "name", "data")
    try:
        with Image.open(source) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError(
                    f"{name}: {picture.width} x {picture.height} pixels, expected at "
                    f"most {MAX_PIXELS // 1_000_000} million."
                )
            picture.load()
            picture = ImageOps.exif_transpose(picture)
            if picture.mode in WIDE_MODES:
                picture = _to_eight_bits(picture)
            if picture.has_transparency_data:
                picture = picture.convert("RGBA")
                paper = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(paper, picture)
            return picture.convert("RGB")
    except FileNotFoundError:
        raise ValueError(f"{name}: no such picture.") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name}: not a readable picture ({error}).") from error


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Scale the grey levels of a 16-bit or floating-point picture to 0..255.

    Pillow's own conversion clips them: nearly everything would turn white or black.
    """
    levels = np.asarray(picture, "float64")
    top = 65535 if picture.mode.startswith("I;16") else max(levels.max(), 1e-12)
    return Image.fromarray((levels / top * 255).clip(0, 255).astype("uint8"))


def load_image(source, image_size: tuple[int, int]) -> np.ndarray:
    """Read a picture and resize it to what the model expects.

    The whole picture is kept and its sides are squeezed to a square, as in the course's
    archive: cropping would cut off things that the caption speaks of.

    Args:
        source: Path or binary file object, see `open_picture`.
        image_size: Height and width in pixels.

    Returns:
        uint8 array (height, width, 3), values 0 to 255.

    Raises:
        ValueError: See `open_picture`.
    """
    height, width = image_size
    picture = open_picture(source)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture)
