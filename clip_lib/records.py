"""Read, check and split the table of a data folder.

Layout of a data folder (the course's own)::

    captions.csv                      columns image_path,label,caption
    images/<label>/<label>_<nnn>.jpg  any path will do: image_path names it
"""

import csv
import posixpath
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from clip_lib.config import Config
from clip_lib.images import open_picture

COLUMNS = ("image_path", "label", "caption")


def read_records(folder) -> pd.DataFrame:
    """Read captions.csv of a data folder.

    Args:
        folder: Data folder, in the layout above.

    Returns:
        Table with the columns image_path, label, caption, one row per caption.

    Raises:
        ValueError: If captions.csv is missing, empty, not CSV in UTF-8, lacks a column
            (all named), or has a row with too few or too many fields, an empty field,
            or a picture outside the folder (the first one is named).
    """
    path = Path(folder) / "captions.csv"
    if not path.is_file():
        raise ValueError(f"{path}: no such file; a data folder needs it.")
    try:
        rows, lines = _read_rows(path)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a CSV file in UTF-8 ({error}).") from error
    if not rows:
        raise ValueError(f"{path}: empty, expected {','.join(COLUMNS)}.")
    heading, *rows = rows
    faulty = [name for name in COLUMNS if heading.count(name) != 1]
    if faulty:
        raise ValueError(
            f"{path}: not one column {', '.join(faulty)}; expected "
            f"{','.join(COLUMNS)}, found {','.join(heading)}."
        )
    if not rows:
        raise ValueError(f"{path}: no row under the heading.")
    for row, line in zip(rows, lines[1:], strict=True):
        if len(row) != len(heading):
            raise ValueError(
                f"{path}, line {line}: {len(row)} fields, expected {len(heading)}; a "
                "caption that holds a comma stands between quotes."
            )
    records = pd.DataFrame(rows, columns=heading)[list(COLUMNS)]
    records = records.apply(lambda column: column.str.strip())
    for row, line in zip(records.itertuples(index=False), lines[1:], strict=True):
        for name, value in zip(COLUMNS, row, strict=True):
            if not value:
                raise ValueError(f"{path}, line {line}: no {name}.")
    # One name a picture: ./a.jpg and a.jpg must not fall into two parts of the split.
    records["image_path"] = [_inside(path, name) for name in records["image_path"]]
    return records


def _read_rows(path: Path) -> tuple[list[list[str]], list[int]]:
    """Read the rows of a CSV file that are not blank, and the line each one ends on."""
    rows, lines = [], []
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    return rows, lines


def _inside(path: Path, name: str) -> str:
    """Normalise the path of a picture; refuse one that leaves the data folder."""
    normal = posixpath.normpath(name.replace("\\", "/"))
    if normal.startswith(("/", "../")) or normal == ".." or ":" in normal:
        raise ValueError(
            f"{path}: image_path {name!r} is not inside the data folder; expected a "
            "relative path such as images/dog/dog_001.jpg."
        )
    return normal


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
