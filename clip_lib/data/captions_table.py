"""Read and check the table of a data folder.

Layout of a data folder (the course's own)::

    captions.csv                      columns image_path,label,caption
    images/<label>/<label>_<nnn>.jpg  any path will do: image_path names it
    captions/<label>_<nnn>.txt        a caption a line; read if there is no captions.csv

Without a column label, the pictures have none: CLIP needs none. A column split, if
there is one, says which part each picture belongs to; a column origin says
``enriched`` of what a language model wrote. Other columns are not read.
"""

import csv
import io
import posixpath
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from clip_lib.data.images import SUFFIXES, open_picture
from clip_lib.errors import ClipError

TABLE = "captions.csv"
COLUMNS = ("image_path", "label", "caption")
NEEDED = ("image_path", "caption")
ORIGIN, ENRICHED = "origin", "enriched"
SPLIT = "split"


def read_records(folder) -> pd.DataFrame:
    """Read the captions of a data folder: its captions.csv, or else its captions/*.txt.

    Args:
        folder: Data folder, in the layout above.

    Returns:
        Table: image_path, label ("" where there is none), caption (and origin and
        split, if there); one row per caption.

    Raises:
        ClipError: If there is neither captions.csv nor captions/*.txt. If captions.csv
            is empty, not CSV in UTF-8, lacks a column (all named), or has a row with
            too few or too many fields, an empty field, or a picture outside the folder
            (the first one is named). If a text file is not UTF-8, holds no caption, or
            has not exactly one picture of its name.
    """
    folder = Path(folder)
    if (folder / TABLE).is_file():
        columns, rows = _rows_of_table(folder / TABLE)
    elif caption_files(folder):
        columns, rows = COLUMNS, _rows_of_texts(folder)
    else:
        raise ClipError(
            f"{folder / TABLE}: no such file; a data folder needs it, or else "
            "captions/<name>.txt for each images/<label>/<name>.jpg."
        )
    checked = [
        _checked(place, dict(zip(columns, row, strict=True))) for place, row in rows
    ]
    records = pd.DataFrame(checked)
    if "label" not in records:
        records.insert(1, "label", "")
    return records


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
        ClipError: If the file is not text in UTF-8.
    """
    lines = (" ".join(line.split()) for line in _read_text(Path(path)).splitlines())
    return [line for line in lines if line]


def _read_text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ClipError(f"{path}: not text in UTF-8 ({error}).") from error
    if "\0" in text:
        raise ClipError(f"{path}: not text in UTF-8 (it holds a zero byte).")
    return text


def _rows_of_table(path: Path):
    """Read captions.csv: the columns that are used; each row's place and fields."""
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    try:
        # Blank lines are no rows.
        rows = [(f"{path}, line {reader.line_num}", row) for row in reader if row]
    except csv.Error as error:
        raise ClipError(f"{path}: not a CSV file ({error}).") from error
    if not rows:
        raise ClipError(f"{path}: empty, expected {','.join(COLUMNS)}.")
    (_, heading), *rows = rows
    faulty = [name for name in NEEDED if heading.count(name) != 1]
    faulty += [name for name in ("label", ORIGIN, SPLIT) if heading.count(name) > 1]
    if faulty:
        raise ClipError(
            f"{path}: not one column {', '.join(faulty)}; expected "
            f"{','.join(COLUMNS)}, found {','.join(heading)[:200]!r}."
        )
    if not rows:
        raise ClipError(f"{path}: no row under the heading.")
    for place, row in rows:
        if len(row) != len(heading):
            raise ClipError(
                f"{place}: {len(row)} fields, expected {len(heading)}; a caption that "
                "holds a comma stands between quotes."
            )
    columns = [name for name in (*COLUMNS, ORIGIN, SPLIT) if name in heading]
    order = [heading.index(name) for name in columns]
    return columns, [(place, [row[column] for column in order]) for place, row in rows]


def _rows_of_texts(folder: Path) -> list[tuple[str, list[str]]]:
    """Read captions/<name>.txt: the label is the folder of the picture <name>."""
    pictures = {}
    for path in picture_files(folder, "images/*/*"):
        pictures.setdefault(path.stem, []).append(path)
    rows = []
    for text in caption_files(folder):
        found = pictures.get(text.stem, [])
        if len(found) != 1:
            raise ClipError(
                f"{text}: {len(found)} pictures, expected one: "
                f"images/<label>/{text.stem}.jpg (or .png, .webp, .gif...)."
            )
        picture, label = found[0].as_posix(), found[0].parent.name
        captions = read_captions(text) or [""]
        rows += [(str(text), [picture, label, caption]) for caption in captions]
    return rows


def _checked(place: str, row: dict[str, str]) -> dict[str, str]:
    """Normalise a row: no field empty, a caption on one line, one name a picture."""
    picture = row["image_path"].strip()
    row = {name: " ".join(value.split()) for name, value in row.items()}
    for name, value in row.items():
        if not value and name != ORIGIN:
            raise ClipError(f"{place}: no {name}.")
    # ./a.jpg and a.jpg must not fall into two parts of the split.
    normal = posixpath.normpath(picture.replace("\\", "/"))
    leaves = normal.startswith(("/", "../")) or normal in (".", "..") or ":" in normal
    if leaves or any(character < " " for character in normal):
        raise ClipError(
            f"{place}: image_path {picture[:200]!r} is not inside the data folder; "
            "expected a relative path such as images/dog/dog_001.jpg."
        )
    return row | {"image_path": normal}


def check_pictures(folder, records: pd.DataFrame) -> None:
    """Open every picture of the table, with a progress bar.

    Raises:
        ClipError: If a picture is missing or does not decode: all of them are named.
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
        raise ClipError(f"{len(faults)} unusable pictures:\n  {listing}")
