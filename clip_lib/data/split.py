"""Split the pictures into training, validation and test parts."""

import pandas as pd
from sklearn.model_selection import StratifiedKFold, train_test_split

from clip_lib.config import Config
from clip_lib.data.captions_table import SPLIT
from clip_lib.errors import ClipError

SPLITS = ("train", "validation", "test")
OTHER_NAMES = {"dev": "validation", "val": "validation"}
MIN_PICTURES = 10
"""Fewest pictures of a label, for each of the three parts to have some."""


def split_records(
    records: pd.DataFrame, config: Config, fold: tuple[int, int] | None = None
) -> pd.DataFrame:
    """Add the column ``split``: the table's own, or by picture and label, seeded.

    The split is by picture, not by row: no picture is learned under one caption and
    tested under another.

    Args:
        records: Table of `read_records`.
        config: Gives ``seed`` and the shares of validation and test.
        fold: Number k and count n for cross-validation: the test part is then fold k
            of 0 to n - 1, and over all n folds each picture is tested once.

    Raises:
        ClipError: If a label has too few pictures for the three parts or the folds, a
            picture has two labels, or there is no such fold; if the table's own split
            is not one, or a fold is asked for beside it.
    """
    pictures = records.drop_duplicates(["image_path", "label"])
    twice = pictures["image_path"][pictures["image_path"].duplicated()]
    if len(twice):
        raise ClipError(f"{twice.iloc[0]}: two labels for one picture.")
    if SPLIT in records:
        if fold:
            raise ClipError(
                "the data has a split of its own, in the column split; expected no "
                "folds, or a table without that column."
            )
        return _own_split(records)
    rest, test = _hold_out(pictures, config, fold)
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


def _hold_out(pictures: pd.DataFrame, config: Config, fold):
    """Return the rest and the test pictures: a share of all, or one fold."""
    counts = pictures["label"].value_counts()
    number, folds = fold or (0, 0)
    needed = max(folds, MIN_PICTURES)
    if counts.min() < needed:
        label = counts.idxmin()
        raise ClipError(
            f"{f'label {label!r}' if label else 'the table'}: {counts.min()} pictures, "
            f"expected at least {needed} to split them."
        )
    about = {"random_state": config.seed}
    if not fold:
        about |= {"test_size": config.test_share, "stratify": pictures["label"]}
        return train_test_split(pictures, **about)
    if folds < 2 or number not in range(folds):
        raise ClipError(
            f"fold {number} of {folds}: expected at least 2 folds, and one from 0."
        )
    cut = StratifiedKFold(folds, shuffle=True, **about)
    rest, test = list(cut.split(pictures, pictures["label"]))[number]
    return pictures.iloc[rest], pictures.iloc[test]


def _own_split(records: pd.DataFrame) -> pd.DataFrame:
    """Honour the split that the table brings."""
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
