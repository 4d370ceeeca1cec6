"""Split the pictures into training, validation and test parts."""

import pandas as pd

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
            of 0 to n - 1; over all n folds each picture is tested once.

    Raises:
        ClipError: If the table cannot be split so, or its own split is not one.
    """
    pictures = records.drop_duplicates(["image_path", "label"])
    twice = pictures["image_path"][pictures["image_path"].duplicated()]
    if len(twice):
        raise ClipError(f"{twice.iloc[0]}: two labels for one picture.")
    if SPLIT in records:
        if fold:
            raise ClipError(
                "a fold cannot be made of data with a column split; remove the column."
            )
        return _own_split(records)
    shares = config.validation_share, config.test_share
    if min(shares) <= 0 or sum(shares) >= 1:
        raise ClipError(
            f"validation_share = {shares[0]}, test_share = {shares[1]}: expected "
            "shares above 0, together below 1."
        )
    # Here: scikit-learn takes a second to load, which a search does not need.
    from sklearn.model_selection import train_test_split

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
    labels, (number, folds) = pictures["label"], fold or (0, 0)
    counts, needed = labels.value_counts(), max(folds, MIN_PICTURES)
    if counts.min() < needed:
        label = counts.idxmin()
        raise ClipError(
            f"{f'label {label!r}' if label else 'the table'}: {counts.min()} pictures, "
            f"expected at least {needed} to split them."
        )
    from sklearn.model_selection import StratifiedKFold, train_test_split

    if not fold:
        return train_test_split(
            pictures,
            test_size=config.test_share,
            stratify=labels,
            random_state=config.seed,
        )
    cut = StratifiedKFold(folds, shuffle=True, random_state=config.seed)
    rest, test = list(cut.split(pictures, labels))[number]
    return pictures.iloc[rest], pictures.iloc[test]


def _own_split(records: pd.DataFrame) -> pd.DataFrame:
    """Honour the split that the table brings."""
    split = records[SPLIT].replace(OTHER_NAMES)
    if set(split) != set(SPLITS):
        raise ClipError(
            f"column split: found {', '.join(sorted(set(split)))}; expected each of "
            f"{', '.join(SPLITS)} (or {', '.join(OTHER_NAMES)})."
        )
    parts = split.groupby(records["image_path"]).nunique()
    if parts.max() > 1:
        raise ClipError(f"{parts.idxmax()}: in {parts.max()} parts, expected one.")
    return records.assign(**{SPLIT: split})
