"""Which pictures a model learns from, which choose its best epoch, which judge it."""

import pandas as pd
from sklearn.model_selection import train_test_split

from clip_lib.config import Config
from clip_lib.data.captions_table import SPLIT
from clip_lib.data.folds import hold_out
from clip_lib.errors import ClipError

SPLITS = ("train", "validation", "test")
OTHER_NAMES = {"dev": "validation", "val": "validation"}
MIN_PICTURES = 10
"""Fewest pictures of a label, for each of the three parts to have some."""


def split_records(records: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Add the column ``split``: the table's own, or by picture and label, seeded.

    The split is by picture, not by row, so that no picture is learned under one caption
    and tested under another. With ``config.folds``, the test part is one of the folds
    of a cross-validation; see `hold_out`.

    Args:
        records: Table of `read_records`.
        config: Gives ``seed``, the shares of validation and test, and the folds.

    Raises:
        ClipError: If a label has too few pictures for the three parts or the folds, a
            picture has two labels, or there is no such fold. If the table's own split
            is not one, or folds are asked for beside it.
    """
    pictures = records.drop_duplicates(["image_path", "label"])
    twice = pictures["image_path"][pictures["image_path"].duplicated()]
    if len(twice):
        raise ClipError(f"{twice.iloc[0]}: two labels for one picture.")
    if SPLIT in records:
        return _own_split(records, config)
    counts = pictures["label"].value_counts()
    if counts.min() < MIN_PICTURES:
        label = counts.idxmin()
        raise ClipError(
            f"{f'label {label!r}' if label else 'the table'}: {counts.min()} pictures, "
            f"expected at least {MIN_PICTURES} to split them in three."
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
    return records.assign(**{SPLIT: records["image_path"].map(split)})


def _own_split(records: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Honour the split that the table brings."""
    if config.folds:
        raise ClipError(
            f"folds = {config.folds}: the data has a split of its own, in the column "
            "split; expected 0 folds, or a table without it."
        )
    split = records[SPLIT].replace(OTHER_NAMES)
    unknown = records[SPLIT][~split.isin(SPLITS)]
    if len(unknown):
        raise ClipError(
            f"split {unknown.iloc[0]!r} of {records['image_path'][unknown.index[0]]}: "
            f"expected one of {', '.join((*SPLITS, *OTHER_NAMES))}."
        )
    parts = split.groupby(records["image_path"]).nunique()
    if parts.max() > 1:
        raise ClipError(
            f"{parts.idxmax()}: in {parts.max()} parts of the split, expected one."
        )
    if missing := sorted(set(SPLITS) - set(split)):
        raise ClipError(
            f"no picture whose split is {', '.join(missing)}: expected all three parts."
        )
    return records.assign(**{SPLIT: split})
