"""Read what a model learned from its embeddings.

Cosines range from -1 to 1: ``similarity[i, j]`` is that of image i and text j. The
figures are in embedding_plots.py.
"""

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from clip_lib.data.vocabulary import Vectorizer, known_tokens
from clip_lib.errors import ClipError
from clip_lib.evaluation.evaluate import picture_rows
from clip_lib.evaluation.metrics import first_ranks
from clip_lib.retrieval.index import Index


def similarity_table(images: Index, texts: Index) -> pd.DataFrame:
    """Return the cosine of every picture with every caption, sorted by label.

    Returns:
        Table (images, texts); rows and columns have the levels ``label`` and ``path``,
        that of the picture: a cell is a right pair where both paths agree.
    """
    rows, columns = (
        pd.MultiIndex.from_frame(_pictures(index)) for index in (images, texts)
    )
    table = pd.DataFrame(images.embeds @ texts.embeds.T, rows, columns)
    return table.sort_index().sort_index(axis=1)


def level_means(similarity: pd.DataFrame) -> pd.Series:
    """Average a `similarity_table` over ``pair``, ``same label`` and ``other label``.

    The three do not overlap: ``same label`` leaves the right pairs out. Where it equals
    ``pair``, the model learned the labels and nothing finer. NaN without such a cell.
    """
    cosines, same = similarity.to_numpy(), {}
    for level in ("path", "label"):
        rows = similarity.index.get_level_values(level).to_numpy()
        columns = similarity.columns.get_level_values(level).to_numpy()
        same[level] = rows[:, None] == columns
    kinds = np.select([*same.values()], ["pair", "same label"], "other label")
    means = pd.Series(cosines.ravel()).groupby(kinds.ravel()).mean()
    return means.reindex(["pair", "same label", "other label"])


def tsne_table(images: Index, texts: Index, seed: int = 0) -> pd.DataFrame:
    """Lay pictures and captions out in one plane, neighbours near each other.

    Source: van der Maaten & Hinton 2008, by scikit-learn. Only neighbourhoods have a
    meaning in it: neither long distances nor the size of a group do.

    Returns:
        One row per picture, then per caption, by modality ("image" or "text"): label,
        path (of the picture), x and y; the same under the same seed.
    """
    embeds = np.vstack([images.embeds, texts.embeds])
    # The usual number of neighbours, of which there must be more than three times.
    perplexity = min(30, (len(embeds) - 1) / 3)
    # On a busy machine several threads take up to sixty times as long as one.
    with threadpool_limits(1):
        tsne = TSNE(metric="cosine", perplexity=perplexity, random_state=seed)
        points = tsne.fit_transform(embeds)
    table = pd.concat({"image": _pictures(images), "text": _pictures(texts)})
    return table.droplevel(1).assign(x=points[:, 0], y=points[:, 1])


def hardest_pairs(images: Index, texts: Index, vectorizer: Vectorizer) -> pd.DataFrame:
    """Sort pairs, the one that the model ranks worst first, and find a reason for each.

    The first rule that holds gives the reason: ``found`` (both ranks are 1), ``unknown
    words`` (more than a third of the caption's words are not in the vocabulary),
    ``wrong label`` (the best other picture has another label), ``within label``.

    Returns:
        One row per caption, hardest first: highest sum of the two ranks, each as a
        share of its gallery. Columns: paths, captions, labels; text_to_image and
        image_to_text, ranks from 1 (other captions of the same picture do not compete);
        rival_paths, rival_labels and rival_captions, the best picture and caption of
        other pairs; known_words, a share; reason.

    Raises:
        ClipError: See `picture_rows`; or if there is only one picture.
    """
    place = picture_rows(images, texts)
    if len(images.items) < 2:
        raise ClipError("1 picture: expected at least 2 to choose among.")
    # Row j of both: the cosines of text j, and of the picture of text j.
    by_text = texts.embeds @ images.embeds.T
    by_image = images.embeds[place] @ texts.embeds.T
    own = place[:, None] == np.arange(len(images.items))
    itself = np.eye(len(place), dtype=bool)
    other_texts = np.where(place[:, None] == place, -np.inf, by_image)
    rival_images = np.where(own, -np.inf, by_text).argmax(axis=1)
    rivals = images.items[["paths", "labels"]].iloc[rival_images].reset_index(drop=True)
    table = texts.items[["image_paths", "captions", "labels"]]
    table = table.rename(columns={"image_paths": "paths"}).reset_index(drop=True)
    table["text_to_image"] = first_ranks(by_text, own)
    competing = np.where(itself, by_image, other_texts)
    table["image_to_text"] = first_ranks(competing, itself)
    table = table.join(rivals.add_prefix("rival_"))
    table["rival_captions"] = table["captions"].to_numpy()[other_texts.argmax(axis=1)]
    known = known_tokens(vectorizer, table["captions"])
    table["known_words"] = [words.mean() if len(words) else 0.0 for words in known]
    ranks = table[["text_to_image", "image_to_text"]]
    rules = {
        "found": (ranks == 1).all(axis=1),
        "unknown words": table["known_words"] < 2 / 3,
        "wrong label": table["rival_labels"] != table["labels"],
    }
    table["reason"] = np.select([*rules.values()], [*rules], "within label")
    hardness = (ranks / [len(images.items), len(texts.items)]).sum(axis=1)
    order = np.argsort(-hardness, kind="stable")
    return table.iloc[order].reset_index(drop=True)


def outcomes(pairs: pd.DataFrame, way: str) -> dict[str, pd.DataFrame]:
    """Choose among `hardest_pairs` the queries of one direction that succeed and fail.

    Args:
        pairs: Of `hardest_pairs`.
        way: "text_to_image" or "image_to_text".

    Returns:
        ``success``: the right answer comes first; ``failure``: it is not among the
        first five. Rows of ``pairs``, hardest first; captions of which no word is
        known are left out, since they cannot be asked.
    """
    asked = pairs[pairs["known_words"] > 0]
    return {"success": asked[asked[way] == 1], "failure": asked[asked[way] > 5]}


def _pictures(index: Index) -> pd.DataFrame:
    """Return the label and the picture of each row of an image or text index."""
    path = "paths" if "paths" in index.items else "image_paths"
    return index.items[["labels", path]].set_axis(["label", "path"], axis=1)
