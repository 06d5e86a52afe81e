from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from acnorm.bench.statistics import (
    MOST_RUNS,
    Difference,
    bootstrap_difference,
    corrected_resampled_t,
    holm,
    over_runs_and_patients,
    patient_weights,
    power_of,
    runs_needed,
    win_tie_loss,
)

several = arrays.arrays(np.float64, st.integers(2, 12), elements=st.floats(-1, 1).map(lambda value: round(value, 6)))
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=6)


@given(several)
def test_without_a_ratio_it_is_the_paired_t_test(values: np.ndarray):
    if np.ptp(values) < 1e-3:
        return
    result, usual = corrected_resampled_t(values, 0.0), stats.ttest_1samp(values, 0)
    interval = usual.confidence_interval(0.95)
    assert result.p == pytest.approx(usual.pvalue)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high))


@given(several, st.floats(0, 3))
def test_the_ratio_widens_by_what_the_paper_says(values: np.ndarray, ratio: float):
    plain, corrected = corrected_resampled_t(values, 0.0), corrected_resampled_t(values, ratio)
    if np.ptp(values) > 1e-3:
        wider = (corrected.high - corrected.mean) / (plain.high - plain.mean)
        assert wider == pytest.approx(np.sqrt(1 + ratio * len(values)))
        assert (corrected.p < 0.05) == (corrected.low > 0 or corrected.high < 0)


def test_the_corrected_test_keeps_its_level_where_the_plain_one_does_not():
    """Five folds repeated five times of one fixed effect of 0: runs share most of their training cases."""
    draw, repeats, share = np.random.default_rng(0), 400, 0.2
    # correlation n_test / (n_test + n_train) between runs, the assumption of the paper
    shared = draw.standard_normal((repeats, 1)) * np.sqrt(share)
    values = shared + draw.standard_normal((repeats, 25)) * np.sqrt(1 - share)
    plain = np.mean([corrected_resampled_t(row, 0.0).p < 0.05 for row in values])
    corrected = np.mean([corrected_resampled_t(row, share / (1 - share)).p < 0.05 for row in values])
    assert plain > 0.2
    assert 0.02 < corrected < 0.09


def test_few_runs_and_equal_ones():
    assert corrected_resampled_t(np.array([0.1]), 0.25) == Difference(0.1)
    assert corrected_resampled_t(np.zeros(3), 0.25) == Difference(0.0, 0.0, 0.0, 1.0)
    assert corrected_resampled_t(np.full(3, 0.5), 0.25) == Difference(0.5)  # no chance was seen: nothing is certain
    with pytest.raises(ValueError, match=r"there are no differences\."):
        corrected_resampled_t(np.array([]), 0.25)
    with pytest.raises(ValueError, match=r"ratio is -1, must be 0 or more\."):
        corrected_resampled_t(np.zeros(3), -1)


def closed_test(values: list[float], place: int) -> float:
    """Holm's value as the closure of Bonferroni tests: the largest over all sets of hypotheses that hold this one."""
    others = [at for at in range(len(values)) if at != place]
    sets = itertools.chain.from_iterable(itertools.combinations(others, size) for size in range(len(values)))
    return max(min(1.0, (1 + len(rest)) * min(values[at] for at in (place, *rest))) for rest in sets)


@given(p_values)
def test_holm_is_the_closed_bonferroni_test(values: list[float]):
    corrected = holm(values)
    assert corrected == pytest.approx([closed_test(values, place) for place in range(len(values))])


@given(p_values)
def test_what_is_not_known_does_not_count(values: list[float]):
    corrected = holm([None, *values, None])
    assert corrected[0] is None
    assert corrected[-1] is None
    assert corrected[1:-1] == holm(values)


def test_cases_of_a_patient_are_drawn_together():
    patients = ["a", "b", "a", "c"]
    weights = patient_weights(patients, 2000, np.random.default_rng(0))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert weights.mean(axis=0) == pytest.approx(1.0, abs=0.07)


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error():
    draw = np.random.default_rng(0)
    cases = draw.normal(0.1, 1.0, size=(1, 400))
    weights = patient_weights([str(case) for case in range(400)], 4000, draw)
    samples = (weights @ cases.T) / weights.sum(axis=1, keepdims=True)
    result = bootstrap_difference(cases.mean(axis=1), samples)
    half = 1.96 * cases.std() / 20
    assert result.high - result.low == pytest.approx(2 * half, rel=0.06)
    assert result.p == pytest.approx(2 * stats.norm.sf(abs(cases.mean()) / (cases.std() / 20)), abs=0.04)


def test_chance_in_training_counts_where_the_test_cases_stay():
    values = np.array([-0.3, 0.0, 0.3])
    samples = np.tile(values, (2000, 1))  # the patients make no difference
    kept, drawn = bootstrap_difference(values, samples), over_runs_and_patients(values, samples)
    assert (kept.low, kept.high) == pytest.approx((0.0, 0.0))
    assert (drawn.low, drawn.high, drawn.p) == pytest.approx((*_usual_interval(values), 1.0))


