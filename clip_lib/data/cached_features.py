"""What a locked encoder makes of the pictures: computed once, kept in a file.

A locked encoder says the same of a picture in every epoch. With its features in a file,
an epoch costs no more than the projection and the text encoder, and the memory does
not grow with the number of pictures.
"""

import sys
import tempfile
import threading
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from clip_lib.data.pipelines import image_batches

INPUT = "feature_input"


class StoredFeatures:
    """Feature vectors of pictures and of their mirror images, in a temporary file.

    The file has no name that could stay behind: it is gone when this object is, or when
    the process is killed (on Windows, when it ends). Row 2 i belongs to picture i, row
    2 i + 1 to its mirror image. Stored as float16: half the disk, and a rounding of
    0.05 % is far below what training hides and noises anyway.

    Args:
        model: Images (B, height, width, 3), 0 to 255, to vectors (B, width).
        paths: Picture files; the same one twice is stored once.
        image_size: Height and width in pixels.
        folder: Where the file lies: 4 bytes a picture and number.
    """

    def __init__(self, model: keras.Model, paths, image_size, folder):
        paths = list(dict.fromkeys(paths))
        self.places = {path: 2 * place for place, path in enumerate(paths)}
        self.width = model.output.shape[-1]
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._lock = threading.Lock()
        batches = image_batches(paths, image_size, cached=False)
        told = {"delay": 2, "leave": False, "file": sys.stdout}  # Not in red.
        for images in tqdm(batches, "Features of the pictures", **told):
            both = [model.predict_on_batch(way) for way in (images, images[:, :, ::-1])]
            self._file.write(np.stack(both, axis=1).astype("float16").tobytes())

    def rows(self, paths) -> np.ndarray:
        """Return the row of each picture, int32 (N,)."""
        return np.array([self.places[path] for path in paths], "int32")

    def read(self, rows) -> np.ndarray:
        """Return the vectors of these rows, float32 (N, width)."""
        vectors = np.empty((len(rows), self.width), "float16")
        size = vectors.itemsize * self.width
        with self._lock:
            for row, vector in zip(rows, vectors, strict=True):
                self._file.seek(int(row) * size)
                if self._file.readinto(memoryview(vector).cast("B")) != size:
                    raise OSError("the file of features is cut: is the disk full?")
        return vectors.astype("float32")

    def fill(self, batch: dict) -> dict:
        """Put the vectors in the place of their rows, in a batch of TensorFlow's."""
        vectors = tf.numpy_function(self.read, [batch[INPUT]], tf.float32)
        return batch | {INPUT: tf.ensure_shape(vectors, (None, self.width))}
