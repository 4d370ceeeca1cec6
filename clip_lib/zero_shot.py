"""Label pictures by the words of the labels alone, without any classifier.

Source: Radford et al. 2021 (CLIP), section 3.1.
"""

import numpy as np

from clip_lib.retrieval import Clip
from clip_lib.text import check_query

TEMPLATES = ("a {}", "the {}", "a man with a {}")
"""Sentences into which a label is put, in words that are common in captions."""


def zero_shot(clip: Clip, image_embeddings, class_names, templates=TEMPLATES):
    """Label pictures by the nearest label text.

    The embeddings of a label's sentences are averaged, and the mean brought back to
    unit length (Radford et al. 2021, section 3.1.4).

    Args:
        clip: A trained CLIP.
        image_embeddings: (N, D) unit vectors.
        class_names: Labels.
        templates: Sentences into which a label is put; at least one.

    Returns:
        Array (N,) of labels.

    Raises:
        ValueError: If there is no template, or one has no place for the label.
    """
    if isinstance(templates, str):
        templates = (templates,)
    if not templates or not all("{}" in template for template in templates):
        raise ValueError(
            f"templates {templates!r}: expected sentences such as 'a {{}}', in which "
            "{} stands for the label."
        )
    sentences = [
        template.format(_words(name)) for name in class_names for template in templates
    ]
    embeddings = np.asarray(clip.embed_texts(sentences))
    means = embeddings.reshape(len(class_names), len(templates), -1).mean(axis=1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    similarity = np.asarray(image_embeddings) @ means.T
    return np.asarray(class_names)[similarity.argmax(axis=1)]


def knows_label(clip: Clip, label: str) -> bool:
    """Say whether the model knows a word of a label.

    If not, its sentences say the same as those of any other unknown word.
    """
    try:
        check_query(clip.vectorizer, _words(label))
    except ValueError:
        return False
    return True


def _words(label: str) -> str:
    """Read a label as words: folders are often called mountain_bike."""
    return label.replace("_", " ")
