"""A data set: its table, split in three, and where its pictures are."""

import dataclasses
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from clip_lib.config import Config
from clip_lib.data.captions_table import ENRICHED, ORIGIN, read_records
from clip_lib.data.images import open_picture
from clip_lib.data.source import find_folder
from clip_lib.data.split import SPLITS, split_records
from clip_lib.errors import ClipError


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A table of captioned pictures.

    Attributes:
        folder: Where the pictures are; ``image_path`` is relative to it.
        records: One row per caption: image_path, label, caption, split.
        class_names: The labels, in alphabetical order; a label's number is its place.
            Empty for pictures without labels.
        source: What the pictures are: "photographs" or "drawn scenes".
    """

    folder: Path
    records: pd.DataFrame
    class_names: tuple[str, ...]
    source: str = "photographs"

    def part(self, split: str) -> pd.DataFrame:
        """Return the rows of "train", "validation", "test" or "all"."""
        if split == "all":
            return self.records
        if split not in SPLITS:
            raise ClipError(f"split {split!r}: expected one of {(*SPLITS, 'all')}.")
        return self.records[self.records["split"] == split].reset_index(drop=True)

    @property
    def train(self) -> pd.DataFrame:
        """Rows the models learn from."""
        return self.part("train")

    @property
    def validation(self) -> pd.DataFrame:
        """Rows that choose the checkpoint."""
        return self.part("validation")

    @property
    def test(self) -> pd.DataFrame:
        """Rows that judge the finished models, and choose nothing."""
        return self.part("test")

    def pictures(self, split: str) -> pd.DataFrame:
        """Return one row per picture of a split, with its first caption."""
        return self.part(split).drop_duplicates("image_path").reset_index(drop=True)

    def labels(self, records: pd.DataFrame) -> list[int] | None:
        """Return the number of each row's label, or None if the data has no labels."""
        if not self.class_names:
            return None
        return [self.class_names.index(label) for label in records["label"]]

    def paths(self, records: pd.DataFrame) -> list[str]:
        """Return the path of each row's picture, ready to open."""
        return [str(self.folder / path) for path in records["image_path"]]


def load_dataset(config: Config, split: bool = True, fold=None) -> Dataset:
    """Find, read, check and split the data.

    A caption whose ``origin`` is enriched is for training only: in the other parts its
    row is left out, so that no model is tested on what a language model wrote.

    A folder that only serves as a gallery is not ``split`` and may be small. For
    ``fold``, see `split_records`.

    Raises:
        ClipError: If the data is missing or faulty in any way.
    """
    folder, drawn = find_folder(config)
    records = read_records(folder)
    faults, names = [], records["image_path"].unique()
    for name in tqdm(names, "Checking pictures", delay=2, leave=False):
        try:
            open_picture(folder / name)
        except ClipError as error:
            faults.append(str(error))
    if faults:
        listing = "\n  ".join(faults)
        raise ClipError(f"{len(faults)} unusable pictures:\n  {listing}")
    if split:
        records = split_records(records, config, fold)
    else:
        records = records.assign(split="all")
    if ORIGIN in records:
        enriched = records[ORIGIN] == ENRICHED
        alone = set(records["image_path"]) - set(records["image_path"][~enriched])
        if alone:
            raise ClipError(
                f"{folder}: {min(alone)} has only a caption whose origin is {ENRICHED};"
                " expected the original beside it."
            )
        kept = ~enriched | (records["split"] == "train")
        records = records[kept].reset_index(drop=True)
    class_names = tuple(sorted(filter(None, records["label"].unique())))
    source = "drawn scenes" if drawn else "photographs"
    return Dataset(folder, records, class_names, source)
