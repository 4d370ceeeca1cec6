"""Ranks, precisions and intervals, by hand and against slow obvious versions."""

import numpy as np
import pytest

from clip_lib.evaluation.metrics import (
    bootstrap_draws,
    bootstrap_interval,
    first_ranks,
    precisions_at_k,
    random_recall_at_k,
)


def test_rankings_by_hand():
    scores = np.array([[0.9, 0.8, 0.1], [0.1, 0.2, 0.3], [0.9, 0.8, 0.7]])
    right = np.array([[True, False, True], [False, True, True], [False, False, True]])
    # The best of several right answers counts.
    assert first_ranks(scores, right).tolist() == [1, 1, 3]
    assert precisions_at_k(scores, right, 2).tolist() == [0.5, 1.0, 0.0]
    assert precisions_at_k(scores, right, 10) == pytest.approx([2 / 3, 2 / 3, 1 / 3])


@pytest.mark.parametrize("score", [0.0, np.nan])
def test_a_model_that_tells_nothing_apart_is_the_worst(score):
    right = np.array([[True, True, False, False, False]])
    scores = np.full((1, 5), score)
    assert first_ranks(scores, right).tolist() == [4]
    assert precisions_at_k(scores, right, 3) == 0
    # One NaN stands where it harms most.
    scores = np.array([[0.9, np.nan, 0.5, 0.1]] * 2)
    right = np.array([[True, True, False, False], [True, False, False, False]])
    assert precisions_at_k(scores, right, 2).tolist() == [1 / 2, 1 / 2]
    assert first_ranks(scores, right).tolist() == [1, 2]


def test_queries_without_an_answer_are_refused():
    with pytest.raises(ValueError, match="no right answer"):
        first_ranks(np.zeros((2, 2)), [[True, False], [False, False]])


def test_chance_equals_a_simulation():
    one, n = np.ones(90), np.full(90, 90)
    assert random_recall_at_k(one, n, 5) == pytest.approx(5 / 90)
    assert random_recall_at_k(one, n, 200) == pytest.approx(1)
    right = np.tile(np.arange(20) < 3, (20_000, 1))
    ranks = first_ranks(np.random.default_rng(0).random(right.shape), right)
    expected = pytest.approx(np.mean(ranks <= 5), abs=0.02)
    assert random_recall_at_k([3], [20], 5) == expected


@pytest.mark.parametrize("median", [False, True])
def test_an_interval_is_that_of_the_slow_version(median):
    """Groups of one to four queries, drawn whole."""
    random = np.random.default_rng(0)
    groups = np.repeat(random.permutation(12), random.integers(1, 5, 12))
    values = random.integers(0, 9, len(groups))
    draws = bootstrap_draws(groups)
    statistic = np.median if median else np.mean
    drawn = [statistic(np.repeat(values, counts)) for counts in draws]
    expected = np.percentile(drawn, [2.5, 97.5])
    assert bootstrap_interval(values, draws, median) == pytest.approx(expected)
    assert bootstrap_interval(np.ones(len(groups)), draws, median) == [1, 1]


def test_groups_are_drawn_whole_and_with_replacement():
    groups = ["b", "a", "b", "c", "b", "a"]
    draws = bootstrap_draws(groups)
    assert (draws[:, 0] == draws[:, 2]).all() and (draws[:, 1] == draws[:, 5]).all()
    # As many groups as there are; each absent or repeated now and then.
    assert (draws[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert set(draws[:, 3]) == {0, 1, 2, 3}
    assert (draws == bootstrap_draws(groups)).all()
