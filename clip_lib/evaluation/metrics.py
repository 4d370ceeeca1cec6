"""Ranks, recalls and precisions of a similarity matrix, and what chance would give.

In CLIP retrieval a query counts as answered at k when *one* of its right answers is
among the first k, which is a hit rate rather than the recall of information retrieval;
the field calls it recall@k all the same, and so does this module.

Ties count against the model everywhere: among candidates of the same score the right
answers come last, and so does a right answer whose score is not a number.
"""

import numpy as np

RECALLS = (1, 5, 10)
"""The k of the recalls that are reported."""


def first_ranks(similarity, relevant) -> np.ndarray:
    """Rank of the best-placed right answer of each query, from 1.

    A model that gives every pair the same score is last: see ties, above.

    Args:
        similarity: (queries, candidates), the higher the better.
        relevant: bool (queries, candidates), at least one True a row.

    Returns:
        int array (queries,).

    Raises:
        ValueError: If the shapes differ or a query has no right answer.

    Example:
        >>> first_ranks([[0.9, 0.5], [0.9, 0.5]], [[True, False], [False, True]])
        array([1, 2])
    """
    similarity, relevant = _checked(similarity, relevant)
    best = np.where(relevant, similarity, -np.inf).max(axis=1, keepdims=True)
    # "Not below" rather than "at least": a score that is not a number comes first too.
    return (~(similarity < best) & ~relevant).sum(axis=1) + 1


def recall_at_k(ranks, k: int) -> float:
    """Share of the queries whose right answer is among the first k."""
    return float(np.mean(np.asarray(ranks) <= k))


def random_recall_at_k(right, candidates, k: int) -> float:
    """Expected recall@k of a random order: mean of 1 - C(n - r, k) / C(n, k).

    Args:
        right: int array (queries,), r right answers of each query.
        candidates: int array (queries,), n candidates of each query.
        k: Length of the list shown.
    """
    right, candidates = np.asarray(right), np.asarray(candidates)
    missed = np.ones(len(right))
    for place in range(k):
        left = candidates - place
        missed *= np.clip((left - right) / np.maximum(left, 1), 0, 1)
    return float(np.mean(1 - missed))


def random_first_rank(right, candidates) -> np.ndarray:
    """Expected rank of the first right answer in a random order: (n + 1) / (r + 1)."""
    return (np.asarray(candidates) + 1) / (np.asarray(right) + 1)


def precisions_at_k(similarity, relevant, k: int) -> np.ndarray:
    """Share of right answers among the first k, for each query.

    Args:
        similarity, relevant: As for `first_ranks`; relevant is for instance "has the
            same label".
        k: Length of the list; shortened to the number of candidates.

    Returns:
        float array (queries,).
    """
    return _right_by_place(similarity, relevant)[:, :k].mean(axis=1)


def average_precisions(similarity, relevant) -> np.ndarray:
    """Average precision of each query, over the whole ranking; its mean is the mAP.

    The precision of the list down to each right answer, averaged over those answers
    (Manning, Raghavan and Schütze 2008, section 8.4): 1 if they all come first.

    Args:
        similarity, relevant: As for `first_ranks`.

    Returns:
        float array (queries,).
    """
    right = _right_by_place(similarity, relevant)
    found = right.cumsum(axis=1)
    precisions = found / np.arange(1, right.shape[1] + 1)
    return (precisions * right).sum(axis=1) / found[:, -1]


def random_average_precision(right, candidates) -> np.ndarray:
    """Expected average precision of a random order, exactly.

    Place k holds a right answer with probability r / n, and then each of the k - 1
    places above it with probability (r - 1) / (n - 1). With H(n) = 1 + 1/2 + ... + 1/n,
    the expectation is (H(n) + (n - H(n)) (r - 1) / (n - 1)) / n.

    Args:
        right, candidates: As for `random_recall_at_k`.

    Returns:
        float array (queries,).
    """
    right, candidates = np.asarray(right), np.asarray(candidates)
    harmonic = np.cumsum(1 / np.arange(1, candidates.max() + 1))[candidates - 1]
    others = (right - 1) / np.maximum(candidates - 1, 1)
    return (harmonic + (candidates - harmonic) * others) / candidates


def _checked(similarity, relevant) -> tuple[np.ndarray, np.ndarray]:
    similarity, relevant = np.asarray(similarity), np.asarray(relevant, dtype=bool)
    if similarity.shape != relevant.shape:
        raise ValueError(f"shapes {similarity.shape} and {relevant.shape} differ.")
    if not relevant.any(axis=1).all():
        raise ValueError("a query has no right answer among the candidates.")
    return similarity, relevant


def _right_by_place(similarity, relevant) -> np.ndarray:
    """Say of each place of each ranking whether a right answer stands there."""
    similarity, relevant = _checked(similarity, relevant)
    worst = np.where(relevant, -np.inf, np.inf)
    scores = np.where(np.isnan(similarity), worst, similarity)
    order = np.lexsort((relevant, -scores), axis=1)
    return np.take_along_axis(relevant, order, axis=1)
