"""Search in a part of a gallery only: a sub-folder, a span of time."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd

from clip_lib.data.images import date_taken
from clip_lib.errors import ClipError
from clip_lib.retrieval.search import Search


def narrow(search: Search, folder="", since="", until="") -> Search:
    """Keep the pictures of a sub-folder and of a time, and their captions.

    Args:
        search: What is searched.
        folder: Name of a sub-folder, or a part of a path: "2019/Rome".
        since, until: Dates of the exposure, both included: "2019", "2019-07" or
            "2019-07-31"; a picture without one is left out.

    Raises:
        ClipError: If nothing is left, or a date is none.
    """
    items, about = search.images.items, []
    keep = np.ones(len(items), bool)
    if folder:
        about += [f"in {folder}"]
        wanted = f"/{Path(folder).as_posix().strip('/')}/"
        paths = items["paths"].map(lambda path: Path(path).as_posix())
        keep &= paths.str.contains(wanted, regex=False).to_numpy()
    for date, word in ((since, "since"), (until, "until")):
        if not date:
            continue
        about += [f"{word} {date}"]
        if not re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", date):
            raise ClipError(f"{date!r}: expected a date such as 2019, 2019-07-31.")
        taken = dates(items).str[: len(date)]
        keep &= ((taken >= date) if word == "since" else (taken <= date)).to_numpy()
        keep &= (taken != "").to_numpy()
    if not about:
        return search
    if not keep.any():
        raise ClipError(f"{search.images.source}: no picture {', '.join(about)}.")
    images, texts = search.images.where(keep), search.texts
    if texts is not None:
        texts = texts.where(texts.items["image_paths"].isin(images.items["paths"]))
    return dataclasses.replace(search, images=images, texts=texts)


def dates(items: pd.DataFrame) -> pd.Series:
    """Return when each picture was taken, see `date_taken`."""
    return items["taken"] if "taken" in items else items["paths"].map(date_taken)
