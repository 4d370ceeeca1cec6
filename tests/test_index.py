"""The search of an index, beside a slow reference."""

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from scipy.special import softmax

from clip_lib.index import Index

TIES = st.integers(-4, 4).map(lambda number: number / 4)
ODD = TIES | st.sampled_from([np.nan, np.inf, -np.inf])


def sorted_search(scores, k, temperature):
    """The answers of an index by a stable sort of all its rows."""
    order = np.argsort(-scores, kind="stable")
    best = scores[order].astype("float64")
    answers = pd.DataFrame(
        {
            "rank": np.arange(1, len(order) + 1),
            "score": best,
            "margin": -np.diff(best, append=np.nan),
            "probability": softmax(best / temperature) if len(best) else [],
            "row": order,
        }
    )
    return answers[:k]


def search(scores, k, temperature):
    """The answers of an index whose rows have these cosines with the query."""
    items = pd.DataFrame({"row": range(len(scores))})
    return Index(scores[:, None], items).search(np.ones(1, "float32"), k, temperature)


def assert_as_sorted(scores, k, temperature=0.07):
    scores = np.array(scores, "float32")
    with np.errstate(invalid="ignore"):
        found = search(scores, k, temperature)
        expected = sorted_search(scores, k, temperature)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12, atol=0)


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True, database=None)
@hypothesis.given(
    scores=st.lists(TIES, max_size=80) | st.lists(ODD, max_size=80), data=st.data()
)
def test_the_search_is_a_stable_sort_of_all_rows(scores, data):
    assert_as_sorted(scores, data.draw(st.integers(1, len(scores) + 3), "k"))


@pytest.mark.parametrize("k", [1, 5, 199, 2999, 3000, 3003])
def test_the_search_is_exact_among_thousands_and_many_ties(k):
    random = np.random.default_rng(k)
    assert_as_sorted(random.integers(-9, 10, 3000) / 10, k)
    # The best are neighbours, so that most samples of the rows miss them.
    assert_as_sorted(np.sort(random.uniform(-1, 1, 3000)), k)
    assert_as_sorted(np.zeros(3000), k)


@pytest.mark.parametrize("temperature", [0.01, 0.07, 1.0])
def test_probabilities_are_the_softmax_of_all_rows(temperature):
    scores = np.random.default_rng(0).uniform(-1, 1, 3000).astype("float32")
    expected = softmax(scores.astype("float64") / temperature)
    answers = search(scores, 3000, temperature)
    assert answers["probability"].sum() == pytest.approx(1, abs=1e-12)
    assert np.allclose(answers["probability"], expected[answers["row"]], 1e-12, 0)
    few = search(scores, 7, temperature)["probability"]
    assert few.tolist() == answers["probability"][:7].tolist()
