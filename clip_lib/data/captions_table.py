"""Read the captions of a data folder.

Layout of a data folder (the course's own)::

    captions.csv                      columns image_path,label,caption
    images/<label>/<label>_<nnn>.jpg  any path will do: image_path names it
    captions/<label>_<nnn>.txt        one caption a line; read without a captions.csv

Without a column label the pictures have none, which suffices for CLIP. A column split
assigns each picture to a part; ``enriched`` in a column origin marks the captions that
a language model wrote. Other columns are ignored.
"""

import csv
import io
import posixpath
from pathlib import Path

import pandas as pd

from clip_lib.data.images import SUFFIXES
from clip_lib.errors import ClipError

TABLE = "captions.csv"
COLUMNS = ("image_path", "label", "caption")
ORIGIN, ENRICHED = "origin", "enriched"
SPLIT = "split"
READ = (*COLUMNS, ORIGIN, SPLIT)


def read_records(folder) -> pd.DataFrame:
    """Read the captions of a data folder: its captions.csv, or else its captions/*.txt.

    Returns:
        Table: image_path, label ("" where there is none), caption (and origin and
        split, if there); one row per caption.

    Raises:
        ClipError: If there is neither captions.csv nor captions/*.txt, captions.csv is
            not such a table, or a text file has not exactly one picture of its name.
            The message names the file, and the line or the field at fault.
    """
    folder = Path(folder)
    if (folder / TABLE).is_file():
        rows = _table_rows(folder / TABLE)
    elif texts := own_files(folder, "captions/*.txt"):
        rows = _text_rows(folder, texts)
    else:
        raise ClipError(
            f"{folder / TABLE}: no such file; a data folder needs it, or else "
            "captions/<name>.txt for each images/<label>/<name>.jpg."
        )
    records = pd.DataFrame([_checked(place, row) for place, row in rows])
    if records.empty:
        raise ClipError(f"{folder / TABLE}: no row under the heading.")
    if "label" not in records:
        records.insert(1, "label", "")
    return records


def picture_files(folder, pattern: str = "**/*") -> list[Path]:
    """Return the files named like pictures, relative to the data folder, in order."""
    paths = (path.relative_to(folder) for path in own_files(folder, pattern))
    return [path for path in paths if path.suffix.lower() in SUFFIXES]


def own_files(folder, pattern: str) -> list[Path]:
    """List files, but not what systems add: .ipynb_checkpoints/, ._dog.jpg of macOS."""
    return [
        path
        for path in sorted(Path(folder).glob(pattern))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ClipError(f"{path}: not text in UTF-8 ({error}).") from error


def _table_rows(path: Path):
    """Yield each row of captions.csv, as its place and {column: value}."""
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""), strict=True)
    try:
        heading = list(reader.fieldnames or [])
        faulty = [name for name in ("image_path", "caption") if name not in heading]
        faulty += [name for name in READ if heading.count(name) > 1]
        if faulty:
            raise ClipError(
                f"{path}: not exactly one column {', '.join(faulty)}; expected "
                f"{','.join(COLUMNS)}, found {','.join(heading)[:200]!r}."
            )
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            found = len(row.pop(None, [])) + len(heading) - [*row.values()].count(None)
            if found != len(heading):
                raise ClipError(
                    f"{place}: {found} fields, expected {len(heading)}; a caption that "
                    "holds a comma stands between quotes."
                )
            yield place, {name: row[name] for name in READ if name in row}
    except csv.Error as error:
        raise ClipError(f"{path}: not a CSV file ({error}).") from error


def _text_rows(folder: Path, texts: list[Path]):
    """Yield the captions of captions/<name>.txt, as rows of a table.

    The label is the name of the folder that holds the picture <name>.
    """
    pictures = {}
    for path in picture_files(folder, "images/*/*"):
        pictures.setdefault(path.stem, []).append(path)
    for text in texts:
        found = pictures.get(text.stem, [])
        if len(found) != 1:
            raise ClipError(
                f"{text}: {len(found)} pictures, expected one: "
                f"images/<label>/{text.stem}.jpg (or .png, .webp, .gif...)."
            )
        lines = [line for line in _read_text(text).splitlines() if line.strip()]
        about = {"image_path": found[0].as_posix(), "label": found[0].parent.name}
        for caption in lines or [""]:
            yield str(text), about | {"caption": caption}


def _checked(place: str, row: dict[str, str]) -> dict[str, str]:
    """Normalise a row: no empty field, a caption on one line, one path per picture."""
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
