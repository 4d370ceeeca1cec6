"""Ranks and recalls, against hand-made matrices and slow obvious versions."""

import numpy as np
import pytest

from clip_lib.ranking import (
    first_ranks,
    precision_at_k,
    random_first_rank,
    random_recall_at_k,
    recall_at_k,
)


def slow_rank(scores, right):
    """Walk down the list; among equals, wrong answers come first."""
    order = sorted(range(len(scores)), key=lambda j: (-scores[j], right[j]))
    return next(place for place, j in enumerate(order, 1) if right[j])


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
    assert precision_at_k(scores, right, 2) == pytest.approx((0.5 + 1.0) / 2)
    assert precision_at_k(scores, right, 10) == pytest.approx(2 / 3)
