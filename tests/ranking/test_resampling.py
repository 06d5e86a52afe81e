"""Draws keep patients together, intervals are what they say, and differences are taken pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.measures import MEASURES, Evidence
from acnorm.ranking.resampling import Draws, Resampled, differs, resampled
from drawn_features import drawn


def evidence(cases: int = 60, signal: float = 1.0, patients: int = 30) -> Evidence:
    features, labels = drawn(cases, 6, 2, signal=signal)
    return Evidence(features, labels, np.array([f"patient {at % patients:02}" for at in range(cases)]))


def test_draws_hold_all_cases_of_a_patient_or_none():
    found = evidence()
    draws = Draws.make(found.labels, list(found.groups), seed=0, resamples=30, halves=20)
    for rows in draws.bootstrap:
        times = np.bincount(rows, minlength=60)
        assert np.array_equal(times[:30], times[30:])
        assert len(rows) == 60
    for rows in draws.halves:
        assert len(set(rows)) == len(rows)
        assert np.isin(rows + 30, rows)[rows < 30].all()


def test_halves_hold_half_of_the_patients_of_each_class_and_never_lose_one():
    labels = np.array([0] * 20 + [1] * 5 + [2])
    draws = Draws.make(labels, [f"{at:02}" for at in range(26)], seed=0)
    assert all(np.bincount(labels[rows]).tolist() == [10, 3, 1] for rows in draws.halves)
    several = Draws.make(np.eye(3)[labels], [f"{at:02}" for at in range(26)], seed=0).halves
    assert all(
        len(rows) == 13 for rows in several
    )  # sets of labels may be of one case each, which halves must not keep
    assert len({tuple(rows) for rows in several}) == len(several)


def test_the_seed_decides():
    found = evidence()
    first, second, other = (Draws.make(found.labels, list(found.groups), seed=seed) for seed in (0, 0, 1))
    assert all(
        np.array_equal(one, two)
        for one, two in zip(first.bootstrap + first.halves, second.bootstrap + second.halves, strict=True)
    )
    assert not all(np.array_equal(one, two) for one, two in zip(first.bootstrap, other.bootstrap, strict=True))


def test_held_answers_are_resampled_without_new_fits():
    found = evidence()
    draws = Draws.make(found.labels, list(found.groups), seed=0)
    truth, answers = MEASURES["linear-probe"].held(found)
    score = resampled(MEASURES["linear-probe"], found, draws)
    expected = [roc_auc_score(truth[rows, 0], answers[rows, 0]) for rows in draws.bootstrap[:20]]
    assert score.values[:20] == pytest.approx(expected)
    assert (score.low, score.high) == pytest.approx(tuple(np.percentile(score.values, (2.5, 97.5))))
    assert score.value == MEASURES["linear-probe"].of(found)


def test_other_measures_are_computed_anew_on_halves_around_the_score():
    found = evidence()
    draws = Draws.make(found.labels, list(found.groups), seed=0)
    score = resampled(MEASURES["logme"], found, draws)
    halves = np.array([MEASURES["logme"].of(found.of(rows)) for rows in draws.halves])
    assert score.values - score.values.mean() == pytest.approx(halves - halves.mean())
    assert score.values.mean() == pytest.approx(score.value)
    assert (score.high - score.low) / 2 == pytest.approx(1.96 * halves.std(ddof=1))


def test_the_spread_over_halves_is_that_of_new_patients():
    """Of a mean of independent values it is the standard error; here of LEEP with a source that says the class or nothing."""
    draw = np.random.default_rng(0)
    widths, scores = [], []
    for _ in range(60):
        labels = np.arange(80) % 2
        right = np.clip(draw.normal(0.7, 0.15, 80), 0.02, 0.98)
        source = np.where(labels[:, None] == np.arange(2), right[:, None], 1 - right[:, None])
        found = Evidence(np.zeros((80, 1)), labels, np.array([f"{at:02}" for at in range(80)]), source)
        score = resampled(MEASURES["leep"], found, Draws.make(labels, list(found.groups), seed=0))
        scores.append(score.value)
        widths.append((score.high - score.low) / (2 * 1.96))
    assert np.mean(widths) == pytest.approx(np.std(scores), rel=0.3)


def test_a_score_that_most_halves_lack_has_no_interval():
    features, labels = drawn(30, 12, 2)
    groups = [f"{at:02}" for at in range(30)]
    found = Evidence(features, labels, np.array(groups))
    score = resampled(MEASURES["h-score"], found, Draws.make(labels, groups, seed=0))
    assert (score.low, score.high) == (None, None)
    assert np.isnan(score.values).all()
    assert 0 < score.value <= 1


def test_a_measure_that_says_nothing_is_refused():
    found = evidence()
    with pytest.raises(NotDefined, match="the file holds no head of its own"):
        resampled(MEASURES["leep"], found, Draws.make(found.labels, list(found.groups), seed=0))


def test_scores_that_move_together_differ_by_little():
    noise = np.random.default_rng(0).normal(size=200)
    low, high = (Resampled(value, value + noise, None, None) for value in (0.0, 0.1))
    assert differs(high, low)
    assert not differs(low, high)
    assert not differs(Resampled(0.1, 0.1 + noise[::-1], None, None), low)


@pytest.mark.parametrize("gap", [1.9, 2.0])
def test_scores_differ_from_1_96_deviations_of_the_difference(gap: float):
    values = np.tile([-1.0, 1.0], 5000)
    one, other = Resampled(gap, gap + values, None, None), Resampled(0.0, np.zeros(10000), None, None)
    assert differs(one, other) == (gap > 1.96)


def test_draws_without_a_score_do_not_count_and_none_left_tells_nothing():
    values = np.array([np.nan, 1.0, 1.01, np.nan])
    low = Resampled(0.0, np.array([0.0, 0.0, 0.0, np.nan]), None, None)
    assert differs(Resampled(1.0, values, None, None), low)
    assert not differs(Resampled(1.0, np.full(4, np.nan), None, None), low)
