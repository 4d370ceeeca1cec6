"""Write the enriched data folder beside the original, whole or not at all.

Pictures are copied. A hard link would save their few megabytes, but not every disk has
links (exFAT, a network share, another drive on Windows), and editing a linked picture
in one folder would edit it in the other: the originals are never touched.
"""

import json
import shutil
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from clip_lib.data.captions_table import ENRICHED, ORIGIN, SPLIT, TABLE, read_records
from clip_lib.data.dataset import Dataset
from clip_lib.errors import ClipError

REPORT = "enrichment.json"


def check_places(source: Path, output: Path) -> None:
    """Check that one folder can be enriched into another.

    Raises:
        ClipError: If ``output`` is not empty or lies within ``source``.
    """
    if output.resolve().is_relative_to(source.resolve()):
        raise ClipError(
            f"--output {output}: inside {source}, which is not modified; expected a "
            "folder elsewhere."
        )
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise ClipError(
            f"--output {output}: not empty; name another folder or remove it yourself."
        )


def write_folder(
    dataset: Dataset, rows: list[dict], output: Path, report: dict, replace: bool
) -> None:
    """Write captions.csv, the pictures and the report.

    Args:
        dataset: The original data.
        rows: What became of each row; see `runner.Enrichment.rows`.
        output: A folder that is missing or empty.
        report: The content of enrichment.json.
        replace: Whether an enriched caption replaces the original; otherwise it gets a
            row of its own below, marked in the column ``origin``.
    """
    table = _table(dataset, rows, replace)
    try:
        for name in tqdm(table["image_path"].unique(), "Copying pictures", delay=2):
            (output / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(dataset.folder / name, output / name)
        content = json.dumps(report, indent=1, ensure_ascii=False)
        (output / REPORT).write_text(content, encoding="utf-8")
        table.to_csv(output / TABLE, index=False, lineterminator="\n")
    except BaseException:  # also Ctrl-C
        shutil.rmtree(output, ignore_errors=True)
        raise


def _table(dataset: Dataset, rows: list[dict], replace: bool) -> pd.DataFrame:
    """Return captions.csv, with label and split if the original has them."""
    table = pd.DataFrame(rows)[["image_path", "label", "caption", "enriched"]]
    longer = table.dropna(subset="enriched").assign(**{ORIGIN: ENRICHED})
    longer["caption"] = longer.pop("enriched")
    table = table.drop(columns="enriched").assign(**{ORIGIN: "original"})
    if replace:
        table = table.drop(index=longer.index)
    table = pd.concat([table, longer]).sort_index(kind="stable")
    own = read_records(dataset.folder)
    if SPLIT in own:
        splits = own.drop_duplicates("image_path").set_index("image_path")[SPLIT]
        table[SPLIT] = table["image_path"].map(splits)
    left_out = [ORIGIN] * replace + ["label"] * (not dataset.class_names)
    return table.drop(columns=left_out)
