"""Judging scores by results: against brute force, closed forms and the published comparison's definitions."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr, weightedtau

from acnorm.bench.judging import Estimate, best_elsewhere, judged, of_rule, over_targets

NAMES = "abcdef"
lists = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=6)


@given(lists)
def test_against_scipy_and_brute_force(pairs: list[tuple[int, int]]):
    results = {name: value / 20 for name, (value, _) in zip(NAMES, pairs, strict=False)}
    scores = {name: float(score) for name, (_, score) in zip(NAMES, pairs, strict=False)}
    found = judged(results, scores)
    picked = [name for name in results if scores[name] == max(scores.values())]
    lost = [max(results.values()) - results[name] for name in picked]
    assert found.regret == pytest.approx(sum(lost) / len(lost))
    assert found.hit == pytest.approx(sum(value == 0 for value in lost) / len(lost))
    truth, given_scores = list(results.values()), list(scores.values())
    if min(len(set(truth)), len(set(given_scores))) < 2:
        assert np.isnan(found.tau)
        assert np.isnan(found.spearman)
        return
    assert found.tau == pytest.approx(weightedtau(truth, given_scores, rank=True).statistic)
    assert found.spearman == pytest.approx(spearmanr(truth, given_scores).statistic)


def test_candidates_without_a_score_still_count_for_what_is_lost():
    results = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}
    found = judged(results, {"a": None, "b": 1.0, "c": 2.0, "d": 0.0})
    assert (found.scored, found.candidates) == (3, 4)
    assert found.regret == pytest.approx(0.9 - 0.7)
    assert found.hit == 0
    assert found.spearman == pytest.approx(0.5)
    assert judged(results, {"b": 1.0, "c": 2.0}).regret == pytest.approx(0.2)
    assert np.isnan(judged(results, {"b": 1.0, "c": 2.0}).tau)
    assert np.isnan(judged(results, {"b": 1.0}).regret)


def test_rules():
    results = {"a": 0.9, "b": 0.8, "c": 0.7}
    assert of_rule(results, ["b"]).regret == pytest.approx(0.1)
    assert of_rule(results, ["a"]).hit == 1
    everyone = of_rule(results, list(results))  # a random pick: expected values over all equally likely ones
    assert everyone.regret == pytest.approx(np.mean([0.9 - value for value in results.values()]))
    assert everyone.hit == pytest.approx(1 / 3)
    assert np.isnan(of_rule(results, ["d"]).regret)


def test_the_best_elsewhere_never_looks_at_the_target():
    results = {"x": {"a": 0.9, "b": 0.1}, "y": {"a": 0.5, "b": 0.6}, "z": {"a": 0.5, "b": 0.7, "c": 0.9}}
    assert best_elsewhere(results, "x") == ["b"]
    changed = results | {"x": {"a": 0.1, "b": 0.9}}
    assert best_elsewhere(changed, "x") == ["b"]
    assert best_elsewhere(results, "z") == ["a"]
    assert best_elsewhere({"x": results["x"]}, "x") == []


def test_intervals_are_those_of_every_draw():
    values = [0.1, 0.4, 0.7]
    means = [np.mean(draw) for draw in product(values, repeat=3)]
    found = over_targets(values)
    assert found.mean == pytest.approx(0.4)
    low, high = np.percentile(means, (2.5, 97.5))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    many = list(np.linspace(0, 1, 12) ** 2)
    found, deviation = over_targets(many), np.std(many) / np.sqrt(12)
    assert found.high - found.low == pytest.approx(2 * 1.96 * deviation, rel=0.1)
    assert found == over_targets(many) != over_targets(many, seed=1)


def test_undefined_targets_are_left_out_of_the_mean():
    nan = float("nan")
    found = over_targets([0.2, nan, 0.4, 0.6])
    assert (found.mean, found.targets) == (pytest.approx(0.4), 3)
    assert 0.2 <= found.low < found.high <= 0.6
    assert over_targets([0.2, 0.4]) == Estimate(pytest.approx(0.3), None, None, 2)
    assert np.isnan(over_targets([nan, nan]).mean)


def test_ninety_five_in_a_hundred_intervals_hold_the_truth_with_many_targets():
    draw = np.random.default_rng(0)
    found = [over_targets(draw.normal(size=40), resamples=300, seed=at) for at in range(200)]
    assert 0.88 < np.mean([item.low < 0 < item.high for item in found]) < 0.99
