"""Commands for one's own picture files: classify, rerank, index."""

import dataclasses
import shlex
import sys
from pathlib import Path

import pandas as pd

from clip_lib.cli.common import (
    Answer,
    find_model,
    path_lines,
    warn_of_faults,
    warn_of_words,
)
from clip_lib.cli.parser import PROGRAM
from clip_lib.data.captions_table import read_records
from clip_lib.errors import ClipError, printable
from clip_lib.retrieval.answers import answer_lines, answer_records
from clip_lib.retrieval.folder_index import embed_files, index_file, update_index
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.photo_folder import find_data
from clip_lib.retrieval.runtime import open_clip
from clip_lib.retrieval.search import IMAGE_INDEX_FILE, open_index
from clip_lib.retrieval.zero_shot import (
    TEMPLATES,
    label_ranking,
    label_words,
    split_labels,
)


def classify(arguments, config) -> Answer:
    """Label pictures with any words, without training: zero-shot."""
    model_file = find_model(arguments.model, config)
    clip = open_clip(model_file)
    labels = _labels(arguments.labels, clip, model_file, config)
    rank = label_ranking(clip, labels, arguments.template or TEMPLATES)
    # Our own templates are no one's mistake.
    frames = [template.replace("{}", " ") for template in arguments.template or ()]
    warn_of_words(clip, *map(label_words, [*labels, *frames]))
    read, embeds, faults = embed_files(clip, arguments.images)
    tables = [rank(embedding) for embedding in embeds]
    found = list(zip(read, tables, strict=True))
    return Answer(
        "\n".join(f"{printable(path)}\n{answer_lines(table)}" for path, table in found),
        [{"path": path, "labels": answer_records(table)} for path, table in found],
        warn_of_faults(faults),
    )


def rerank(arguments, config) -> Answer:
    """Sort pictures of another engine or a generator, best for a text first.

    Source: Ramesh et al. 2021, Zero-Shot Text-to-Image Generation (DALL-E), section
    2.6, where CLIP reranks what the generator drew.
    """
    files = arguments.files or _lines_of_input()
    if not files:
        raise ClipError(
            "no picture to rank: expected files after the text, or one a line on the "
            "standard input."
        )
    clip = open_clip(find_model(arguments.model, config))
    text = clip.embed_text(arguments.text)
    warn_of_words(clip, arguments.text)
    read, embeds, faults = embed_files(clip, files)
    index = Index(embeds, pd.DataFrame({"paths": read}))
    k = len(files) if arguments.k is None else arguments.k
    answers = index.search(text, k, clip.temperature)
    text, end = path_lines(answers["paths"].tolist(), arguments.null)
    if not arguments.paths_only:
        lines = answers["score"].map("{:.4f}\t".format)
        text, end = "\n".join(lines + answers["paths"].map(printable)), "\n"
    return Answer(text, answers, warn_of_faults(faults), end=end)


def index(arguments, config) -> Answer:
    """Embed any folder of photos, or what changed in it, for search to answer from."""
    folder = arguments.folder
    clip = open_clip(find_model(arguments.model, config))
    found, changes = update_index(clip, folder)
    path = index_file(clip, folder)
    if arguments.export:
        path = found.export(arguments.export)
    warn_of_faults(changes.unreadable, "left out")
    words = ["--gallery", folder]
    words += ["--model", arguments.model] if arguments.model else []
    hint = f"{PROGRAM} search TEXT {shlex.join(words)}"
    about = {"folder": str(Path(folder).resolve()), "index": str(path)}
    about |= dataclasses.asdict(changes)
    return Answer(f"{changes}: {path}\nQuery it: {hint}", about)


def _lines_of_input() -> list[str]:
    """Read one path a line; a name may hold spaces at its ends, but no line break."""
    if sys.stdin.isatty():
        return []
    try:
        lines = [line.rstrip("\r\n").removeprefix("\ufeff") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise ClipError(f"standard input: not text in UTF-8 ({error}).") from error
    return [line for line in lines if line.strip()]


def _labels(words: str | None, clip, model_file, config) -> list[str]:
    """Split the labels given, or else take those of the training or of the data."""
    if words is None:
        path = model_file.with_name(IMAGE_INDEX_FILE)
        if path.is_file():
            labels = open_index(clip, path).items.get("labels", ())
        else:
            path = find_data(config)
            labels = read_records(path)["label"]
        if not (labels := set(filter(None, labels))):
            raise ClipError(f"{path}: without labels; name some with --labels.")
        return sorted(labels)
    if len(labels := split_labels(words)) < 2:
        raise ClipError(f"labels {words!r}: expected at least two, with commas.")
    return labels
