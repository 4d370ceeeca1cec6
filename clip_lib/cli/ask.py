"""Commands that query a saved model: search, score, app."""

import argparse
import math
import os
from pathlib import Path

from clip_lib.cli.common import Answer, add, save_figure, warn_of_words


def search(arguments, config) -> Answer:
    """Answer one query: a text, or the path of a picture.

    python -m clip_lib search "A big dog in the woods"
    python -m clip_lib search "A big dog" -k 3 --gallery all --figure answers.png
    python -m clip_lib search "A big dog" --gallery ~/photos    once indexed
    python -m clip_lib search photo.jpg --json    its nearest texts
    """
    from clip_lib.data.images import SUFFIXES
    from clip_lib.retrieval.answers import answer_lines, gallery_words, with_captions
    from clip_lib.retrieval.photo_folder import open_gallery

    query = arguments.query
    model_file = arguments.model or config.clip_file
    engine, split = open_gallery(model_file, arguments.gallery or "test")
    # os.path: pathlib refuses to look for a file named like a text of many words.
    by_picture = os.path.isfile(query) or Path(query).suffix.lower() in SUFFIXES
    if by_picture:
        answers = engine.texts_for(query, arguments.k, split)
    else:
        answers = engine.images_for(query, arguments.k, split)
        warn_of_words(engine.clip, query)
    if arguments.figure:
        _draw(answers, query, by_picture, engine, split, arguments.figure)
    lines = answer_lines(answers if by_picture else with_captions(answers, engine))
    where = gallery_words(engine, split, "captions" if by_picture else "pictures")
    return Answer(f"among {where}\n{lines}", answers)


def score(arguments, config) -> Answer:
    """Compare a picture with a text, and rank their cosine in the gallery.

    python -m clip_lib score photo.jpg "A dog in the snow"
    python -m clip_lib score photo.jpg "A dog in the snow" --gallery all --json
    """
    from clip_lib.retrieval.answers import gallery_words
    from clip_lib.retrieval.photo_folder import open_gallery

    model_file = arguments.model or config.clip_file
    engine, split = open_gallery(model_file, arguments.gallery or "test")
    text = engine.clip.embed_text(arguments.text)
    image = engine.clip.embed_image(arguments.image)
    cosine = float(image @ text)
    warn_of_words(engine.clip, arguments.text)
    report = {"score": cosine, "gallery": arguments.gallery}
    lines = [f"cosine {cosine:.3f}"]
    for noun, index, query, subject in (
        ("pictures", engine.images, text, "this picture, for the text"),
        ("captions", engine.texts, image, "this text, for the picture"),
    ):
        if index is None:
            continue
        standing = index.part(split).standing(query, cosine)
        report[f"among_{noun}"] = standing
        # Rounded down: 100 % would mean that nothing is better.
        share = math.floor(round(100 * standing["better_than"], 6))
        where = gallery_words(engine, split, noun)
        place = f"rank {standing['rank']}, better than {share} %"
        lines.append(f"{subject}: {place} of the {where}")
    return Answer("\n".join(lines), report)


def app(arguments, config) -> Answer:
    """Serve the search page on this machine, until interrupted.

    python -m clip_lib app --gallery ~/photos    beside the model's own pictures
    """
    import signal
    import threading

    from clip_lib.web.app import launch
    from clip_lib.web.page import Page

    # Its uploads are removed at the end, whoever ends it: even where a shell has told
    # its background jobs to ignore an interrupt.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.default_int_handler)
    models = arguments.model or [config.clip_file]
    page = Page.load(models, arguments.gallery)
    _, address, _ = launch(
        page, arguments.port, arguments.open, quiet=True, prevent_thread_lock=True
    )
    return Answer(
        f"Search page: {address}\nIt shows pictures of {', '.join(page.folders)}",
        {"address": address, "folders": page.folders},
        then=threading.Event().wait,
    )


def _port(text: str) -> int:
    """Read a port."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 to 65535")
    return int(text)


def _draw(answers, query: str, by_picture: bool, engine, split: str, path: str) -> None:
    """Save the answers as a figure, like the notebook's."""
    import matplotlib

    matplotlib.use("Agg")
    from clip_lib.figures.image_grids import gallery_name, image_answers, text_answers

    where = gallery_name(engine.texts if by_picture else engine.images, split)
    if by_picture:
        figure = text_answers(query, answers, where)
    else:
        figure = image_answers(answers, query, where)
    save_figure(figure, path)


def add_commands(choices) -> None:
    """Add these commands to a parser's subparsers."""
    command = add(choices, "search", search, "--model --gallery")
    command.add_argument("query", help="a text, or the path of a picture")
    command.add_argument("-k", type=int, default=5, help="number of answers (5)")
    command.add_argument("--figure", help="file to draw the answers in (.png, .pdf)")
    command = add(choices, "score", score, "--model --gallery")
    command.add_argument("image", help="the path of a picture")
    command.add_argument("text", help="what it may show")
    command = add(choices, "app", app)
    for name, about in (("--gallery", "indexed folder"), ("--model", "file of a CLIP")):
        about += "; may be repeated"
        command.add_argument(name, action="append", default=[], help=about)
    command.add_argument("--port", type=_port, help="(a free one from 7860 on)")
    command.add_argument("--open", action="store_true", help="in the browser, at once")
