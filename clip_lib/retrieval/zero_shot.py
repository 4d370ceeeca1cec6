"""Label pictures by the words of the labels alone, without any classifier.

Source: Radford et al. 2021 (CLIP), section 3.1.
"""

import numpy as np
import pandas as pd

from clip_lib.data.vocabulary import sort_words
from clip_lib.errors import ClipError
from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import TEMPLATES, Clip


def label_index(clip: Clip, class_names, templates=TEMPLATES) -> Index:
    """Embed labels, so that a picture can search among them.

    The embeddings of a label's sentences are averaged, and the mean scaled back to unit
    length (Radford et al. 2021, section 3.1.4).

    Args:
        clip: A trained CLIP.
        class_names: Labels, L of them.
        templates: Sentences with {} for the label; at least one.

    Returns:
        Index of L rows, with the column labels, in the order given. Its `Index.search`
        gives each label's cosine and its probability among these labels.

    Raises:
        ClipError: If there is no template, or one has no place for the label.
    """
    if not templates or not all("{}" in template for template in templates):
        raise ClipError(
            f"templates {templates!r}: expected sentences such as 'a {{}}', in which "
            "{} stands for the label."
        )
    sentences = [
        # Not format(): a template may come from a stranger, with braces of any kind.
        template.replace("{}", label_words(name))
        for name in class_names
        for template in templates
    ]
    embeddings = np.asarray(clip.embed_texts(sentences))
    means = embeddings.reshape(len(class_names), len(templates), -1).mean(axis=1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return Index(means, pd.DataFrame({"labels": list(class_names)}))


def zero_shot(clip: Clip, image_embeddings, class_names, templates=TEMPLATES):
    """Return the nearest label (N,) of each unit vector (N, D); see `label_index`."""
    labels = label_index(clip, class_names, templates)
    similarity = np.asarray(image_embeddings) @ labels.embeds.T
    return np.asarray(class_names)[similarity.argmax(axis=1)]


def knows_label(clip: Clip, label: str) -> bool:
    """Return whether the model knows a word of a label."""
    known, _ = sort_words(clip.vectorizer, label_words(label))
    return bool(known)


def label_words(label: str) -> str:
    """Read a label as words: folders often have names like mountain_bike."""
    return label.replace("_", " ")
