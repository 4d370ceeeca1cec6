"""Ranks and precisions of a similarity matrix, their intervals, and chance.

Recall@k is the share of ranks of at most k.

In CLIP retrieval a query counts as answered at k when *one* of its right answers is
among the first k, which is a hit rate rather than the recall of information retrieval;
the field calls it recall@k all the same, and so does this module.

Ties count against the model everywhere: among candidates of the same score the right
answers come last; one whose score is NaN comes last of all.
"""

import numpy as np
from scipy.stats import hypergeom

RECALLS = (1, 5, 10)
"""The k of the recalls that are reported."""
RESAMPLES = 2_000
LEVEL = 0.95
"""Confidence level of the bootstrap intervals."""


def first_ranks(similarity, relevant) -> np.ndarray:
    """Rank the best right answer of each query, from 1.

    Args:
        similarity: (queries, candidates), the higher the better.
        relevant: bool (queries, candidates), at least one True a row.

    Returns:
        int array (queries,).

    Raises:
        ValueError: If a query has no right answer.

    Example:
        >>> first_ranks([[0.9, 0.5], [0.9, 0.5]], [[True, False], [False, True]])
        array([1, 2])
    """
    similarity, relevant = np.asarray(similarity), np.asarray(relevant, dtype=bool)
    if not relevant.any(axis=1).all():
        raise ValueError("a query has no right answer among the candidates.")
    rights = np.where(relevant, similarity, -np.inf)
    best = np.fmax.reduce(rights, axis=1, keepdims=True)
    # "Not below" rather than "at least": the NaN of a wrong answer comes first.
    return (~(similarity < best) & ~relevant).sum(axis=1) + 1


def random_recall_at_k(right, candidates, k: int) -> float:
    """Return the expected recall@k of a random order: 1 - C(n - r, k) / C(n, k).

    Args:
        right: int array (queries,), r right answers of each query.
        candidates: int array (queries,), n candidates of each query.
        k: Length of the list.
    """
    drawn = np.minimum(k, candidates)
    return float(np.mean(hypergeom.sf(0, candidates, right, drawn)))


def precisions_at_k(similarity, relevant, k: int) -> np.ndarray:
    """Return the share of right answers among the first k, for each query.

    Args:
        similarity, relevant: As for `first_ranks`; relevant is for instance "has the
            same label".
        k: Length of the list; shortened to the number of candidates.
    """
    similarity, relevant = np.asarray(similarity), np.asarray(relevant, dtype=bool)
    worst = np.where(relevant, -np.inf, np.inf)
    scores = np.where(np.isnan(similarity), worst, similarity)
    order = np.lexsort((relevant, -scores), axis=1)[:, :k]
    return np.take_along_axis(relevant, order, axis=1).mean(axis=1)


def bootstrap_draws(groups) -> np.ndarray:
    """Draw whole groups of queries with replacement, as many as there are.

    The gallery stays the same: the interval shows how much a metric depends on which
    queries were asked. The captions of one picture are not independent queries: with
    the picture as their group they are drawn together or not at all (cluster bootstrap;
    Davison and Hinkley 1997, section 3.8). Drawn one by one, five captions a picture
    would give an interval up to the square root of five times too narrow.

    Args:
        groups: (queries,), the group of each query, for instance its picture.

    Returns:
        int array (RESAMPLES, queries): how many times each query counts, the same for
        the same groups.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    share = np.full(len(names), 1 / len(names))
    random = np.random.default_rng(0)
    return random.multinomial(len(names), share, RESAMPLES)[:, group]


def bootstrap_interval(values, draws, median: bool = False) -> list[float]:
    """Return the 95 % percentile interval of the mean or median of values.

    Source: Efron and Tibshirani 1993, chapter 13.

    Args:
        values: (queries,), the value of each query.
        draws: int array (resamples, queries), from `bootstrap_draws`.
        median: Whether the metric is the median of the values rather than their mean.

    Returns:
        Lower and upper bound, in the unit of the values.
    """
    if median:
        drawn = [np.median(np.repeat(values, counts)) for counts in draws]
    else:
        drawn = draws @ np.asarray(values, dtype=float) / draws.sum(axis=1)
    tail = (1 - LEVEL) / 2
    return np.quantile(drawn, [tail, 1 - tail]).tolist()
