"""Check a data folder before training: one finding a line, each naming its file.

The folder is read as training reads it; nothing is repaired.
"""

import dataclasses
import hashlib
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from clip_lib.config import Config
from clip_lib.data.captions_table import picture_files, read_records
from clip_lib.data.images import open_picture
from clip_lib.data.split import SPLITS, split_records
from clip_lib.data.vocabulary import Vectorizer, encode, learn_vocabulary, word_tokens
from clip_lib.errors import ClipError


def check_folder(folder, config: Config, vectorizer: Vectorizer | None = None) -> dict:
    """Check a data folder: its table, its captions, its pictures and its split.

    Captions are counted by a ``vectorizer`` that cuts none, such as the tokenizer of a
    pretrained text encoder; by default in SmallBERT's words.

    Returns:
        A report, as it is written in JSON:

        * folder;
        * status: 0 sound, 1 findings, 2 unusable;
        * findings: kind, where (the file) and message of each, in order of the checks;
        * labels: for each label and all, the number of pictures, captions and pictures
          of each part of the split, words per caption (median, most), share of captions
          cut;
        * unusable: why nothing can be trained on this folder, "" if something can.
    """
    folder, unusable = Path(folder), ""
    about = {"folder": str(folder), "status": 2, "findings": [], "labels": {}}
    try:
        records = read_records(folder)
    except (ClipError, OSError) as error:
        return about | {"unusable": str(error)}
    try:
        records = split_records(records, config)
    except ClipError as error:
        unusable, records = str(error), records.assign(split="all")
    pictures = records.drop_duplicates("image_path")
    findings = list(_picture_findings(folder, pictures))
    if [one["kind"] for one in findings].count("unreadable picture") == len(pictures):
        unusable = "not one picture can be read."
    records = _count_tokens(records, config, vectorizer)
    for kind, at_fault in (
        ("empty caption", records["words"] == 0),
        ("long caption", records["tokens"] > config.sequence_length),
        ("same caption", records.duplicated("caption")),
    ):
        for row in records[at_fault].itertuples():
            findings.append(_finding(kind, row.image_path, row.caption[:200]))
    on_disk = {path.as_posix() for path in picture_files(folder)}
    for name in sorted(on_disk.difference(records["image_path"])):
        findings.append(_finding("unused picture", name, "no row names it"))
    return about | {
        "status": 2 if unusable else int(bool(findings)),
        "findings": findings,
        "labels": _label_table(records, config).to_dict(orient="index"),
        "unusable": unusable,
    }


def report_text(report: dict) -> str:
    """Format what `check_folder` returned for reading: findings, table, verdict."""
    lines = [": ".join(one.values()) for one in report["findings"]]
    if report["labels"]:
        table = pd.DataFrame.from_dict(report["labels"], orient="index")
        lines.append(table.round(3).to_string())
    lines.append(f"findings: {len(report['findings']) or 'none'}")
    lines += [f"unusable: {report['unusable']}"] if report["unusable"] else []
    return "\n".join(lines)


def _finding(kind: str, where: str, message: str) -> dict[str, str]:
    return {"kind": kind, "where": where, "message": message}


def _picture_findings(folder: Path, pictures: pd.DataFrame):
    """Decode every picture; compare the pixels, whatever the names and the formats."""
    first_of = {}
    rows = list(pictures.itertuples())
    for row in tqdm(rows, "Decoding pictures", leave=False, delay=1):
        name = row.image_path
        try:
            picture = open_picture(folder / name)
        except ClipError as error:
            cause = str(error).removeprefix(f"{folder / name}: ")
            yield _finding("unreadable picture", name, cause)
            continue
        pixels = picture.size, hashlib.sha256(picture.tobytes()).digest()
        first = first_of.setdefault(pixels, row)
        if first is not row:
            kind = "same picture" if row.split == first.split else "leak"
            message = f"in {row.split}, the pixels of {first.image_path}"
            yield _finding(kind, name, f"{message} in {first.split}")


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
