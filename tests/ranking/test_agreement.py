"""Weighted τ and regret from their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from acnorm.ranking.agreement import agreement, regret, weighted_tau

VALUES = st.lists(st.integers(0, 6).map(float), min_size=3, max_size=9)


def pair_by_pair(truth: list[float], scores: list[float]) -> float:
    """Σ w_ij sgn sgn / √(Σ w_ij sgn² Σ w_ij sgn²), w_ij = 1/(1+r_i) + 1/(1+r_j), r the place by the first, then by the second."""
    places = np.empty(len(truth))
    places[np.lexsort((scores, truth))[::-1]] = np.arange(len(truth))
    both = first = second = 0.0
    for i in range(len(truth)):
        for j in range(i):
            weight = 1 / (1 + places[i]) + 1 / (1 + places[j])
            a, b = np.sign(truth[i] - truth[j]), np.sign(scores[i] - scores[j])
            both, first, second = both + weight * a * b, first + weight * a * a, second + weight * b * b
    return both / np.sqrt(first * second)


@given(st.integers(0, 999), st.integers(3, 12))
def test_weighted_tau_is_the_sum_over_pairs(seed: int, count: int):
    draw = np.random.default_rng(seed)
    truth, scores = draw.permutation(count).astype(float).tolist(), draw.integers(0, 4, count).astype(float).tolist()
    if len(set(scores)) > 1:
        expected = (pair_by_pair(truth, scores) + pair_by_pair(scores, truth)) / 2
        assert weighted_tau(truth, scores) == pytest.approx(expected)


def test_scores_all_alike_have_no_tau():
    assert np.isnan(weighted_tau([0.1, 0.2, 0.3], [1.0, 1.0, 1.0]))
    assert np.isnan(weighted_tau([0.1, 0.1, 0.1], [1.0, 2.0, 3.0]))


@given(VALUES)
def test_regret_is_none_for_the_truth_itself_and_the_whole_range_for_its_reverse(truth: list[float]):
    assert regret(truth, truth) == 0
    assert regret(truth, [-value for value in truth]) == max(truth) - min(truth)
    assert regret(truth, [1.0] * len(truth)) == pytest.approx(max(truth) - np.mean(truth))


def test_agreement_is_kendalls_tau_over_the_candidates_that_both_score():
    scores = {
        "a": [1.0, 2.0, 3.0, 4.0, None],
        "b": [2.0, 1.0, 4.0, 3.0, 9.0],
        "c": [1.0, None, None, 2.0, 5.0],
        "d": [0.0] * 5,
    }
    found = agreement(scores)
    assert list(found) == [("a", "b"), ("b", "c")]
    assert found["a", "b"] == pytest.approx(kendalltau([1, 2, 3, 4], [2, 1, 4, 3]).statistic, abs=1e-3)
    assert found["b", "c"] == 1.0
