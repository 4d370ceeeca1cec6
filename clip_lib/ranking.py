"""Ranks and recalls of a similarity matrix, in NumPy, and what chance would give.

In CLIP retrieval a query counts as answered at k when *one* of its right answers is
among the first k, which is a hit rate rather than the recall of information retrieval;
the field calls it recall@k all the same, and so does this module.
"""

import numpy as np


def first_ranks(similarity, relevant) -> np.ndarray:
    """Rank of the best-placed right answer of each query, from 1.

    Ties count against the model: a candidate with the same score as the right answer is
    placed before it, so that a model that gives every pair the same score is last.

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
    similarity, relevant = np.asarray(similarity), np.asarray(relevant, dtype=bool)
    if similarity.shape != relevant.shape:
        raise ValueError(f"shapes {similarity.shape} and {relevant.shape} differ.")
    if not relevant.any(axis=1).all():
        raise ValueError("a query has no right answer among the candidates.")
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


def precision_at_k(similarity, relevant, k: int) -> float:
    """Mean share of right answers among the first k of each query.

    Args:
        similarity: (queries, candidates).
        relevant: bool (queries, candidates), for instance "has the same label".
        k: Length of the list; shortened to the number of candidates.
    """
    order = np.argsort(-np.asarray(similarity), axis=1, kind="stable")[:, :k]
    return float(np.take_along_axis(np.asarray(relevant, bool), order, axis=1).mean())
