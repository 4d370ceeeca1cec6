"""Embeddings on disk, and the search among them.

The files are what the course defines: ``image_index.npz`` holds ``embeds`` and
``paths``, ``text_index.npz`` holds ``embeds``, ``captions`` and ``image_paths``. Both
also say in which ``splits`` each row was, so that a demonstration can keep to pictures
that the model never learned.
"""

import dataclasses
import os
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd


@dataclasses.dataclass(frozen=True)
class Index:
    """Embeddings, and what each of them stands for.

    Attributes:
        embeds: float32 (N, D), unit vectors.
        items: Table of N rows: the columns that the file stores beside ``embeds``.
    """

    embeds: np.ndarray
    items: pd.DataFrame

    def search(self, embedding, k: int = 5) -> pd.DataFrame:
        """Return the k nearest rows of ``items``, best first, with rank and score.

        Args:
            embedding: Unit vector (D,).
            k: Length of the answer; all rows if there are fewer.

        Returns:
            Table with the columns rank (from 1), score (cosine, -1 to 1) and those of
            ``items``.
        """
        if k < 1:
            raise ValueError(f"k = {k}: expected at least 1.")
        scores = self.embeds @ np.asarray(embedding)
        order = np.argsort(-scores, kind="stable")[:k]
        answers = self.items.iloc[order].reset_index(drop=True)
        answers.insert(0, "rank", np.arange(1, len(order) + 1))
        answers.insert(1, "score", scores[order])
        return answers

    def part(self, split: str) -> "Index":
        """Return the rows of one split, or of "all"."""
        if split == "all":
            return self
        keep = (self.items["splits"] == split).to_numpy()
        if not keep.any():
            raise ValueError(
                f"gallery {split!r} is empty: expected all or one of "
                f"{', '.join(self.items['splits'].unique())}."
            )
        return Index(self.embeds[keep], self.items[keep].reset_index(drop=True))

    def save(self, path) -> Path:
        """Write an ``.npz`` file: ``embeds`` and one array a column, without pickle."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        columns = {name: self.items[name].to_numpy(dtype=str) for name in self.items}
        with open(temporary, "wb") as file:
            np.savez_compressed(file, embeds=self.embeds, **columns)
        os.replace(temporary, path)
        return path

    @classmethod
    def load(cls, path) -> "Index":
        """Read an index.

        Raises:
            ValueError: If there is no such file or it is not an index.
        """
        if not Path(path).is_file():
            raise ValueError(f"{path}: no such index; `make run` builds it.")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                columns = {name: arrays[name] for name in arrays.files}
            return cls(columns.pop("embeds"), pd.DataFrame(columns))
        except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
            raise ValueError(
                f"{path}: not an index of embeddings ({error})."
            ) from error
