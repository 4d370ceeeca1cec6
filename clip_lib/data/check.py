"""Check a data folder before training: one finding a line, each naming its file.

The folder is read as training reads it; nothing is repaired.
"""

import dataclasses
import hashlib
import json
from collections import namedtuple
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from clip_lib.config import Config
from clip_lib.data.captions_table import picture_files, read_records
from clip_lib.data.images import open_picture
from clip_lib.data.split import SPLITS, split_records
from clip_lib.data.vocabulary import Vectorizer, encode, learn_vocabulary, word_tokens
from clip_lib.errors import ClipError

Finding = namedtuple("Finding", ["kind", "where", "message"])
"""One thing to look at: its kind, its file, and what about it."""


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of `check_folder`.

    Attributes:
        folder: The data folder.
        findings: One for each fault, in the order of the checks.
        labels: One row per label and one for all: pictures, captions, pictures of each
            part of the split, words per caption (median, most), share of captions cut.
        unusable: Why nothing can be trained on this folder; empty if something can.
    """

    folder: str
    findings: tuple[Finding, ...] = ()
    labels: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    unusable: str = ""

    @property
    def status(self) -> int:
        """Exit status: 0 sound, 1 findings, 2 unusable."""
        return 2 if self.unusable else int(bool(self.findings))

    def to_json(self) -> str:
        """Return everything as JSON."""
        report = vars(self) | {"status": self.status}
        report["findings"] = [finding._asdict() for finding in self.findings]
        report["labels"] = self.labels.to_dict(orient="index")
        return json.dumps(report, indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        """Return everything for reading: findings, table, verdict."""
        lines = [": ".join(finding) for finding in self.findings]
        lines += [self.labels.round(3).to_string()] if len(self.labels) else []
        lines.append(f"findings: {len(self.findings) or 'none'}")
        lines += [f"unusable: {self.unusable}"] if self.unusable else []
        return "\n".join(lines)


def check_folder(folder, config: Config, vectorizer: Vectorizer | None = None):
    """Check a data folder: its table, its captions, its pictures and its split.

    Captions are counted by a ``vectorizer`` that cuts none, such as the tokenizer of a
    pretrained text encoder; by default in SmallBERT's words.

    Returns:
        The `Report`; its status is 2 for a folder that cannot be read or split.
    """
    folder, records, unusable = Path(folder), None, ""
    try:
        records = read_records(folder)
        records = split_records(records, config)
    except (ClipError, OSError) as error:
        unusable = str(error)
        if records is None:
            return Report(str(folder), unusable=unusable)
        records = records.assign(split="all")
    pictures, findings = records.drop_duplicates("image_path"), []
    findings += _picture_findings(folder, pictures)
    if sum(found.kind == "unreadable picture" for found in findings) == len(pictures):
        unusable = "not one picture can be read."
    records = _count_tokens(records, config, vectorizer)
    for kind, at_fault in (
        ("empty caption", records["words"] == 0),
        ("long caption", records["tokens"] > config.sequence_length),
        ("same caption", records.duplicated("caption")),
    ):
        for row in records[at_fault].itertuples():
            findings.append(Finding(kind, row.image_path, row.caption[:200]))
    on_disk = {path.as_posix() for path in picture_files(folder)}
    for name in sorted(on_disk.difference(records["image_path"])):
        findings.append(Finding("unused picture", name, "no row names it"))
    labels = _label_table(records, config)
    return Report(str(folder), tuple(findings), labels, unusable)


def _picture_findings(folder: Path, pictures: pd.DataFrame):
    """Decode every picture; compare the pixels, whatever the names and the formats."""
    first_of = {}
    rows, count = pictures.itertuples(), len(pictures)
    for row in tqdm(rows, "Decoding pictures", count, leave=False, delay=1):
        name = row.image_path
        try:
            picture = open_picture(folder / name)
        except ClipError as error:
            cause = str(error).removeprefix(f"{folder / name}: ")
            yield Finding("unreadable picture", name, cause)
            continue
        pixels = picture.size, hashlib.sha256(picture.tobytes()).digest()
        first = first_of.setdefault(pixels, row)
        if first is not row:
            kind = "same picture" if row.split == first.split else "leak"
            message = f"in {row.split}, the pixels of {first.image_path}"
            yield Finding(kind, name, f"{message} in {first.split}")


def _count_tokens(records, config: Config, vectorizer: Vectorizer | None):
    """Add the columns words and tokens, which differ by marks and punctuation."""
    captions = list(records["caption"])
    if vectorizer is None:
        # As long as the longest caption: none is cut.
        whole = dataclasses.replace(config, sequence_length=None)
        vectorizer = learn_vocabulary(captions, whole)
    tokens = (encode(vectorizer, captions) > 0).sum(axis=1)
    words = [len(token_ids) for token_ids in word_tokens(vectorizer, captions)]
    return records.assign(words=words, tokens=tokens)


def _label_table(records, config: Config) -> pd.DataFrame:
    rows = {}
    labels = records["label"][records["label"] != ""]  # "": no label.
    for label, part in [*records.groupby(labels), ("all labels", records)]:
        splits = part.drop_duplicates("image_path")["split"]
        rows[label] = {"pictures": len(splits), "captions": len(part)}
        rows[label] |= {name: (splits == name).sum() for name in SPLITS}
        rows[label]["median words"] = part["words"].median()
        rows[label]["most words"] = part["words"].max()
        rows[label]["cut"] = (part["tokens"] > config.sequence_length).mean()
    return pd.DataFrame.from_dict(rows, orient="index")
