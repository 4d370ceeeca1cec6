"""Which pictures test a model: one share of them, or each in its turn."""

import pandas as pd
from sklearn.model_selection import StratifiedKFold, train_test_split

from clip_lib.config import Config
from clip_lib.errors import ClipError


def hold_out(
    pictures: pd.DataFrame, config: Config
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Set the test pictures aside, stratified by label, seeded.

    Without folds they are a share ``test_share`` of all. With ``folds`` they are fold
    number ``fold``: over all the folds, each picture is a test picture once.

    Args:
        pictures: One row a picture, with its label.
        config: Gives ``folds``, ``fold``, ``test_share`` and ``seed``.

    Returns:
        The rest and the test pictures.

    Raises:
        ClipError: If there is no such fold, or a label has too few pictures for one in
            each fold.
    """
    labels = pictures["label"]
    if config.folds == config.fold == 0:
        return train_test_split(
            pictures,
            test_size=config.test_share,
            stratify=labels,
            random_state=config.seed,
        )
    if config.folds < 2:
        raise ClipError(
            f"folds = {config.folds}, fold = {config.fold}: expected at least 2 folds, "
            "or 0 and 0 for a single split."
        )
    if config.fold not in range(config.folds):
        raise ClipError(
            f"fold = {config.fold}: expected 0 to {config.folds - 1}, for "
            f"{config.folds} folds."
        )
    counts = labels.value_counts()
    if counts.min() < config.folds:
        raise ClipError(
            f"label {counts.idxmin()!r}: {counts.min()} pictures, expected at least "
            f"{config.folds}, one in each fold."
        )
    cut = StratifiedKFold(config.folds, shuffle=True, random_state=config.seed)
    rest, test = list(cut.split(pictures, labels))[config.fold]
    return pictures.iloc[rest], pictures.iloc[test]
