"""Read, check and split the table of a data folder.

Layout of a data folder (the course's own)::

    captions.csv                      columns image_path,label,caption
    images/<label>/<label>_<nnn>.jpg  any path will do: image_path names it
    captions/<label>_<nnn>.txt        a caption a line; read if there is no captions.csv

A column origin, if there is one, says ``enriched`` of what a language model wrote.
"""

import csv
import io
import posixpath
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from clip_lib.config import Config
from clip_lib.folds import hold_out
from clip_lib.images import SUFFIXES, open_picture

TABLE = "captions.csv"
COLUMNS = ("image_path", "label", "caption")
ORIGIN, ENRICHED = "origin", "enriched"
MIN_PICTURES = 10
"""Fewest pictures of a label, for each of the three parts to have some."""


def read_records(folder) -> pd.DataFrame:
    """Read the captions of a data folder: its captions.csv, or else its captions/*.txt.

    Args:
        folder: Data folder, in the layout above.

    Returns:
        Table: image_path, label, caption (and origin, if there); one row per caption.

    Raises:
        ValueError: If there is neither captions.csv nor captions/*.txt. If captions.csv
            is empty, not CSV in UTF-8, lacks a column (all named), or has a row with
            too few or too many fields, an empty field, or a picture outside the folder
            (the first one is named). If a text file is not UTF-8, holds no caption, or
            has not exactly one picture of its name.
    """
    folder = Path(folder)
    if (folder / TABLE).is_file():
        rows = _rows_of_table(folder / TABLE)
    elif caption_files(folder):
        rows = _rows_of_texts(folder)
    else:
        raise ValueError(
            f"{folder / TABLE}: no such file; a data folder needs it, or else "
            "captions/<name>.txt for each images/<label>/<name>.jpg."
        )
    checked = [_checked(*row) for row in rows]
    return pd.DataFrame(checked, columns=[*COLUMNS, ORIGIN][: len(checked[0])])


def caption_files(folder) -> list[Path]:
    """Return the text files of captions/, in the order of their names."""
    return [path for path in _own_files(folder, "captions/*") if path.suffix == ".txt"]


def picture_files(folder, pattern: str = "**/*") -> list[Path]:
    """Return what is named like a picture, relative to the data folder, in order."""
    paths = (path.relative_to(folder) for path in _own_files(folder, pattern))
    return [path for path in paths if path.suffix.lower() in SUFFIXES]


def _own_files(folder, pattern: str) -> list[Path]:
    """List files, without what systems add: .ipynb_checkpoints/, ._dog.jpg of macOS."""
    folder = Path(folder)
    return [
        path
        for path in sorted(folder.glob(pattern))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def read_captions(path) -> list[str]:
    """Read the text file of a picture: a caption a line, blank lines left out.

    Raises:
        ValueError: If the file is not text in UTF-8.
    """
    lines = (" ".join(line.split()) for line in _read_text(Path(path)).splitlines())
    return [line for line in lines if line]


def _read_text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not text in UTF-8 ({error}).") from error
    if "\0" in text:
        raise ValueError(f"{path}: not text in UTF-8 (it holds a zero byte).")
    return text


def _rows_of_table(path: Path) -> list[tuple[str, list[str]]]:
    """Read captions.csv: the place of each row and its fields."""
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    try:
        # Blank lines are no rows.
        rows = [(f"{path}, line {reader.line_num}", row) for row in reader if row]
    except csv.Error as error:
        raise ValueError(f"{path}: not a CSV file ({error}).") from error
    if not rows:
        raise ValueError(f"{path}: empty, expected {','.join(COLUMNS)}.")
    (_, heading), *rows = rows
    faulty = [name for name in COLUMNS if heading.count(name) != 1]
    if faulty:
        raise ValueError(
            f"{path}: not one column {', '.join(faulty)}; expected "
            f"{','.join(COLUMNS)}, found {','.join(heading)[:200]!r}."
        )
    if not rows:
        raise ValueError(f"{path}: no row under the heading.")
    for place, row in rows:
        if len(row) != len(heading):
            raise ValueError(
                f"{place}: {len(row)} fields, expected {len(heading)}; a caption that "
                "holds a comma stands between quotes."
            )
    order = [heading.index(name) for name in (*COLUMNS, ORIGIN) if name in heading]
    return [(place, [row[column] for column in order]) for place, row in rows]


def _rows_of_texts(folder: Path) -> list[tuple[str, list[str]]]:
    """Read captions/<name>.txt: the label is the folder of the picture <name>."""
    pictures = {}
    for path in picture_files(folder, "images/*/*"):
        pictures.setdefault(path.stem, []).append(path)
    rows = []
    for text in caption_files(folder):
        found = pictures.get(text.stem, [])
        if len(found) != 1:
            raise ValueError(
                f"{text}: {len(found)} pictures, expected one: "
                f"images/<label>/{text.stem}.jpg (or .png, .webp, .gif...)."
            )
        picture, label = found[0].as_posix(), found[0].parent.name
        captions = read_captions(text) or [""]
        rows += [(str(text), [picture, label, caption]) for caption in captions]
    return rows


def _checked(place: str, row: list[str]) -> tuple[str, ...]:
    """Normalise a row: no field empty, a caption on one line, one name a picture."""
    picture, label, caption, *origin = row
    row = picture.strip(), " ".join(label.split()), " ".join(caption.split())
    for name, value in zip(COLUMNS, row, strict=True):
        if not value:
            raise ValueError(f"{place}: no {name}.")
    # ./a.jpg and a.jpg must not fall into two parts of the split.
    normal = posixpath.normpath(row[0].replace("\\", "/"))
    leaves = normal.startswith(("/", "../")) or normal in (".", "..") or ":" in normal
    if leaves or any(character < " " for character in normal):
        raise ValueError(
            f"{place}: image_path {picture[:200]!r} is not inside the data folder; "
            "expected a relative path such as images/dog/dog_001.jpg."
        )
    return normal, *row[1:], *(value.strip() for value in origin)


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
    and tested under another. With ``config.folds``, the test part is one of the folds
    of a cross-validation; see `hold_out`.

    Raises:
        ValueError: If a label has too few pictures for the three parts or the folds, a
            picture has two labels, or there is no such fold.
    """
    pictures = records.drop_duplicates(["image_path", "label"])
    twice = pictures["image_path"][pictures["image_path"].duplicated()]
    if len(twice):
        raise ValueError(f"{twice.iloc[0]}: two labels for one picture.")
    counts = pictures["label"].value_counts()
    if counts.min() < MIN_PICTURES:
        raise ValueError(
            f"label {counts.idxmin()!r}: {counts.min()} pictures, expected at least "
            f"{MIN_PICTURES} to split them in three."
        )
    rest, test = hold_out(pictures, config)
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
