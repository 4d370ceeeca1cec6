"""Ranks, precisions and intervals, by hand and against slow obvious versions."""

from itertools import permutations

import numpy as np
import pytest

from clip_lib.evaluation.bootstrap import bootstrap_draws, bootstrap_interval
from clip_lib.evaluation.metrics import (
    average_precisions,
    first_ranks,
    precisions_at_k,
    random_average_precision,
    random_first_rank,
    random_recall_at_k,
    recall_at_k,
)


def slow_rank(scores, right):
    """Walk down the list; among equals, wrong answers come first."""
    order = sorted(range(len(scores)), key=lambda j: (-scores[j], right[j]))
    return next(place for place, j in enumerate(order, 1) if right[j])


def slow_precisions(scores, right):
    """Precision of the list down to each place; among equals, wrong ones first."""
    order = sorted(range(len(scores)), key=lambda j: (-scores[j], right[j]))
    found = 0
    precisions = []
    for place, j in enumerate(order, 1):
        found += right[j]
        precisions.append(found / place)
    return order, precisions


def slow_average_precision(scores, right):
    order, precisions = slow_precisions(scores, right)
    return np.mean([p for j, p in zip(order, precisions, strict=True) if right[j]])


def matrices_with_ties(seed):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 6, (20, 30)) / 5
    right = random.random((20, 30)) < 0.3
    right[:, 0] = True
    return scores, right


def test_hand_made_ranks():
    similarity = np.array([[0.9, 0.1, 0.5], [0.7, 0.6, 0.8], [0.1, 0.2, 0.3]])
    assert first_ranks(similarity, np.eye(3)).tolist() == [1, 3, 1]
    assert first_ranks(similarity.T, np.eye(3)).tolist() == [1, 1, 3]


def test_ties_count_against_the_model():
    assert first_ranks(np.zeros((4, 4)), np.eye(4)).tolist() == [4] * 4


def test_the_best_of_several_right_answers_counts():
    right = [[True, False, True, False], [False, True, False, False]]
    scores = [[0.1, 0.5, 0.4, 0.2], [0.9, 0.5, 0.6, 0.7]]
    assert first_ranks(scores, right).tolist() == [2, 4]


def test_scores_that_are_not_numbers_count_against_the_model():
    assert first_ranks(np.full((4, 4), np.nan), np.eye(4)).tolist() == [4] * 4


@pytest.mark.parametrize("seed", range(5))
def test_ranks_equal_the_slow_version_with_ties_and_several_answers(seed):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 6, (20, 30)) / 5
    right = random.random((20, 30)) < 0.1
    right[:, 0] = True
    expected = [slow_rank(s, r) for s, r in zip(scores, right, strict=True)]
    assert first_ranks(scores, right).tolist() == expected


def test_recalls_by_hand():
    ranks = [1, 2, 6, 11]
    assert [recall_at_k(ranks, k) for k in (1, 5, 10, 100)] == [0.25, 0.5, 0.75, 1.0]


def test_queries_without_an_answer_are_refused():
    with pytest.raises(ValueError, match="no right answer"):
        first_ranks(np.zeros((2, 2)), [[True, False], [False, False]])
    with pytest.raises(ValueError, match="differ"):
        first_ranks(np.zeros((2, 2)), np.eye(3))


def test_chance_with_one_answer_among_n():
    one, n = np.ones(90), np.full(90, 90)
    assert random_recall_at_k(one, n, 5) == pytest.approx(5 / 90)
    assert random_recall_at_k(one, n, 200) == pytest.approx(1)
    assert random_first_rank(one, n)[0] == 45.5


def test_chance_equals_a_simulation():
    random = np.random.default_rng(0)
    right = np.zeros((1, 20), bool)
    right[0, :3] = True
    ranks = [first_ranks(random.random((1, 20)), right)[0] for _ in range(20_000)]
    assert random_recall_at_k([3], [20], 5) == pytest.approx(
        recall_at_k(ranks, 5), abs=0.02
    )
    assert random_first_rank([3], [20])[0] == pytest.approx(np.mean(ranks), abs=0.1)


def test_precision_by_hand():
    scores = np.array([[0.9, 0.8, 0.1], [0.1, 0.2, 0.3]])
    right = np.array([[True, False, True], [False, True, True]])
    assert precisions_at_k(scores, right, 2).tolist() == [0.5, 1.0]
    assert precisions_at_k(scores, right, 10) == pytest.approx(2 / 3)


def test_average_precision_by_hand():
    scores = np.array([[0.9, 0.8, 0.1], [0.1, 0.2, 0.3], [0.9, 0.8, 0.7]])
    right = np.array([[True, False, True], [False, True, True], [False, False, True]])
    expected = [(1 + 2 / 3) / 2, 1, 1 / 3]
    assert average_precisions(scores, right) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_precisions_equal_the_slow_version_with_ties(seed):
    scores, right = matrices_with_ties(seed)
    rows = list(zip(scores, right, strict=True))
    for k in (1, 5, 30):
        expected = [slow_precisions(*row)[1][k - 1] for row in rows]
        assert precisions_at_k(scores, right, k) == pytest.approx(expected)
    expected = [slow_average_precision(*row) for row in rows]
    assert average_precisions(scores, right) == pytest.approx(expected)


