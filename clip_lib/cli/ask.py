"""Commands that query a saved model: search, score, app."""

import json
import math
import os
import signal
import threading
from pathlib import Path

from clip_lib.cli.common import Answer, find_model, save_figure, warn_of_words
from clip_lib.data.images import SUFFIXES
from clip_lib.retrieval.answers import answer_lines, gallery_words, with_captions
from clip_lib.retrieval.photo_folder import open_gallery


def search(arguments, config) -> Answer:
    """Answer one query: a text, or the path of a picture."""
    query, model_file = arguments.query, find_model(arguments.model, config)
    engine, split = open_gallery(model_file, arguments.gallery, config)
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


def _draw(answers, query: str, by_picture: bool, engine, split: str, path: str) -> None:
    """Save the answers as a figure, like the notebook's."""
    import matplotlib

    from clip_lib.figures.image_grids import gallery_name, image_answers, text_answers

    matplotlib.use("Agg")
    where = gallery_name(engine.texts if by_picture else engine.images, split)
    if by_picture:
        figure = text_answers(query, answers, where)
    else:
        figure = image_answers(answers, query, where)
    save_figure(figure, path)


def score(arguments, config) -> Answer:
    """Compare a picture with a text, and rank their cosine in the gallery."""
    model_file = find_model(arguments.model, config)
    engine, split = open_gallery(model_file, arguments.gallery, config)
    text = engine.clip.embed_text(arguments.text)
    image = engine.clip.embed_image(arguments.image)
    cosine = float(image @ text)
    warn_of_words(engine.clip, arguments.text)
    report = {"score": cosine, "gallery": arguments.gallery or split}
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
    """Serve the search page on this machine, until interrupted."""
    # Here, because they need Gradio, which the other commands do without.
    from clip_lib.web.app import launch
    from clip_lib.web.page import Page

    # Its uploads are removed at the end, whoever ends it: even where a shell has told
    # its background jobs to ignore an interrupt.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.default_int_handler)
    models = [find_model(name, config) for name in arguments.model or [None]]
    page = Page.load(models, arguments.gallery, config)
    _, address, _ = launch(
        page, arguments.port, arguments.open, quiet=True, prevent_thread_lock=True
    )
    text = f"Search page: {address}\nIt shows pictures of {', '.join(page.folders)}"
    # On one line: a program that started this waits for it.
    about = json.dumps({"address": address, "folders": page.folders})
    return Answer(text, about, then=threading.Event().wait)
