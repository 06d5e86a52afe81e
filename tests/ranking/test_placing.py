from __future__ import annotations

import numpy as np
import pytest

from acnorm.ranking.placing import beyond_probes, deviation, incomparable, placed
from acnorm.ranking.resampling import Resampled
from acnorm.ranking.result import Score


def result(value: float, spread: float = 0.01, seed: int = 0) -> Resampled:
    return Resampled(value, value + spread * np.random.default_rng(seed).normal(size=100), None, None)


def test_places_ties_and_what_is_above_random():
    results = [result(0.5), result(0.9, 0.3, 1), None, result(0.9, 0.3, 2), result(0.85, 0.3, 3)]
    scores = [Score(None if found is None else found.value, reason="none") for found in results]
    baselines = [result(0.4), result(0.8, 0.3, 4), result(0.1), None, result(0.1)]
    done = placed(results, scores, baselines)
    assert [score.place for score in done] == [4, 1, None, 1, 3]
    assert [score.tied for score in done] == [True, True, False, True, True]
    assert [score.above_random for score in done] == [True, False, None, None, True]
    assert done[2] == scores[2]


def test_a_clear_first_is_tied_with_itself_alone():
    done = placed([result(0.9), result(0.5)], [Score(0.9), Score(0.5)], [None, None])
    assert [score.tied for score in done] == [True, False]


def test_no_result_at_all_leaves_scores_as_they_are():
    assert placed([None], [Score(reason="none")], [None]) == [Score(reason="none")]


@pytest.mark.parametrize(("gap", "beyond"), [(2.7, False), (3.0, True)])
def test_means_over_probes_differ_from_two_deviations_of_a_difference(gap: float, beyond: bool):
    values = np.array([-1.0, 0.0, 1.0])
    first, second = (Resampled(value, value + values, None, None) for value in (gap, 0.0))
    assert deviation(first) == pytest.approx(1.0)
    assert beyond_probes(first, second) is beyond  # 2 · √2
    assert not beyond_probes(second, first)


def test_one_probe_has_no_spread():
    assert deviation(Resampled(1.0, np.array([1.0]), None, None)) == 0.0


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"a": 64, "b": 64}, None),
        ({}, None),
        ({"a": 2048, "b": 64, "c": 512}, "features of different sizes (64, 512, 2048)"),
        ({"a": "cifar/resnet20", "b": "monai/resnet18"}, "different networks (cifar/resnet20, monai/resnet18)"),
    ],
)
def test_sizes_that_differ_cannot_be_compared(sizes: dict, reason: str | None):
    assert incomparable(sizes) == reason
