"""The commands that take one's own picture files: label, sort or index them."""

import shlex
import sys
from pathlib import Path

from clip_lib.cli.common import add
from clip_lib.errors import ClipError


def classify(arguments, config) -> int:
    """Label pictures with any words, without training: zero-shot."""
    from clip_lib.cli.output import list_faults, print_json
    from clip_lib.retrieval.answers import answer_lines, answer_records
    from clip_lib.retrieval.photo_folder import embed_files
    from clip_lib.retrieval.search import Clip
    from clip_lib.retrieval.zero_shot import TEMPLATES, label_index

    model_file = arguments.model or config.clip_file
    clip = Clip.load(model_file)
    labels = _labels(arguments.labels, clip, model_file)
    templates = arguments.template or TEMPLATES
    index = label_index(clip, labels, templates)
    # Our own templates are no one's mistake.
    _warn_of_labels(clip, labels, arguments.template or ())
    read, embeds, faults = embed_files(clip, arguments.images)
    tables = [index.search(one, len(labels), clip.temperature) for one in embeds]
    if arguments.json:
        found = zip(read, map(answer_records, tables), strict=True)
        print_json([{"path": path, "labels": table} for path, table in found])
    else:
        for path, table in zip(read, tables, strict=True):
            print(f"{path}\n{answer_lines(table)}")
    return list_faults(faults)


def rerank(arguments, config) -> int:
    """Sort pictures of another engine or a generator, best for a text first.

    Source: Ramesh et al. 2021, Zero-Shot Text-to-Image Generation (DALL-E),
    section 2.6, where CLIP reranks what the generator drew.
    """
    import pandas as pd

    from clip_lib.cli.output import list_faults, print_json, warn_of_words
    from clip_lib.retrieval.index import Index
    from clip_lib.retrieval.photo_folder import embed_files
    from clip_lib.retrieval.search import Clip

    files = arguments.files or _lines_of_input()
    if not files:
        raise ClipError(
            "no picture to rank: expected files after the text, or one a line on the "
            "standard input."
        )
    clip = Clip.load(arguments.model or config.clip_file)
    text = clip.embed_text(arguments.text)
    warn_of_words(clip, arguments.text)
    read, embeds, faults = embed_files(clip, files)
    k = len(files) if arguments.k is None else arguments.k
    index = Index(embeds, pd.DataFrame({"paths": read}))
    answers = index.search(text, k, clip.temperature)
    if arguments.json:
        print_json(answers)
    else:
        for answer in answers.itertuples():
            start = "" if arguments.paths_only else f"{answer.score:.4f}\t"
            print(f"{start}{answer.paths}")
    return list_faults(faults)


def index(arguments, config) -> None:
    """Embed any folder of photos, or what changed in it, for search to answer from."""
    import dataclasses

    from clip_lib.cli.output import list_faults, print_json
    from clip_lib.retrieval.photo_folder import index_file, update_index
    from clip_lib.retrieval.search import Clip

    model_file = arguments.model or config.clip_file
    folder = arguments.folder
    clip = Clip.load(model_file)
    changes, path = update_index(clip, folder), index_file(clip, folder)
    list_faults(changes.unreadable, "left out")
    if arguments.json:
        about = {"folder": str(Path(folder).resolve()), "index": str(path)}
        print_json(about | dataclasses.asdict(changes))
    else:
        words = ["--gallery", str(folder)]
        words += ["--model", arguments.model] if arguments.model else []
        print(f"{changes}: {path}")
        print(f"Ask it: python -m clip_lib search TEXT {shlex.join(words)}")


def _lines_of_input() -> list[str]:
    """Read one path a line; a name may hold spaces at its ends, but no line break."""
    if sys.stdin.isatty():
        return []
    try:
        lines = [line.rstrip("\r\n").removeprefix("\ufeff") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise ClipError(f"standard input: not text in UTF-8 ({error}).") from error
    return [line for line in lines if line.strip()]


def _labels(words: str | None, clip, model_file) -> list[str]:
    """Split the labels asked for; if there are none, take those of the training."""
    from clip_lib.retrieval.search import IMAGE_INDEX_FILE, open_index

    if words is None:
        path = Path(model_file).parent / IMAGE_INDEX_FILE
        items = open_index(clip, path).items
        if "labels" not in items:
            raise ClipError(f"{path}: without labels; name some with --labels.")
        return sorted(items["labels"].unique())
    labels = [" ".join(word.split()) for word in words.split(",")]
    labels = list(dict.fromkeys(filter(None, labels)))
    if len(labels) < 2:
        raise ClipError(
            f"labels {words!r}: expected at least two, with commas between them."
        )
    return labels


def _warn_of_labels(clip, labels, templates) -> None:
    """Warn of unknown words; refuse labels if all of them are unknown."""
    from clip_lib.cli.output import warn_of_words
    from clip_lib.retrieval.zero_shot import knows_label, label_words

    strange = [label for label in labels if not knows_label(clip, label)]
    if len(strange) == len(labels):
        raise ClipError(
            f"labels {', '.join(labels)}: the model knows no word of any of them, the "
            "answers would mean nothing."
        )
    for label in strange:
        message = f"label the model knows no word of, its score means nothing: {label}"
        print(message, file=sys.stderr)
    known = [label_words(label) for label in labels if label not in strange]
    frames = [template.replace("{}", " ") for template in templates]
    warn_of_words(clip, " ".join(dict.fromkeys([*known, *frames])))


def add_commands(choices) -> None:
    """Add these commands to a parser's subparsers."""
    command = add(
        choices,
        "classify",
        classify,
        "photo.jpg",
        'photos/*.jpg --labels "dog, bike, red car"',
        'photo.jpg --template "a photo of a {}" --template "the {}"',
    )
    command.add_argument("images", nargs="+", metavar="IMAGE", help="a picture")
    command.add_argument(
        "--labels", help="any words, commas between them (the labels of the training)"
    )
    command.add_argument(
        "--template",
        action="append",
        help="a sentence with {} for the label; several are averaged",
    )
    command = add(
        choices,
        "rerank",
        rerank,
        '"A dog in the snow" drawn_1.png drawn_2.png drawn_3.png',
        '"A dog in the snow" -k 1 --paths-only < list.txt',
    )
    command.add_argument("text", help="what the pictures should show")
    command.add_argument(
        "files", nargs="*", metavar="FILE", help="pictures (standard input, one a line)"
    )
    command.add_argument("-k", type=int, help="number of answers (all)")
    command.add_argument(
        "--paths-only", action="store_true", help="no scores: for another program"
    )
    command = add(
        choices,
        "index",
        index,
        "~/photos   then: search TEXT --gallery ~/photos",
    )
    command.add_argument("folder", help="folder of photos, and the folders within it")
