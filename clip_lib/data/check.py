"""Is a data folder sound? Every finding in one line, with the name of its file.

The folder is read with the functions that training reads it with; nothing is repaired.
"""

import dataclasses
import json
from collections import Counter, namedtuple
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from tqdm import tqdm

from clip_lib.config import Config
from clip_lib.data.captions_table import (
    caption_files,
    picture_files,
    read_captions,
    read_records,
)
from clip_lib.data.images import describe_picture
from clip_lib.data.split import MIN_PICTURES, SPLITS, split_records
from clip_lib.data.vocabulary import learn_vocabulary

Finding = namedtuple("Finding", ["kind", "where", "message"])
"""One thing to look at: what kind of thing, in which file, and what about it."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What `check_folder` found.

    Attributes:
        folder: The data folder.
        findings: One a fault, in the order of the checks.
        labels: A row a label and one for all: pictures, captions, pictures of each part
            of the split, words of a caption (median, most), share of captions cut.
        figures: Vocabulary, unknown words, sizes and modes of the whole folder.
        unusable: Why nothing can be trained on this folder; empty if something can.
    """

    folder: str
    findings: tuple[Finding, ...] = ()
    labels: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    figures: dict = dataclasses.field(default_factory=dict)
    unusable: str = ""

    @property
    def status(self) -> int:
        """Exit status: 0 sound, 1 findings, 2 unusable."""
        return 2 if self.unusable else int(bool(self.findings))

    @property
    def kinds(self) -> dict[str, int]:
        """Number of findings of each kind."""
        return dict(Counter(finding.kind for finding in self.findings))

    def to_json(self) -> str:
        """Return everything as JSON."""
        report = vars(self) | {"status": self.status, "kinds": self.kinds}
        report["findings"] = [finding._asdict() for finding in self.findings]
        report["labels"] = self.labels.to_dict(orient="index")
        return json.dumps(report, indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        """Lay everything out for reading: findings, table, figures, verdict."""
        lines = [": ".join(finding) for finding in self.findings]
        lines += [self.labels.round(3).to_string()] if len(self.labels) else []
        for name, counts in (self.figures | {"findings": self.kinds}).items():
            shown = [f"{key} ({count})" for key, count in counts.items()]
            shown[15:] = ["..."] * (len(shown) > 15)
            lines.append(f"{name}: {', '.join(shown) or 'none'}")
        lines += [f"unusable: {self.unusable}"] if self.unusable else []
        return "\n".join(lines)


def check_folder(folder, config: Config) -> Report:
    """Check a data folder: its table, its texts, its pictures and its split.

    Args:
        folder: Data folder, see `clip_lib.data.captions_table`.
        config: Says how the folder is split and how many words the model reads.

    Returns:
        The report; its status is 2 for a folder that cannot be read or split.
    """
    folder, records, unusable = Path(folder), None, ""
    try:
        records = read_records(folder)
        records = split_records(records, config)
    except (ValueError, OSError) as error:
        unusable = str(error)
        if records is None:
            return Report(str(folder), unusable=unusable)
        records = records.assign(split="all")
    records, figures = _count_words(records, config)
    pictures, findings = _decode(folder, records)
    if pictures.empty:
        unusable = "not one picture can be read."
    for name in ("size", "mode"):
        figures[name] = pictures[name].value_counts().to_dict()
    findings += _text_findings(folder, records)
    findings += _caption_findings(records, config)
    findings += _twin_findings(records, pictures)
    on_disk = {path.as_posix() for path in picture_files(folder)}
    for name in sorted(on_disk.difference(records["image_path"])):
        findings.append(Finding("unused picture", name, "no row names it"))
    labels = _label_table(records, config)
    for label, count in labels["pictures"].iloc[:-1].items():
        if count < MIN_PICTURES:
            findings.append(Finding("small label", label, f"{count} pictures"))
    return Report(str(folder), tuple(findings), labels, figures, unusable)


def _count_words(records, config: Config) -> tuple[pd.DataFrame, dict]:
    """Add the column words; count those outside the vocabulary of training."""
    trained = records["split"].isin(["train", "all"])
    # As SmallBERT's training learns it, but no caption is cut: without a length, the
    # longest one.
    whole = dataclasses.replace(config, text_encoder="smallbert", sequence_length=None)
    vectorizer = learn_vocabulary(records["caption"][trained], whole)
    token_ids = np.asarray(vectorizer(list(records["caption"])))
    words = {
        "vocabulary": vectorizer.vocabulary_size(),
        "in validation and test": int((token_ids[~trained] > 0).sum()),
        "of these unknown to training": int((token_ids[~trained] == 1).sum()),
    }
    return records.assign(words=(token_ids > 0).sum(axis=1)), {"words": words}


def _decode(folder: Path, records) -> tuple[pd.DataFrame, list[Finding]]:
    """Decode every picture: what it holds, see `describe_picture`, or a finding."""
    rows, findings = {}, []
    names = records["image_path"].unique()
    for name in tqdm(names, "Decoding pictures", delay=1, leave=False):
        try:
            rows[name] = describe_picture(folder / name)
        except ValueError as error:
            cause = str(error).removeprefix(f"{folder / name}: ")
            findings.append(Finding("unreadable picture", name, cause))
    return pd.DataFrame(rows, index=["size", "mode", "pixels"]).T, findings


def _text_findings(folder: Path, records):
    """Compare captions.csv, which is the truth, with captions/*.txt, if there are."""
    texts = {path.stem: path for path in caption_files(folder)}
    orphans = texts.copy()
    for name, captions in records.groupby("image_path", sort=False)["caption"]:
        stem = PurePosixPath(name).stem
        orphans.pop(stem, None)
        try:
            if texts and stem not in texts:
                yield Finding("missing text", name, f"no captions/{stem}.txt")
            elif texts and set(read_captions(texts[stem])) != set(captions):
                yield Finding("other text", name, f"{stem}.txt differs from its rows")
        except ValueError as error:
            yield Finding("unreadable text", name, str(error))
    for stem in orphans:
        yield Finding("orphan text", f"captions/{stem}.txt", "no row of this name")


def _caption_findings(records, config: Config):
    """Look for captions that hold no word, too many, or what another one says."""
    again = records.duplicated(["image_path", "caption"])
    owner = records.groupby("caption")["image_path"].transform("first")
    for row in records.assign(again=again, owner=owner).itertuples():
        name = row.image_path
        if not row.words:
            yield Finding("empty caption", name, "not one word in it")
        if row.words > config.sequence_length:
            yield Finding("long caption", name, f"{row.words} words, the last are cut")
        if row.again:
            yield Finding("repeated row", name, "twice the same caption")
        elif row.owner != name:
            yield Finding("same caption", name, f"the caption of {row.owner}")


def _twin_findings(records, pictures):
    """Compare the hashes of the pixels, whatever the names and the formats."""
    rows = records.drop_duplicates("image_path").set_index("image_path")
    for _, twins in pictures.groupby("pixels", sort=False):
        first, *others = rows.loc[twins.index].itertuples()
        for other in others:
            kind = "same picture" if other.split == first.split else "leak"
            message = f"in {other.split}, the pixels of {first.Index} in {first.split}"
            yield Finding(kind, other.Index, message)


def _label_table(records, config: Config) -> pd.DataFrame:
    rows = {}
    parts = [part for part in records.groupby("label") if part[0]]  # "": no label.
    for label, part in [*parts, ("all labels", records)]:
        pictures = part.drop_duplicates("image_path")
        rows[label] = {"pictures": len(pictures), "captions": len(part)}
        rows[label] |= {name: (pictures["split"] == name).sum() for name in SPLITS}
        rows[label]["median words"] = part["words"].median()
        rows[label]["most words"] = part["words"].max()
        rows[label]["cut"] = (part["words"] > config.sequence_length).mean()
    return pd.DataFrame.from_dict(rows, orient="index")