def _usual_interval(values: np.ndarray) -> tuple[float, float]:
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean() - half, values.mean() + half


@pytest.mark.parametrize("runs", [2, 3, 5])
@pytest.mark.parametrize("of_patients", [0.0, 0.01, 0.02])
def test_no_true_difference_is_seldom_called_one(runs: int, of_patients: float):
    draw = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        values = draw.normal(draw.normal(0, of_patients), 0.02, size=runs)
        samples = values + draw.normal(0, max(of_patients, 1e-6), size=(200, 1))
        wrong += over_runs_and_patients(values, samples).p < 0.05
    assert wrong / 400 < 0.1


def test_strong_differences_survive_many_comparisons():
    draw = np.random.default_rng(0)
    values = np.full(5, 0.3) + draw.normal(0, 0.005, size=5)
    found = over_runs_and_patients(values, values + draw.normal(0, 0.01, size=(1000, 1)))
    assert holm([found.p, *[0.5] * 99])[0] < 0.05
    assert over_runs_and_patients(np.array([0.1]), np.zeros((10, 1))) == Difference(0.1)
    assert over_runs_and_patients(np.full(2, 0.1), np.full((10, 2), 0.1)) == Difference(0.1)


def test_samples_without_a_value_are_left_out():
    samples = np.array([[0.1, np.nan], [np.nan, np.nan], [0.3, 0.1]])
    result = bootstrap_difference(np.array([0.1, np.nan]), samples)
    assert result.mean == pytest.approx(0.1)
    assert (result.low, result.high) == pytest.approx(tuple(np.percentile([0.1, 0.2], (2.5, 97.5))))
    assert bootstrap_difference(np.array([0.1]), np.full((3, 1), np.nan)) == Difference(0.1)


def test_wins_ties_and_losses():
    assert win_tie_loss([0.1, -0.1, 0.0]) == (1, 1, 1)
    assert win_tie_loss([0.1, -0.1, 0.005, -0.3], tie=0.1) == (0, 3, 1)
    assert win_tie_loss([]) == (0, 0, 0)


def test_rounding_is_a_tie():
    assert win_tie_loss([0.1 + 0.2 - 0.3, 0.3 - 0.1 - 0.2, 2e-12]) == (1, 2, 0)
    assert win_tie_loss([0.3 - 0.2, -(0.3 - 0.2) - 1e-15], tie=0.1) == (0, 2, 0)


@pytest.mark.parametrize(("runs", "ratio"), [(5, 0.0), (12, 0.0), (8, 0.25)])
def test_power_is_how_often_the_test_sees_it(runs: int, ratio: float):
    draw, tries = np.random.default_rng(1), 3000
    share = ratio / (1 + ratio)
    noise = np.sqrt(share) * draw.standard_normal((tries, 1)) + np.sqrt(1 - share) * draw.standard_normal((tries, runs))
    # correlated runs: the deviation within a row is that of what they do not share
    values = 1.0 + noise
    error = values.std(axis=1, ddof=1) * np.sqrt(1 / runs + ratio)
    seen = np.abs(values.mean(axis=1) / error) > stats.t.ppf(0.975, runs - 1)
    assert power_of(runs, 1.0, np.sqrt(1 - share), ratio) == pytest.approx(seen.mean(), abs=0.03)


@given(st.floats(0.001, 0.05), st.floats(0, 0.1))
def test_the_number_of_runs_is_the_least_that_is_enough(deviation: float, ratio: float):
    needed = runs_needed(deviation, 0.01, ratio)
    if needed is None:
        assert power_of(MOST_RUNS, 0.01, deviation, ratio) < 0.8
        return
    assert power_of(needed, 0.01, deviation, ratio) >= 0.8
    assert needed == 2 or power_of(needed - 1, 0.01, deviation, ratio) < 0.8


def test_without_any_spread_two_runs_are_enough():
    assert runs_needed(0.0, 0.01) == 2


@pytest.mark.parametrize("differences", [[0.1, 0.1, 0.1], [0.3 - 0.2, 0.2 - 0.1, 0.1]])
def test_equal_differences_are_no_proof_whatever_rounding_does(differences: list[float]):
    """Of three equal differences NumPy's variance need not be 0, and p would be 1e-32."""
    apart = np.array(differences)
    assert corrected_resampled_t(apart, 0.25) == Difference(pytest.approx(0.1))
    samples = np.tile(apart, (50, 1))
    assert over_runs_and_patients(apart, samples) == Difference(pytest.approx(0.1))
    assert corrected_resampled_t(apart - apart, 0.25).p == 1.0
    assert runs_needed(float(np.std(apart, ddof=1)), 0.01) == 2
