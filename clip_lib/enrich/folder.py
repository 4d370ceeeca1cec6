"""The enriched data folder, written beside the original, whole or not at all.

Pictures are copied. A hard link would save their few megabytes, but not every disk has
links (exFAT, a network share, another drive on Windows), and what changes a linked
picture in one folder changes it in the other: the originals are never touched.
"""

import json
import os
import shutil
from collections import Counter
from pathlib import Path, PurePosixPath

import pandas as pd
from tqdm import tqdm

from clip_lib.data.captions_table import (
    COLUMNS,
    ENRICHED,
    ORIGIN,
    SPLIT,
    TABLE,
    read_records,
)
from clip_lib.data.dataset import Dataset
from clip_lib.errors import ClipError

REPORT = "enrichment.json"


def check_places(source, output) -> None:
    """Make sure that a folder can be enriched into another one.

    Raises:
        ClipError: If ``source`` is enriched already, or ``output`` is there already or
            lies within ``source``.
    """
    source, output = Path(source), Path(output)
    if (source / REPORT).exists():
        raise ClipError(
            f"{source}: enriched already ({REPORT}); expected the folder it came from."
        )
    if output.resolve().is_relative_to(source.resolve()):
        raise ClipError(
            f"--output {output}: inside {source}, which stays as it is; expected a "
            "folder elsewhere."
        )
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise ClipError(
            f"--output {output}: not empty; name another folder or remove it yourself."
        )


def write_folder(
    dataset: Dataset, rows: list[dict], output, report: dict, replace: bool = False
) -> bool:
    """Write captions.csv, captions/, images/ and the report.

    Args:
        dataset: The original data.
        rows: What became of each row; see `outcomes`.
        output: A folder that is missing or empty.
        report: What enrichment.json says.
        replace: Whether an enriched caption takes the original's place; or else it
            stands in a row of its own below, marked in the column ``origin``.

    Returns:
        Whether captions/ was written: not if two pictures would share a text.
    """
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    draft = output.with_name(f".{output.name}-{os.getpid()}")
    try:
        draft.mkdir()
        written = [line for row in rows for line in _lines(row, replace)]
        _write_table(draft / TABLE, written, replace, dataset)
        texts = _write_texts(draft / "captions", written)
        names = list(dict.fromkeys(row["image_path"] for row in rows))
        for name in tqdm(names, "Copying pictures", delay=2, leave=False):
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(dataset.folder / name, draft / name)
        content = json.dumps(report, indent=1, ensure_ascii=False)
        (draft / REPORT).write_text(content, encoding="utf-8")
        if output.exists():
            output.rmdir()  # it is empty, and Windows does not replace folders
        os.replace(draft, output)
    except BaseException:  # also on Ctrl-C: leave nothing half-written behind
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return texts


def _lines(row: dict, replace: bool) -> list[tuple[str, str, str, str]]:
    """Return the lines of captions.csv that one row becomes."""
    picture = row["image_path"], row["label"]
    original = (*picture, row["caption"], "original")
    if row["enriched"] is None:
        return [original]
    enriched = (*picture, row["enriched"], ENRICHED)
    return [enriched] if replace else [original, enriched]


def _write_table(path: Path, lines, replace: bool, dataset: Dataset) -> None:
    """Write captions.csv, with label and split if the original has them."""
    own = read_records(dataset.folder)
    columns = [name for name in COLUMNS if name != "label" or dataset.class_names]
    columns += [] if replace else [ORIGIN]
    columns += [SPLIT] if SPLIT in own else []
    table = pd.DataFrame(lines, columns=[*COLUMNS, ORIGIN])
    if SPLIT in own:
        splits = own.drop_duplicates("image_path").set_index("image_path")[SPLIT]
        table[SPLIT] = table["image_path"].map(splits)
    table.to_csv(path, columns=columns, index=False, lineterminator="\n")


def _write_texts(folder: Path, lines) -> bool:
    """Write the text of each picture, a caption a line, if their names allow it."""
    texts: dict[str, list[str]] = {}
    for picture, _, caption, _ in lines:
        texts.setdefault(picture, []).append(caption)
    # Casefold: on Windows and macOS, Dog_1.txt and dog_1.txt are one file.
    stems = Counter(PurePosixPath(picture).stem.casefold() for picture in texts)
    if max(stems.values()) > 1:
        return False
    folder.mkdir()
    for picture, captions in texts.items():
        path = folder / f"{PurePosixPath(picture).stem}.txt"
        text = "".join(f"{caption}\n" for caption in captions)
        path.write_bytes(text.encode("utf-8"))
    return True
