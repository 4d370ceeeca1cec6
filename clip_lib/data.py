"""From a folder of captioned pictures to a table split in three.

Layout of a data folder (the course's own)::

    captions.csv                      columns image_path,label,caption
    images/<label>/<label>_<nnn>.jpg  any path will do: image_path names it
"""

import dataclasses
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from clip_lib.config import Config
from clip_lib.images import open_picture
from clip_lib.source import find_folder

COLUMNS = ("image_path", "label", "caption")
SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A table of captioned pictures.

    Attributes:
        folder: Where the pictures are; ``image_path`` is relative to it.
        records: One row per caption: image_path, label, caption, split.
        class_names: The labels, in alphabetical order; a label's number is its place.
        drawn: Whether these are drawn scenes rather than photographs.
    """

    folder: Path
    records: pd.DataFrame
    class_names: tuple[str, ...]
    drawn: bool = False

    def part(self, split: str) -> pd.DataFrame:
        """Return the rows of "train", "validation", "test" or "all"."""
        if split == "all":
            return self.records
        if split not in SPLITS:
            raise ValueError(f"split {split!r}: expected one of {(*SPLITS, 'all')}.")
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
        """Rows opened once, at the end."""
        return self.part("test")

    def labels(self, records: pd.DataFrame) -> list[int]:
        """Return the number of each row's label."""
        return [self.class_names.index(label) for label in records["label"]]

    def paths(self, records: pd.DataFrame) -> list[str]:
        """Return the path of each row's picture, ready to open."""
        return [str(self.folder / path) for path in records["image_path"]]


def read_records(folder) -> pd.DataFrame:
    """Read captions.csv of a data folder.

    Args:
        folder: Data folder, in the layout above.

    Returns:
        Table with the columns image_path, label, caption, one row per caption.

    Raises:
        ValueError: If captions.csv is missing, empty, not text, lacks a column (all
            named), or has an empty cell (first row named).
    """
    path = Path(folder) / "captions.csv"
    if not path.is_file():
        raise ValueError(f"{path}: no such file; a data folder needs it.")
    try:
        # keep_default_na: a caption or a label may well be the word "None" or "NA".
        records = pd.read_csv(path, dtype=str, keep_default_na=False)
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path}: empty, expected {','.join(COLUMNS)}.") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a CSV file in UTF-8 ({error}).") from error
    missing = [name for name in COLUMNS if name not in records.columns]
    if missing:
        raise ValueError(
            f"{path}: no column {', '.join(missing)}; expected {','.join(COLUMNS)}, "
            f"found {','.join(map(str, records.columns))}."
        )
    if records.empty:
        raise ValueError(f"{path}: no row under the heading.")
    records = records[list(COLUMNS)].apply(lambda column: column.str.strip())
    for name in COLUMNS:
        blank = records.index[records[name] == ""]
        if len(blank):
            raise ValueError(f"{path}: no {name} in row {blank[0] + 2}.")
    return records


def check_pictures(folder, records: pd.DataFrame) -> None:
    """Open every picture of the table, with a progress bar.

    Raises:
        ValueError: If a picture is missing or does not decode: all of them are named.
    """
    faults = []
    for name in tqdm(
        records["image_path"].unique(), "Checking pictures", delay=2, leave=False
    ):
        try:
            open_picture(Path(folder) / name)
        except ValueError as error:
            faults.append(str(error))
    if faults:
        listing = "\n  ".join(faults)
        raise ValueError(f"{len(faults)} unusable pictures:\n  {listing}")


def split_records(records: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Add the column ``split``: by picture, stratified by label, seeded.

    The split is by picture, not by row, so that no picture is learned under one caption
    and tested under another.

    Raises:
        ValueError: If a label has too few pictures for the three parts, or a picture
            has two labels.
    """
    pictures = records.drop_duplicates(["image_path", "label"])
    twice = pictures["image_path"][pictures["image_path"].duplicated()]
    if len(twice):
        raise ValueError(f"{twice.iloc[0]}: two labels for one picture.")
    counts = pictures["label"].value_counts()
    needed = 10
    if counts.min() < needed:
        raise ValueError(
            f"label {counts.idxmin()!r}: {counts.min()} pictures, expected at least "
            f"{needed} to split them in three."
        )
    rest, test = train_test_split(
        pictures,
        test_size=config.test_share,
        stratify=pictures["label"],
        random_state=config.seed,
    )
    _, validation = train_test_split(
        rest,
        test_size=round(config.validation_share * len(pictures)),
        stratify=rest["label"],
        random_state=config.seed,
    )
    split = pd.Series("train", index=pictures["image_path"])
    split[validation["image_path"]] = "validation"
    split[test["image_path"]] = "test"
    return records.assign(split=records["image_path"].map(split))


def load_dataset(config: Config) -> Dataset:
    """Find, read, check and split the data.

    Raises:
        ValueError: See `find_folder`, `read_records`, `check_pictures` and
            `split_records`.
    """
    folder, drawn = find_folder(config)
    records = read_records(folder)
    check_pictures(folder, records)
    records = split_records(records, config)
    return Dataset(folder, records, tuple(sorted(records["label"].unique())), drawn)
