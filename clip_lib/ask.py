"""The commands that ask a saved model. Imports stand inside: they take long."""

import math
import os
from pathlib import Path


def search(arguments, config) -> None:
    """Answer one query: a text, or the path of a picture."""
    from clip_lib.answers import answer_lines, gallery_words, with_captions
    from clip_lib.folder_index import open_gallery
    from clip_lib.images import SUFFIXES
    from clip_lib.retrieval import MODEL_FILE
    from clip_lib.say import print_json, warn_of_words

    query = arguments.query
    model_file = arguments.model or config.model_path(MODEL_FILE)
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
    from clip_lib.answers import gallery_words
    from clip_lib.folder_index import open_gallery
    from clip_lib.retrieval import MODEL_FILE
    from clip_lib.say import print_json, warn_of_words

    model_file = arguments.model or config.model_path(MODEL_FILE)
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


def _draw(answers, query: str, by_picture: bool, engine, split: str, path: str) -> None:
    """Save the answers as a figure, like the notebook's."""
    import matplotlib

    matplotlib.use("Agg")
    from clip_lib.atomic import replacing
    from clip_lib.gallery import gallery_name, image_answers, text_answers

    where = gallery_name(engine.texts if by_picture else engine.images, split)
    if by_picture:
        figure = text_answers(query, answers, where)
    else:
        figure = image_answers(answers, query, where)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, bbox_inches="tight")
