"""Paired differences between two ways of training: intervals, tests, and how many runs it would take.

All functions take plain arrays; a difference is positive where the first of the two is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import stats

MOST_RUNS = 100_000
ROUNDING = 1e-12
DIGITS = 12  # differences beyond are rounding, and would hide ties


@dataclass(frozen=True)
class Difference:
    """A mean difference with its interval and the p value of no difference; None where there are too few runs."""

    mean: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


def corrected_resampled_t(
    differences: Float[NDArray[np.float64], " run"], ratio: float, confidence: float = 0.95
) -> Difference:
    """Return the mean of paired differences with the interval and p value of the corrected resampled t-test.

    Runs that are tested on random parts of the same cases train on nearly the same cases, so that the usual variance of
    a mean is too small. Nadeau and Bengio (Machine Learning 2003, equation 8) put (1/n + n_test / n_train) · s² in the
    place of s² / n, with n - 1 degrees of freedom.

    Args:
        differences: one a run.
        ratio: test cases over the cases outside the test; 0 gives the usual paired t-test.
        confidence: of the interval.

    Raises:
        ValueError: no differences, or a negative ratio.

    Examples:
        >>> result = corrected_resampled_t(np.array([0.02, 0.04, 0.03]), ratio=0.25)
        >>> round(result.mean, 3), round(result.low, 4), round(result.high, 4), round(result.p, 3)
        (0.03, -0.0029, 0.0629, 0.059)
    """
    if not len(differences):
        raise ValueError("there are no differences.")
    if ratio < 0:
        raise ValueError(f"ratio is {ratio}, must be 0 or more.")
    mean, runs = float(np.mean(differences)), len(differences)
    if runs < 2:
        return Difference(mean)
    error = float(np.sqrt(np.var(differences, ddof=1) * (1 / runs + ratio)))
    half = float(stats.t.ppf((1 + confidence) / 2, runs - 1)) * error
    if is_constant(differences):
        return Difference(mean, mean, mean, 1.0) if abs(mean) < ROUNDING else Difference(mean)
    p = 2 * float(stats.t.sf(abs(mean) / error, runs - 1))
    return Difference(mean, mean - half, mean + half, p)


def is_constant(values: Float[NDArray[np.float64], " run"]) -> bool:
    """Whether values are the same but for rounding, so that what chance does cannot be seen; NaN does not count.

    Examples:
        >>> is_constant(np.array([0.3 - 0.2, 0.2 - 0.1, 0.1])), is_constant(np.array([0.1, 0.1001]))
        (True, False)
    """
    return bool(np.nanmax(values) - np.nanmin(values) < ROUNDING)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return p values corrected for their number by Holm's step-down rule (Scandinavian Journal of Statistics 1979).

    Args:
        values: p values in any order; None where there is none, which does not count.

    Examples:
        >>> holm([0.01, None, 0.04, 0.03])
        [0.03, None, 0.06, 0.06]
    """
    known = sorted((value, place) for place, value in enumerate(values) if value is not None)
    corrected: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (value, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        corrected[place] = largest
    return corrected


def patient_weights(
    patients: Sequence[str], resamples: int, draw: np.random.Generator
) -> Int[NDArray[np.int64], "resample case"]:
    """Return how often each case is in each bootstrap sample of the patients: all cases of a patient go together.

    Examples:
        >>> weights = patient_weights(["a", "a", "b"], 4, np.random.default_rng(0))
        >>> weights.shape, bool((weights[:, 0] == weights[:, 1]).all())
        ((4, 3), True)
    """
    names, inverse = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    counts: NDArray[np.int64] = draw.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return counts[:, inverse]


def bootstrap_difference(
    difference: Float[NDArray[np.float64], " run"],
    samples: Float[NDArray[np.float64], "resample run"],
    confidence: float = 0.95,
) -> Difference:
    """Return the mean difference with a percentile interval over resampled patients, the runs staying.

    The p value is twice the share of samples on the other side of 0, each counting itself in (Davison and Hinkley 1997,
    section 4.4).

    Args:
        difference: of each run, on the cases as they are.
        samples: the same on each bootstrap sample of the patients, the same patients for all runs; NaN where it is not
            defined.
        confidence: of the interval.

    Examples:
        >>> samples = 0.1 + 0.01 * np.random.default_rng(0).standard_normal((1000, 3))
        >>> result = bootstrap_difference(np.full(3, 0.1), samples)
        >>> result.low < 0.1 < result.high, result.p < 0.01
        (True, True)
    """
    mean, means = _mean(difference), _means(samples)
    if not len(means):
        return Difference(mean)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(means, (tail, 100 - tail))
    count = min(int((means <= 0).sum()), int((means >= 0).sum()))
    return Difference(mean, float(low), float(high), min(1.0, 2 * (1 + count) / (1 + len(means))))


def over_runs_and_patients(
    difference: Float[NDArray[np.float64], " run"],
    samples: Float[NDArray[np.float64], "resample run"],
    confidence: float = 0.95,
) -> Difference:
    """Return the mean difference with an interval for new runs and new patients alike; all runs have one test set.

    The variance of the mean is that over runs, s² / n, plus that over bootstrap samples of the patients; the t
    distribution has the degrees of freedom of Satterthwaite (Biometrics Bulletin 1946), the patients counting as many.
    Chance of both kinds at once is counted in each, which errs to the wide side.

    Args:
        difference: of each run, on the cases as they are.
        samples: as for ``bootstrap_difference``.
        confidence: of the interval.

    Examples:
        >>> samples = 0.1 + 0.01 * np.random.default_rng(0).standard_normal((1000, 3))
        >>> result = over_runs_and_patients(np.array([0.09, 0.1, 0.11]), samples)
        >>> round(result.mean, 3), result.low > 0.05, result.p < 0.05
        (0.1, True, True)
    """
    mean, means = _mean(difference), _means(samples)
    runs = int(np.isfinite(difference).sum())
    if runs < 2 or len(means) < 2:
        return Difference(mean)
    of_runs = float(np.nanvar(difference, ddof=1)) / runs
    error = float(np.sqrt(of_runs + means.var(ddof=1)))
    if is_constant(difference) and is_constant(means):
        return Difference(mean, mean, mean, 1.0) if abs(mean) < ROUNDING else Difference(mean)
    freedom = error**4 / (of_runs**2 / (runs - 1)) if of_runs > 0 else np.inf
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    return Difference(mean, mean - half, mean + half, 2 * float(stats.t.sf(abs(mean) / error, freedom)))


def _mean(difference: Float[NDArray[np.float64], " run"]) -> float:
    return float(np.nanmean(difference)) if np.isfinite(difference).any() else float("nan")


def _means(samples: Float[NDArray[np.float64], "resample run"]) -> Float[NDArray[np.float64], " resample"]:
    """The mean over runs of each bootstrap sample in which it is defined."""
    usable = samples[~np.isnan(samples).all(axis=1)]
    return np.nanmean(usable, axis=1) if len(usable) else np.empty(0)


def rounded(values: Float[NDArray[np.float64], "*axes"]) -> Float[NDArray[np.float64], "*axes"]:
    """Return values without what rounding left in them, so that ties are ties.

    Examples:
        >>> rounded(np.array([0.1 + 0.2 - 0.3, 0.25])).tolist()
        [0.0, 0.25]
    """
    return np.round(values, DIGITS)


def win_tie_loss(differences: Sequence[float], tie: float = 0.0) -> tuple[int, int, int]:
    """Return how many differences are above ``tie``, within it, and below its negative; rounding is no difference.

    Examples:
        >>> win_tie_loss([0.1, 0.3 - 0.2 - 0.1, -0.2, 0.3])
        (2, 1, 1)
    """
    apart = rounded(np.asarray(differences, dtype=np.float64))
    wins, losses = int((apart > tie).sum()), int((apart < -tie).sum())
    return wins, len(apart) - wins - losses, losses


def power_of(runs: int, difference: float, deviation: float, ratio: float = 0.0, level: float = 0.05) -> float:
    """Return the chance that the two-sided (corrected resampled) t-test sees a true difference.

    Args:
        runs: pairs, 2 or more.
        difference: the true one.
        deviation: standard deviation of a paired difference.
        ratio: as for ``corrected_resampled_t``.
        level: of the test.

    Examples:
        >>> round(power_of(10, difference=1, deviation=1), 3)
        0.803
    """
    shift = abs(difference) / (deviation * np.sqrt(1 / runs + ratio))
    edge = float(stats.t.ppf(1 - level / 2, runs - 1))
    # SciPy's lower tail is not a number for some values, so the upper one is asked for both sides
    return sum(float(np.nan_to_num(stats.nct.sf(edge, runs - 1, side))) for side in (shift, -shift))


def runs_needed(
    deviation: float, difference: float, ratio: float = 0.0, *, level: float = 0.05, power: float = 0.8
) -> int | None:
    """Return the least number of paired runs with which a true difference would be seen; None where none is enough.

    With a ratio above 0 there is a floor under the variance, which more runs on the same cases do not lower: a small
    difference then stays unseen.

    Args:
        deviation: standard deviation of a paired difference over runs.
        difference: to be seen.
        ratio: as for ``corrected_resampled_t``.
        level: of the two-sided test.
        power: chance of seeing it.

    Examples:
        >>> runs_needed(deviation=0.02, difference=0.01)
        34
        >>> runs_needed(deviation=0.02, difference=0.01, ratio=0.25) is None
        True
    """
    if deviation < ROUNDING:
        return 2
    enough = 2
    while power_of(enough, difference, deviation, ratio, level) < power:
        enough *= 2
        if enough > MOST_RUNS:
            return None
    short = enough // 2
    while enough - short > 1:
        middle = (enough + short) // 2
        if power_of(max(2, middle), difference, deviation, ratio, level) < power:
            short = middle
        else:
            enough = middle
    return enough
