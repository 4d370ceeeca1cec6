"""Embed picture files some of which may be unreadable: the others are not lost."""

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from clip_lib.data.images import open_picture
from clip_lib.retrieval.search import Clip

CHUNK = 64
"""Pictures embedded at a time: memory does not grow with their number."""


def embed_readable(clip: Clip, paths) -> tuple[list[str], np.ndarray, list[str]]:
    """Embed the picture files that can be read, with a progress bar.

    Args:
        clip: A trained CLIP.
        paths: Picture files.

    Returns:
        The paths that were read, R of them in the order given; their unit vectors
        (R, D); and a sentence for each of the others, which names it.
    """
    paths = [str(path) for path in paths]
    read, faults = [], []
    embeds = [np.empty((0, clip.image_encoder.output.shape[1]), "float32")]
    with tqdm(total=len(paths), desc="Embedding", delay=2, leave=False) as progress:
        for start in range(0, len(paths), CHUNK):
            chunk = paths[start : start + CHUNK]
            try:
                vectors = clip.embed_images(chunk)
            except (tf.errors.InvalidArgumentError, ValueError):
                # One bad picture stops its whole stream: only then is each looked at.
                found = {path: fault for path in chunk if (fault := _fault(path))}
                if not found:
                    raise
                faults += found.values()
                chunk = [path for path in chunk if path not in found]
                vectors = clip.embed_images(chunk) if chunk else embeds[0]
            read += chunk
            embeds.append(vectors)
            progress.update(len(paths[start : start + CHUNK]))
    return read, np.concatenate(embeds), faults


def _fault(path: str) -> str:
    """Say what is wrong with a picture file; nothing if it can be read."""
    try:
        path.encode()
        open_picture(path)
    except UnicodeEncodeError:
        # Linux allows any bytes in a name; nothing could print or store this one.
        shown = path.encode("utf-8", "backslashreplace").decode()
        return f"{shown}: expected a file name in UTF-8."
    except ValueError as error:
        return str(error)
    return ""
