"""Embeddings on disk, and the search among them.

The files are what the course defines: ``image_index.npz`` holds ``embeds`` and
``paths``, ``text_index.npz`` holds ``embeds``, ``captions`` and ``image_paths``. Both
also say the ``labels``, in which ``splits`` each row was (a demonstration can keep to
pictures that the model never learned), and two things for all rows: ``model``, the
fingerprint of the weights, and ``source``, what the pictures are.
"""

import dataclasses
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from clip_lib.atomic import replacing


@dataclasses.dataclass(frozen=True)
class Index:
    """Embeddings, and what each of them stands for.

    Attributes:
        embeds: float32 (N, D), unit vectors.
        items: Table of N rows: the columns that the file stores beside ``embeds``.
        model: Fingerprint of the model that made the embeddings, see `Clip`.
        source: What was embedded: "photographs" or "drawn scenes".
    """

    embeds: np.ndarray
    items: pd.DataFrame
    model: str = ""
    source: str = ""

    @property
    def width(self) -> int:
        """Width D of the embeddings."""
        return self.embeds.shape[1]

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
        splits = (
            self.items["splits"] if "splits" in self.items else pd.Series(dtype=str)
        )
        keep = (splits == split).to_numpy()
        if not keep.any():
            known = ", ".join(["all", *splits.unique()])
            raise ValueError(f"gallery {split!r} is empty: expected one of {known}.")
        items = self.items[keep].reset_index(drop=True)
        return dataclasses.replace(self, embeds=self.embeds[keep], items=items)

    def save(self, path) -> Path:
        """Write an ``.npz`` file: ``embeds`` and one array a column, without pickle."""
        columns = {name: self.items[name].to_numpy(dtype=str) for name in self.items}
        about = {"model": np.array(self.model), "source": np.array(self.source)}
        with replacing(path) as temporary:
            np.savez_compressed(temporary, embeds=self.embeds, **columns, **about)
        return Path(path)

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
            about = {name: str(columns.pop(name, "")) for name in ("model", "source")}
            embeds = columns.pop("embeds")
            if embeds.ndim != 2:
                raise ValueError(f"embeds of shape {embeds.shape}")
            # Raises if the columns are not of one length, or not of the embeddings'.
            items = pd.DataFrame(columns, index=range(len(embeds)))
            return cls(embeds, items, **about)
        except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
            raise ValueError(
                f"{path}: not an index of embeddings ({error})."
            ) from error
