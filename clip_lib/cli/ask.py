"""The commands that ask a saved model. Imports stand inside: they take long."""

import argparse
import json
import math
import os
import signal
import threading
from pathlib import Path

from clip_lib.cli.common import GALLERY, MODEL, add
from clip_lib.errors import ClipError


def search(arguments, config) -> None:
    """Answer one query: a text, or the path of a picture."""
    from clip_lib.cli.output import print_json, warn_of_words
    from clip_lib.data.images import SUFFIXES
    from clip_lib.retrieval.answers import answer_lines, gallery_words, with_captions
    from clip_lib.retrieval.photo_folder import open_gallery

    query = arguments.query
    model_file = arguments.model or config.clip_file
    engine, split = open_gallery(model_file, arguments.gallery)
    # os.path: pathlib refuses to look for a file named like a text of many words.
    by_picture = os.path.isfile(query) or Path(query).suffix.lower() in SUFFIXES
    if by_picture:
        answers = engine.texts_for(query, arguments.k, split)
    else:
        answers = engine.images_for(query, arguments.k, split)
        warn_of_words(engine.clip, query)
    if arguments.figure:
        _draw(answers, query, by_picture, engine, split, arguments.figure)
    if arguments.json:
        print_json(answers)
        return
    if not by_picture:
        answers = with_captions(answers, engine)
    noun = "captions" if by_picture else "pictures"
    print(f"among {gallery_words(engine, split, noun)}\n{answer_lines(answers)}")


def score(arguments, config) -> None:
    """Compare a picture with a text, and say where their cosine stands."""
    from clip_lib.cli.output import print_json, warn_of_words
    from clip_lib.retrieval.answers import gallery_words
    from clip_lib.retrieval.photo_folder import open_gallery

    model_file = arguments.model or config.clip_file
    engine, split = open_gallery(model_file, arguments.gallery)
    text = engine.clip.embed_text(arguments.text)
    image = engine.clip.embed_image(arguments.image)
    cosine = float(image @ text)
    report = {"score": cosine, "gallery": arguments.gallery}
    report["among_pictures"] = engine.images.part(split).standing(text, cosine)
    if engine.texts is not None:
        report["among_captions"] = engine.texts.part(split).standing(image, cosine)
    warn_of_words(engine.clip, arguments.text)
    if arguments.json:
        print_json(report)
        return
    print(f"cosine {cosine:.3f}")
    for noun, saying in (
        ("pictures", "this picture, for the text"),
        ("captions", "this text, for the picture"),
    ):
        if standing := report.get(f"among_{noun}"):
            # Rounded down: 100 % would say that nothing is better.
            share = math.floor(round(100 * standing["better_than"], 6))
            where = gallery_words(engine, split, noun)
            place = f"rank {standing['rank']}, better than {share} %"
            print(f"{saying}: {place} of the {where}")


def app(arguments, config) -> None:
    """Serve the search page on this machine, until interrupted."""
    from clip_lib.web.page import Page

    try:
        from clip_lib.web.app import launch
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ClipError(
            "the search page needs Gradio: pip install -r requirements-app.txt"
        ) from error
    # Its uploads are removed at the end, whoever ends it: even where a shell has told
    # its background jobs to ignore an interrupt.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.default_int_handler)
    models = arguments.model or [config.clip_file]
    page = Page.load(models, arguments.gallery)
    _, address, _ = launch(
        page, arguments.port, arguments.open, quiet=True, prevent_thread_lock=True
    )
    if arguments.json:
        found = json.dumps({"address": address, "folders": page.folders})
    else:
        found = (
            f"Search page: {address}\nIt shows pictures of {', '.join(page.folders)}"
        )
    print(found, flush=True)
    threading.Event().wait()


def _port(text: str) -> int:
    """Read a port."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 to 65535")
    return int(text)


def _draw(answers, query: str, by_picture: bool, engine, split: str, path: str) -> None:
    """Save the answers as a figure, like the notebook's."""
    import matplotlib

    matplotlib.use("Agg")
    from clip_lib.atomic import replacing
    from clip_lib.figures.image_grids import gallery_name, image_answers, text_answers

    where = gallery_name(engine.texts if by_picture else engine.images, split)
    if by_picture:
        figure = text_answers(query, answers, where)
    else:
        figure = image_answers(answers, query, where)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, bbox_inches="tight")


def add_commands(choices) -> None:
    """Add these commands to a parser's subparsers."""
    command = add(
        choices,
        "search",
        search,
        '"A big dog in the woods"',
        '"A big dog" -k 3 --gallery all --figure answers.png',
        '"A big dog" --gallery ~/photos   once indexed: see index',
        "photo.jpg --json                 the texts nearest to a picture",
    )
    command.add_argument("query", help="a text, or the path of a picture")
    command.add_argument("-k", type=int, default=5, help="number of answers (5)")
    command.add_argument("--gallery", default="test", help=GALLERY)
    command.add_argument(
        "--figure", metavar="FILE", help="draw the answers (.png, .pdf)"
    )
    command = add(
        choices,
        "score",
        score,
        'photo.jpg "A dog in the snow"',
        'photo.jpg "A dog in the snow" --gallery all --json',
    )
    command.add_argument("image", help="the path of a picture")
    command.add_argument("text", help="what it may show")
    command.add_argument("--gallery", default="test", help=GALLERY)
    command = add(
        choices,
        "app",
        app,
        "                    opens the page of the model in models/",
        "--gallery ~/photos  a folder of pictures, beside the model's own",
        model=False,
    )
    command.add_argument(
        "--gallery",
        action="append",
        default=[],
        metavar="FOLDER",
        help="a folder of pictures; may be given several times",
    )
    command.add_argument(
        "--model",
        action="append",
        metavar="FILE",
        help=f"{MODEL}; may be given several times",
    )
    command.add_argument("--port", type=_port, help="(a free one from 7860 on)")
    command.add_argument("--open", action="store_true", help="in the browser, at once")
