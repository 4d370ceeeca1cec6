"""How far a figure may be from its true value: bootstrap intervals over the queries.

The gallery stays what it is and only the queries are drawn again: the interval says how
much a figure depends on which queries were asked.
"""

import numpy as np

RESAMPLES = 2_000
LEVEL = 0.95


def bootstrap_draws(groups, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Draw whole groups of queries with replacement, as many as there are.

    The captions of one picture are no independent queries: with the picture as their
    group they are drawn together or not at all (cluster bootstrap; Davison and Hinkley
    1997, section 3.8). Drawn one by one, five captions a picture would give an interval
    up to the square root of five times too narrow.

    Args:
        groups: (queries,), what each query belongs to, for instance its picture.
        resamples: How often to draw.
        seed: Of the draws: the same groups give the same draws.

    Returns:
        int array (resamples, queries): how many times each query counts.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    share = np.full(len(names), 1 / len(names))
    random = np.random.default_rng(seed)
    return random.multinomial(len(names), share, resamples)[:, group]


def bootstrap_interval(values, draws, median: bool = False) -> list[float]:
    """Return the 95 % percentile interval of the mean, or of the median, of values.

    Source: Efron and Tibshirani 1993, chapter 13.

    Args:
        values: (queries,), what each query adds to the figure.
        draws: int array (resamples, queries), from `bootstrap_draws`.
        median: Whether the figure is the median of the values rather than their mean.

    Returns:
        Lower and upper bound, in the unit of the values.
    """
    values = np.asarray(values, dtype=float)
    figures = _medians(values, draws) if median else _means(values, draws)
    tail = (1 - LEVEL) / 2
    return np.quantile(figures, [tail, 1 - tail]).tolist()


def _means(values, draws) -> np.ndarray:
    return draws @ values / draws.sum(axis=1)


def _medians(values, draws) -> np.ndarray:
    """Median of each draw: the mean of its two middle values, or twice the one."""
    order = np.argsort(values)
    reached = draws[:, order].cumsum(axis=1)  # How many values down to this one.
    total = reached[:, -1:]
    low, high = (
        values[order][(reached > middle).argmax(axis=1)]
        for middle in ((total - 1) // 2, total // 2)
    )
    return (low + high) / 2