@pytest.mark.parametrize("score", [0.0, np.nan])
def test_precisions_of_a_model_that_says_nothing_are_the_worst(score):
    right = np.array([[True, True, False, False, False]])
    scores = np.full((1, 5), score)
    assert precisions_at_k(scores, right, 3) == 0
    assert average_precisions(scores, right) == pytest.approx((1 / 4 + 2 / 5) / 2)


def test_a_score_that_is_not_a_number_stands_where_it_harms_most():
    scores = np.array([[0.9, np.nan, 0.5, 0.1], [0.9, np.nan, 0.5, 0.1]])
    right = np.array([[True, False, False, False], [False, True, False, False]])
    assert average_precisions(scores, right).tolist() == [1 / 2, 1 / 4]
    assert first_ranks(scores, right).tolist() == [2, 4]


@pytest.mark.parametrize(
    "measure", [average_precisions, lambda *both: precisions_at_k(*both, 5)]
)
def test_the_order_of_the_candidates_is_nothing_to_a_precision(measure):
    scores, right = matrices_with_ties(0)
    shuffled = np.random.default_rng(0).permutation(30)
    assert measure(scores[:, shuffled], right[:, shuffled]) == pytest.approx(
        measure(scores, right)
    )


@pytest.mark.parametrize("n", range(1, 7))
def test_chance_of_average_precision_is_the_mean_over_all_orders(n):
    orders = -np.array(list(permutations(range(n))), dtype=float)
    for r in range(1, n + 1):
        right = np.tile(np.arange(n) < r, (len(orders), 1))
        exact = average_precisions(orders, right).mean()
        assert random_average_precision([r], [n])[0] == pytest.approx(exact)
    both = random_average_precision([1, n], [n, n])
    assert both == pytest.approx([np.mean(1 / np.arange(1, n + 1)), 1])


def width(values, groups, median=False):
    low, high = bootstrap_interval(values, bootstrap_draws(groups), median)
    return high - low


@pytest.mark.parametrize("median", [False, True])
def test_an_interval_is_that_of_the_slow_version(median):
    """Groups of one to four queries, drawn whole."""
    random = np.random.default_rng(0)
    groups = np.repeat(random.permutation(12), random.integers(1, 5, 12))
    values = random.integers(0, 9, len(groups))
    draws = bootstrap_draws(groups, resamples=300)
    figures = []
    for counts in draws:
        drawn = [v for v, n in zip(values, counts, strict=True) for _ in range(n)]
        figures.append(np.median(drawn) if median else np.mean(drawn))
    expected = np.percentile(figures, [2.5, 97.5])
    assert bootstrap_interval(values, draws, median) == pytest.approx(expected)


def test_groups_are_drawn_whole_and_with_replacement():
    groups = ["b", "a", "b", "c", "b", "a"]
    draws = bootstrap_draws(groups, resamples=500)
    assert (draws[:, 0] == draws[:, 2]).all() and (draws[:, 1] == draws[:, 5]).all()
    # As many groups as there are; each absent or repeated now and then.
    assert (draws[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert set(draws[:, 3]) == {0, 1, 2, 3}
    assert draws[:, 3].mean() == pytest.approx(1, abs=0.15)
    assert (draws == bootstrap_draws(groups, resamples=500)).all()
    assert (draws != bootstrap_draws(groups, resamples=500, seed=1)).any()


def test_an_interval_holds_its_figure_and_shrinks_with_more_queries():
    random = np.random.default_rng(0)
    widths = []
    for queries in (100, 400, 1600):
        ranks = random.integers(1, 101, queries)
        for values, median in ((ranks <= 10, False), (ranks, False), (ranks, True)):
            low, high = bootstrap_interval(
                values, bootstrap_draws(range(queries)), median
            )
            assert low < (np.median(values) if median else np.mean(values)) < high
        widths.append(width(ranks <= 10, range(queries)))
    # Four times the queries, half the width; 2 x 1.96 standard errors by theory.
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.3)
    assert widths[2] == pytest.approx(3.92 * 0.3 / 40, rel=0.15)


@pytest.mark.parametrize("median", [False, True])
def test_a_figure_without_spread_has_equal_bounds(median):
    draws = bootstrap_draws(range(30))
    assert bootstrap_interval(np.ones(30), draws, median) == [1, 1]


def test_a_query_asked_five_times_is_worth_one():
    random = np.random.default_rng(0)
    ranks = random.integers(1, 101, 80)
    pictures, often = np.arange(80), np.repeat(np.arange(80), 5)
    for median in (False, True):
        once = bootstrap_interval(ranks, bootstrap_draws(pictures), median)
        five = bootstrap_interval(ranks[often], bootstrap_draws(often), median)
        assert five == pytest.approx(once)
    alone = width(ranks[often], range(400))
    assert width(ranks, pictures) / alone == pytest.approx(5**0.5, rel=0.15)
