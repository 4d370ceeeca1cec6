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


def label_ranking(clip: Clip, class_names, templates=TEMPLATES):
    """Return a function: a picture's unit vector (D,) to a table of all labels.

    Best first, with the columns of `Index.search`. A label without a word that the
    model knows comes last, without score: its place would mean nothing.

    Raises:
        ClipError: If the model knows fewer than two of the labels; see `label_index`.
    """
    known = [name for name in class_names if knows_label(clip, name)]
    if len(known) < 2:
        found = f"of {known[0]} alone" if known else "no word of any of them"
        raise ClipError(
            f"labels {', '.join(class_names)}: the model knows {found}; expected two "
            "labels that it knows, or the answers would mean nothing."
        )
    index = label_index(clip, known, templates)
    others = [name for name in class_names if name not in known]
    ranks = range(len(known) + 1, len(class_names) + 1)
    last = pd.DataFrame({"rank": ranks, "labels": others})

    def rank(embedding) -> pd.DataFrame:
        table = index.search(embedding, len(known), clip.temperature)
        return pd.concat([table, last], ignore_index=True) if others else table

    return rank


def zero_shot(clip: Clip, image_embeddings, class_names, templates=TEMPLATES):
    """Return the nearest label (N,) of each unit vector (N, D); see `label_index`."""
    labels = label_index(clip, class_names, templates)
    similarity = np.asarray(image_embeddings) @ labels.embeds.T
    return np.asarray(class_names)[similarity.argmax(axis=1)]


def knows_label(clip: Clip, label: str) -> bool:
    """Return whether the model knows a word of a label."""
    known, _ = sort_words(clip.vectorizer, label_words(label))
    return bool(known)


def split_labels(words: str) -> list[str]:
    """Split labels at their commas; each comes once."""
    labels = [" ".join(word.split()) for word in words.split(",")]
    return list(dict.fromkeys(filter(None, labels)))


def label_words(label: str) -> str:
    """Read a label as words: folders often have names like mountain_bike."""
    return label.replace("_", " ")
