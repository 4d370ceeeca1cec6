"""What the embeddings of a gallery show: where pairs stand, and which ones fail.

Cosines throughout, from -1 to 1: ``similarity[i, j]`` is that of image i and text j.
Nothing here trains or draws; the figures are in `explain_plots`.
"""

import re

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from clip_lib.data.vocabulary import known_tokens
from clip_lib.errors import ClipError
from clip_lib.evaluation.metrics import first_ranks
from clip_lib.retrieval.index import Index


def similarity_table(images: Index, texts: Index) -> pd.DataFrame:
    """Return the cosine of every picture with every caption, sorted by label.

    Returns:
        Table (images, texts); rows and columns have the levels ``label`` and ``path``,
        that of the picture: a cell is a right pair where both paths agree.
    """
    rows, columns = (
        pd.MultiIndex.from_frame(_places(index)) for index in (images, texts)
    )
    table = pd.DataFrame(images.embeds @ texts.embeds.T, rows, columns)
    return table.sort_index().sort_index(axis=1)


def block_means(similarity: pd.DataFrame) -> pd.DataFrame:
    """Return the mean cosine of each pair of labels, pictures by captions.

    Args:
        similarity: What `similarity_table` returned.
    """
    by_row = similarity.groupby(level="label").mean()
    return by_row.T.groupby(level="label").mean().T


def level_means(similarity: pd.DataFrame) -> pd.Series:
    """Return the mean cosine of ``pair``, ``same label`` and ``other label``.

    The three do not overlap: ``same label`` is two strangers of one label. Where it
    equals ``pair``, the model learned the labels and nothing finer. NaN if there is no
    such cell.

    Args:
        similarity: What `similarity_table` returned.
    """
    own, same = (
        np.equal.outer(
            similarity.index.get_level_values(level).to_numpy(),
            similarity.columns.get_level_values(level).to_numpy(),
        )
        for level in ("path", "label")
    )
    levels = {"pair": own, "same label": same & ~own, "other label": ~same & ~own}
    cosines = similarity.to_numpy()
    means = {
        name: cosines[cells].mean() if cells.any() else np.nan
        for name, cells in levels.items()
    }
    return pd.Series(means)


def tsne_table(
    images: Index, texts: Index, perplexity: float = 30.0, seed: int = 0
) -> pd.DataFrame:
    """Lay pictures and captions out in one plane, neighbours near each other.

    Source: van der Maaten & Hinton 2008, by scikit-learn. Only neighbourhoods mean
    something in it: neither long distances nor the size of a group do.

    Args:
        images, texts: Indexes of one gallery.
        perplexity: Neighbours that count, roughly; a third of the points at most.
        seed: The same seed gives the same plane.

    Returns:
        A row per picture, then per caption: label, path (of the picture), modality
        ("image" or "text"), x and y.

    Raises:
        ClipError: If there are fewer than four points.
    """
    embeds = np.vstack([images.embeds, texts.embeds])
    count = len(embeds)
    if count < 4:
        raise ClipError(f"{count} points: expected at least 4 to lay out.")
    perplexity = min(perplexity, (count - 1) / 3)
    # Its thousand short steps wait for one another: where other programs run, several
    # threads take up to sixty times as long as one.
    with threadpool_limits(1):
        tsne = TSNE(metric="cosine", perplexity=perplexity, random_state=seed)
        points = tsne.fit_transform(embeds)
    table = pd.concat(
        [
            _places(images).assign(modality="image"),
            _places(texts).assign(modality="text"),
        ],
        ignore_index=True,
    )
    return table.assign(x=points[:, 0], y=points[:, 1])


def hardest_pairs(images: Index, texts: Index, vectorizer, k: int = 5) -> pd.DataFrame:
    """List the pairs that the model places worst, with a reason found by plain rules.

    The first rule that holds gives the reason:

    1. ``found``: both ranks are 1;
    2. ``unknown words``: more than a third of the caption's words are not in the
       vocabulary;
    3. ``wrong label``: of the first five answers of each direction, fewer than half
       bear the pair's label;
    4. ``within label``: the label is right, the picture or the caption is not.

    Args:
        images, texts: Indexes of one gallery.
        vectorizer: The vocabulary of the model.
        k: Pairs listed; all if there are fewer.

    Returns:
        A row per caption, hardest first: highest sum of the two ranks, each a share of
        its gallery. Columns: paths, captions, labels; text_to_image and image_to_text,
        ranks from 1, ties against the model (other captions of the same picture do
        not compete); rival_paths, rival_labels and rival_captions, the best-placed
        picture and caption of other pairs; known_words, a share; names_label, whether
        the caption holds the label or its plural in s; label_share, of rule 3; reason.

    Raises:
        ClipError: If ``k`` is below 1, a caption's picture is not in the image index,
            or there is only one picture.
    """
    if k < 1:
        raise ClipError(f"k = {k}: expected at least 1.")
    if len(images.items) < 2:
        raise ClipError("1 picture: expected at least 2 to choose among.")
    paths, captions, labels = (
        texts.items[name].to_numpy() for name in ("image_paths", "captions", "labels")
    )
    image_paths, image_labels = (
        images.items[name].to_numpy() for name in ("paths", "labels")
    )
    place = pd.Index(image_paths).get_indexer(paths)
    if (place < 0).any():
        path = paths[place < 0][0]
        raise ClipError(f"{path}: the picture of a text, but not in the image index.")
    # Row j of both: what text j, and what the picture of text j, think of the others.
    by_text = texts.embeds @ images.embeds.T
    by_image = images.embeds[place] @ texts.embeds.T
    own = place[:, None] == np.arange(len(images.items))
    sibling, itself = place[:, None] == place, np.eye(len(place), dtype=bool)
    other_texts = np.where(sibling, -np.inf, by_image)
    text_to_image = first_ranks(by_text, own)
    image_to_text = first_ranks(np.where(itself, by_image, other_texts), itself)
    rival = np.where(own, -np.inf, by_text).argmax(axis=1)
    first_labels = np.hstack(
        [
            names[np.argsort(-scores, axis=1, kind="stable")[:, :5]]
            for names, scores in ((image_labels, by_text), (labels, by_image))
        ]
    )
    label_share = (first_labels == labels[:, None]).mean(axis=1)
    known = [
        tokens.mean() if len(tokens) else 0.0
        for tokens in known_tokens(vectorizer, captions)
    ]
    table = pd.DataFrame(
        {
            "paths": paths,
            "captions": captions,
            "labels": labels,
            "text_to_image": text_to_image,
            "image_to_text": image_to_text,
            "rival_paths": image_paths[rival],
            "rival_labels": image_labels[rival],
            "rival_captions": captions[other_texts.argmax(axis=1)],
            "known_words": known,
            "names_label": list(map(_names, captions, labels)),
            "label_share": label_share,
            "reason": np.select(
                [
                    (text_to_image == 1) & (image_to_text == 1),
                    np.array(known) < 2 / 3,
                    label_share < 0.5,
                ],
                ["found", "unknown words", "wrong label"],
                "within label",
            ),
        }
    )
    shares = text_to_image / len(image_paths) + image_to_text / len(paths)
    order = np.argsort(-shares, kind="stable")[:k]
    return table.iloc[order].reset_index(drop=True)


def _names(caption: str, label: str) -> bool:
    return re.search(rf"\b{re.escape(label)}s?\b", caption, re.IGNORECASE) is not None


def _places(index: Index) -> pd.DataFrame:
    """Return the label and the picture of each row of an image or text index."""
    path = "paths" if "paths" in index.items else "image_paths"
    return index.items[["labels", path]].set_axis(["label", "path"], axis=1)
