"""Embeddings on disk, and the search among them.

The files are what the course defines: ``image_index.npz`` holds ``embeds`` and
``paths``, ``text_index.npz`` holds ``embeds``, ``captions`` and ``image_paths``. Both
also say the ``labels``, in which ``splits`` each row was (a demonstration can keep to
pictures that the model never learned), and two things for all rows: ``model``, the
fingerprint of the weights, and ``source``, what the pictures are. The index of a folder
of photos (see `folder_index`) has the columns ``paths``, ``size`` and ``mtime_ns``.

The rows of ``embeds`` lie in the file as in memory, since hardly anything is saved by
deflating them; the columns are deflated.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from clip_lib.errors import ClipError
from clip_lib.retrieval.npz import map_array, write_arrays

ROUNDING = 1e-5
"""Cosines nearer than this are equal: batches of other sizes round differently."""


@dataclasses.dataclass(frozen=True)
class Index:
    """Embeddings, and what each of them stands for.

    Attributes:
        embeds: float32 (N, D), unit vectors.
        items: Table of N rows: the columns that the file stores beside ``embeds``.
        model: Fingerprint of the model that made the embeddings, see `Clip`.
        source: What was embedded: "photographs", "drawn scenes", or a folder's path.
    """

    embeds: np.ndarray
    items: pd.DataFrame
    model: str = ""
    source: str = ""

    @property
    def width(self) -> int:
        """Width D of the embeddings."""
        return self.embeds.shape[1]

    def search(self, embedding, k: int = 5, temperature: float = 1.0) -> pd.DataFrame:
        """Return the k nearest rows of ``items``, best first, and what they are worth.

        Args:
            embedding: Unit vector (D,).
            k: Length of the answer; all rows if there are fewer.
            temperature: The model's own, see `Clip`: the cosines are divided by it.

        Returns:
            Table with the columns rank (from 1), score (cosine, -1 to 1), margin (score
            minus that of the next row of the whole index; not a number for the last),
            probability (softmax over the whole index: Radford et al. 2021, section
            3.1.2) and those of ``items``.

        Raises:
            ClipError: If k is less than 1.
        """
        if k < 1:
            raise ClipError(f"k = {k}: expected at least 1.")
        scores = self.embeds @ np.asarray(embedding)
        # One more than asked for: the last margin reaches to it.
        order = _best(scores, k + 1)
        best = scores[order].astype("float64")
        # In place: at a million rows, copies cost more than the powers.
        powers = scores.astype("float64")
        powers -= best[:1]
        powers /= temperature
        np.exp(powers, out=powers)
        answers = self.items.iloc[order[:k]].reset_index(drop=True)
        for place, (name, values) in enumerate(
            {
                "rank": np.arange(1, len(order) + 1),
                "score": best,
                "margin": -np.diff(best, append=np.nan),
                "probability": powers[order] / powers.sum(),
            }.items()
        ):
            answers.insert(place, name, values[:k])
        return answers

    def standing(self, embedding, score: float) -> dict[str, float]:
        """Say where a score would stand among those of all rows.

        Args:
            embedding: Unit vector (D,): the query.
            score: Cosine of the query and of something that may be in the index or not.

        Returns:
            ``rank``, from 1, behind the rows that score higher; ``of``, the number of
            rows; ``better_than``, the share of them that score lower. A row that scores
            the same, as does the thing itself if it is here, counts for neither.
        """
        scores = self.embeds @ np.asarray(embedding)
        return {
            "rank": 1 + int((scores > score + ROUNDING).sum()),
            "of": len(scores),
            "better_than": float((scores < score - ROUNDING).mean()),
        }

    def part(self, split: str) -> "Index":
        """Return the rows of one split, or of "all"."""
        if split == "all":
            return self
        splits = (
            self.items["splits"] if "splits" in self.items else pd.Series(dtype=str)
        )
        keep = (splits == split).to_numpy()
        if not keep.any():
            known = ", ".join(["all", *splits.unique()])
            raise ClipError(f"gallery {split!r} is empty: expected one of {known}.")
        items = self.items[keep].reset_index(drop=True)
        return dataclasses.replace(self, embeds=self.embeds[keep], items=items)

    def save(self, path) -> Path:
        """Write an ``.npz`` file: ``embeds`` and one array a column, without pickle."""
        columns = {
            # Text as NumPy's own kind: an array of objects would need pickle.
            name: column.to_numpy(None if is_numeric_dtype(column) else str)
            for name, column in self.items.items()
        }
        about = {"model": np.array(self.model), "source": np.array(self.source)}
        return write_arrays(path, {"embeds": self.embeds, **columns, **about})

    @classmethod
    def load(cls, path, mapped: bool = False) -> "Index":
        """Read an index.

        Args:
            path: The ``.npz`` file; also one of `numpy.savez` or its compressed form.
            mapped: Leave ``embeds`` in the file, if they lie there as in memory: the
                system reads them at the first search. Their check sum is not compared
                then, and on Windows nobody can replace the file while the index is in
                use.

        Raises:
            ClipError: If there is no such file or it is not an index.
        """
        if not Path(path).is_file():
            raise ClipError(f"{path}: no such index; `make run` builds it.")
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                embeds = map_array(file, arrays, "embeds") if mapped else None
                if embeds is None:
                    embeds = arrays["embeds"]
                names = [name for name in arrays.files if name != "embeds"]
                columns = {name: arrays[name] for name in names}
            about = {name: str(columns.pop(name, "")) for name in ("model", "source")}
            if embeds.ndim != 2:
                raise ClipError(f"embeds of shape {embeds.shape}")
            # Raises if the columns are not of one length, or not of the embeddings'.
            items = pd.DataFrame(columns, index=range(len(embeds)))
            return cls(embeds, items, **about)
        except Exception as error:
            # On a damaged file zipfile, zlib and NumPy raise nearly anything.
            cause = " ".join(str(error).split()) or repr(error)
            message = f"{path}: not an index of embeddings ({cause})."
            raise ClipError(message) from error


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the rows of the highest scores, best first, as a stable sort would.

    Equal scores stay in the order of the rows; what is not a number comes last.
    """
    rows = np.arange(len(scores))
    if count < len(scores):
        # The best of a sample are no better than the best of all: who scores less than
        # the last of them is out. What remains is about as long as the sample.
        sample = -scores[:: math.isqrt(len(scores) // count)]
        border = -np.partition(sample, count - 1)[count - 1]
        rows = np.flatnonzero(~(scores < border))
    return rows[np.argsort(-scores[rows], kind="stable")][:count]
