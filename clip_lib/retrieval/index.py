"""Embeddings on disk, and the search among them.

The files are what the course defines: ``image_index.npz`` holds ``embeds`` and
``paths``, ``text_index.npz`` holds ``embeds``, ``captions`` and ``image_paths``. Both
also hold ``labels``, the ``splits`` of the rows (a demonstration can keep to pictures
the model was not trained on), and two values for all rows: ``model``, the fingerprint
of the weights, and ``source``, what the pictures are. The index of a folder of photos
(see folder_index.py) has the columns ``paths``, ``size``, ``mtime_ns``, ``content``
and ``taken``.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from platformdirs import user_cache_path

from clip_lib import __version__
from clip_lib.atomic import replacing
from clip_lib.errors import ClipError, first_line

ROUNDING = 1e-5
"""Cosines closer than this are equal: batches of other sizes round differently."""


def in_cache(name: str) -> Path:
    """Return the path of a file in the user's cache directory."""
    # By version: another one may clean texts or read pictures in another way.
    return user_cache_path("clip_lib", version=__version__) / name


@dataclasses.dataclass(frozen=True, eq=False)
class Index:
    """Embeddings and the items they stand for.

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

    def search(
        self, embedding, k: int = 5, temperature: float = 1.0, left_out=()
    ) -> pd.DataFrame:
        """Return the k nearest items, best first, with their scores.

        Args:
            embedding: Unit vector (D,).
            k: Number of answers, at least 1; all rows if there are fewer.
            temperature: That of the model, see `Clip`.
            left_out: Numbers of rows that do not compete.

        Returns:
            Table with the columns rank (from 1), score (cosine, -1 to 1), margin (score
            minus that of the next row of the whole index; NaN for the last),
            probability (softmax over the whole index: Radford et al. 2021, section
            3.1.2) and those of ``items``.
        """
        if k < 1:
            raise ClipError(f"k = {k}: expected at least 1.")
        scores = (self.embeds @ np.asarray(embedding)).astype("float64")
        scores[np.asarray(left_out, int)] = -np.inf
        # The last margin needs the row after it.
        order = _best_rows(scores, min(k + 1, len(scores) - len(left_out)))
        best = scores[order]
        powers = np.exp((scores - best[:1].sum()) / temperature)
        measures = {
            "rank": np.arange(1, len(order) + 1),
            "score": best,
            "margin": -np.diff(best, append=np.nan),
            "probability": powers[order] / np.nansum(powers),
        }
        items = self.items.iloc[order].reset_index(drop=True)
        return pd.concat([pd.DataFrame(measures), items], axis=1)[:k]

    def standing(self, embedding, score: float) -> dict[str, float]:
        """Compare the score of a query (D,) and any item with those of all rows.

        Returns:
            ``rank``, from 1, behind the rows that score higher; ``of``, the number of
            rows; ``better_than``, the share of rows that score lower. Rows of the same
            score, such as the item itself, count for neither.
        """
        scores = self.embeds @ np.asarray(embedding)
        return {
            "rank": 1 + int((scores > score + ROUNDING).sum()),
            "of": len(scores),
            "better_than": float((scores < score - ROUNDING).mean()),
        }

    def part(self, split: str) -> "Index":
        """Return the rows of one split, or of "all"; ClipError if there are none."""
        if split == "all":
            return self
        splits = self.items.get("splits", pd.Series(dtype=str))
        keep = (splits == split).to_numpy()
        if not keep.any():
            known = ", ".join(["all", *splits.unique()])
            raise ClipError(f"gallery {split!r} is empty: expected one of {known}.")
        return self.where(keep)

    def where(self, keep: np.ndarray) -> "Index":
        """Return the rows that a mask (N,) keeps."""
        items = self.items[keep].reset_index(drop=True)
        return dataclasses.replace(self, embeds=self.embeds[keep], items=items)

    def save(self, path) -> Path:
        """Write an ``.npz`` file: ``embeds`` and one array a column, without pickle."""
        columns = {
            # Text as NumPy's own kind: an array of objects would need pickle.
            name: column.to_numpy(None if is_numeric_dtype(column) else str)
            for name, column in self.items.items()
        }
        about = {"model": self.model, "source": self.source}
        with replacing(path) as temporary:
            np.savez(temporary, embeds=self.embeds, **columns, **about)
        return Path(path)

    def export(self, path) -> Path:
        """Write ids, columns and vectors for another engine; see docs/engines.md.

        The ``.npy`` file holds the vectors, a ``.csv`` beside it the rest.

        Raises:
            ClipError: If the path has another suffix, or a table of another kind is
                beside it.
        """
        path, table = Path(path), Path(path).with_suffix(".csv")
        if path.suffix != ".npy":
            raise ClipError(f"{path}: expected a name ending in .npy.")
        if table.is_file() and not table.read_bytes().startswith(b"id,"):
            raise ClipError(f"{table}: another table is there; name another file.")
        with replacing(path) as temporary:
            np.save(temporary, self.embeds)
        with replacing(table) as temporary:
            self.items.rename_axis("id").to_csv(temporary)
        return path

    @classmethod
    def load(cls, path) -> "Index":
        """Read an index; ClipError if there is no such file or it is not an index."""
        if not Path(path).is_file():
            raise ClipError(f"{path}: no such index; `make run` builds it.")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                columns = dict(arrays)
            embeds = columns.pop("embeds")
            about = {name: str(columns.pop(name, "")) for name in ("model", "source")}
            if embeds.ndim != 2 or not columns:
                raise ClipError(f"{embeds.shape} embeds, {len(columns)} columns")
            # Raises if the columns are not of one length, or not of the embeddings'.
            items = pd.DataFrame(columns, index=range(len(embeds)))
            return cls(embeds, items, **about)
        except Exception as error:  # zipfile, zlib and NumPy raise nearly anything.
            cause = first_line(error)
            raise ClipError(f"{path}: not an index of embeddings ({cause}).") from error


def _best_rows(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the rows of the highest scores, best first; equal ones in their order."""
    scores = np.where(np.isnan(scores), -np.inf, scores)  # Last.
    rows = np.arange(len(scores))
    if 0 < count < len(scores):  # Sorting all of a large index takes ten times as long.
        place = len(scores) - count
        rows = np.flatnonzero(scores >= np.partition(scores, place)[place])
    return rows[np.argsort(-scores[rows], kind="stable")[:count]]
