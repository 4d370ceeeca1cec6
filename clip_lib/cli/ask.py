"""Commands that query a saved model: search, score, app."""

import contextlib
import functools
import json
import math
import signal
import sys
import time
from pathlib import Path

from clip_lib.cli.common import (
    Answer,
    find_model,
    model_name,
    path_lines,
    save_figure,
    warn,
    warn_of_words,
)
from clip_lib.cli.show import blocks, write_page
from clip_lib.errors import ClipError
from clip_lib.retrieval.answers import answer_lines, gallery_words, with_captions
from clip_lib.retrieval.narrow import dates, narrow
from clip_lib.retrieval.photo_folder import open_gallery
from clip_lib.retrieval.question import (
    fits,
    negations,
    read_question,
    texts_of,
)


def search(arguments, config) -> Answer:
    """Answer one question or, without one, those typed one after another."""
    model_file = find_model(arguments.model, config)
    engine, split = open_gallery(model_file, arguments.gallery, config)
    engine = narrow(engine, arguments.within, arguments.since, arguments.until)
    options = {"arguments": arguments, "engine": engine, "split": split}
    reply = functools.partial(_reply, model=model_name(model_file), **options)
    if arguments.query:
        return reply(" ".join(arguments.query))
    return Answer("", "", then=functools.partial(_converse, reply, arguments.json))


def _converse(reply, as_json: bool) -> None:
    """Answer each line of the standard input; a faulty one does not end it."""
    prompt = ""
    if sys.stdin.isatty() and sys.stdout.isatty():
        with contextlib.suppress(ModuleNotFoundError):  # Not on Windows.
            import readline  # noqa: F401  The arrow keys bring earlier questions back.

        prompt = "search> "
    with contextlib.suppress(EOFError):
        while True:
            try:
                if question := input(prompt).strip():
                    reply(question).show(as_json)
            except BrokenPipeError:  # Nobody reads the answers any more.
                raise
            except (ClipError, OSError, UnicodeDecodeError) as error:
                warn(f"error: {error}")


def _reply(question: str, model: str, arguments, engine, split: str) -> Answer:
    terms, k, texts = read_question(question, pictures=True), arguments.k, False
    by_picture = len(terms) == 1 and terms[0].is_picture
    if not by_picture:
        answers = engine.images_for(question, k, split, pictures=True)
    elif arguments.similar or engine.texts is None:
        answers = engine.images_like(terms[0].text, k, split)
    else:
        answers, texts = engine.texts_for(terms[0].text, k, split), True
    if arguments.min_score is not None:
        answers = answers[answers["score"] >= arguments.min_score]
    if arguments.sort == "date" and not texts:
        order = dates(answers).replace("", "9999").argsort(kind="stable")
        answers = answers.iloc[order].reset_index(drop=True)
    title = question
    for term in terms:
        if term.is_picture:  # Named without its folder.
            title = title.replace(term.text, Path(term.text).name)
    if arguments.figure and len(answers):
        asked = question if texts else title
        _draw(answers, asked, texts, engine, split, arguments.figure)
    paths = answers["image_paths" if texts else "paths"].tolist()
    where = gallery_words(engine, split, "captions" if texts else "pictures")
    shown = answers if texts else with_captions(answers, engine)
    if arguments.html:
        source = engine.images.source
        about = where.replace(source, Path(source).name)
        write_page(shown, title, about, arguments.html)
    if not by_picture:
        _comment(question, engine, split)
    if arguments.paths_only:
        text, end = path_lines(paths, arguments.null)
        return Answer(text, answers, end=end)
    lines = answer_lines(shown) if len(answers) else "no answer of that score"
    if arguments.thumbnails and paths:
        titles = (
            answers["rank"].astype(str) + ". " + answers["score"].map("{:.3f}".format)
        )
        lines = f"{blocks(paths, [*titles])}\n{lines}"
    return Answer(f"among {where}, by {model}\n{lines}", answers)


def _comment(question: str, engine, split: str) -> None:
    """Say what the model does not understand, and if nothing fits."""
    warn_of_words(engine.clip, *texts_of(question, pictures=True))
    for phrase, word in negations(question):
        warn(f'{phrase!r} looks for {word}: write " - {word}" to leave it out')
    if not fits(engine, question, split, pictures=True):
        warn("nothing here fits well: random words score as high as this query")


def _draw(answers, question, texts: bool, engine, split: str, path: str) -> None:
    """Save the answers as a figure, like the notebook's."""
    import matplotlib

    from clip_lib.figures.image_grids import gallery_name, image_answers, text_answers

    matplotlib.use("Agg")
    where = gallery_name(engine.texts if texts else engine.images, split)
    if texts:
        figure = text_answers(question, answers, where)
    else:
        figure = image_answers(answers, question, where)
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
    text = (
        f"Search page: {address} (Ctrl-C ends it)\n"
        f"It shows pictures of {', '.join(page.folders)}\n"
        f"Answered by: {', '.join(map(model_name, models))}"
    )
    # On one line: a program that started this waits for it.
    about = json.dumps({"address": address, "folders": page.folders})
    return Answer(text, about, then=_wait)


def _wait() -> None:
    while True:  # In short naps: on Windows nothing else hears an interrupt.
        time.sleep(1)
