"""How far a score would move with other patients.

Measures that are the AUC of answers given to held-out cases are taken over patients drawn with replacement (the
bootstrap), the answers staying. All others are computed anew on random halves of the patients, class by class: drawing
with replacement would show them cases twice, which makes any features look better than they are. The spread over halves
estimates that of the score itself (the delete-half jackknife; Shao and Wu, Annals of Statistics 1989). The draws are
the same for all candidates, so that differences between two of them are taken pair by pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acnorm.ranking.auc import macro_auc
from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.measures import Evidence, Measure

RESAMPLES, HALVES = 400, 40
DEVIATIONS = 1.96


@dataclass(frozen=True)
class Draws:
    """Rows of the cases, drawn patient by patient: with replacement, and halves without.

    Examples:
        >>> draws = Draws.make(np.array([0, 0, 1, 1]), ["a", "b", "c", "d"], seed=0)
        >>> len(draws.bootstrap), len(draws.halves), [len(rows) for rows in draws.halves[:2]]
        (400, 40, [2, 2])
    """

    bootstrap: tuple[NDArray[np.intp], ...]
    halves: tuple[NDArray[np.intp], ...]

    @classmethod
    def make(
        cls,
        labels: NDArray[np.generic],
        groups: Sequence[str],
        *,
        seed: int,
        resamples: int = RESAMPLES,
        halves: int = HALVES,
    ) -> Draws:
        """Draw from a seed; halves hold half of the patients of each class (rounded up), by their first case."""
        names, first, inverse = np.unique(np.asarray(groups, dtype=str), return_index=True, return_inverse=True)
        members = [np.flatnonzero(inverse == group) for group in range(len(names))]
        flat = np.asarray(labels).reshape(len(labels), -1)
        strata = np.unique(flat[first], axis=0, return_inverse=True)[1].reshape(-1)
        if (
            flat.shape[1] > 1
        ):  # sets of labels are many, and of few cases each: halves are then of all patients together
            strata = np.zeros_like(strata)
        draw = np.random.default_rng(seed)

        def half() -> NDArray[np.intp]:
            parts = [draw.permutation(np.flatnonzero(strata == stratum)) for stratum in range(int(strata.max()) + 1)]
            chosen = np.concatenate([part[: -(-len(part) // 2)] for part in parts])
            return np.sort(np.concatenate([members[group] for group in chosen]))

        drawn = [draw.integers(len(names), size=len(names)) for _ in range(resamples)]
        bootstrap = tuple(np.concatenate([members[group] for group in chosen]) for chosen in drawn)
        return cls(bootstrap, tuple(half() for _ in range(halves)))


@dataclass(frozen=True)
class Resampled:
    """A score, the same over the draws (NaN where it is not defined), and its 95 % interval where there is one."""

    value: float
    values: NDArray[np.float64]
    low: float | None
    high: float | None


def resampled(measure: Measure, evidence: Evidence, draws: Draws) -> Resampled:
    """Return a measure's score with its interval over patients.

    Args:
        measure: one of evidence.
        evidence: of one candidate.
        draws: the same for all candidates.

    Raises:
        NotDefined: the measure says nothing about this evidence.

    Examples:
        >>> from acnorm.ranking.measures import MEASURES
        >>> labels = np.arange(40) % 2
        >>> groups = np.array([f"{at:02}" for at in range(40)])
        >>> evidence = Evidence(labels[:, None] + np.random.default_rng(0).normal(size=(40, 3)), labels, groups)
        >>> score = resampled(MEASURES["knn"], evidence, Draws.make(labels, list(groups), seed=0))
        >>> 0 < score.low < score.value < score.high < 1
        True
    """
    if measure.held is not None:
        truth, answers = measure.held(evidence)
        values = np.array([macro_auc(truth[rows], answers[rows]) for rows in draws.bootstrap])
        value, defined = macro_auc(truth, answers), values[~np.isnan(values)]
        low, high = np.percentile(defined, (2.5, 97.5)) if len(defined) else (None, None)
        return Resampled(value, values, _plain(low), _plain(high))
    value = measure.of(evidence)
    values = np.array([_or_nan(measure, evidence.of(rows)) for rows in draws.halves])
    defined = values[~np.isnan(values)]
    if len(defined) < max(2, len(values) // 2):
        return Resampled(value, np.full(len(values), np.nan), None, None)
    spread = DEVIATIONS * float(defined.std(ddof=1))
    return Resampled(value, values + (value - defined.mean()), value - spread, value + spread)


def differs(one: Resampled, other: Resampled) -> bool:
    """Say whether the first score is above the second by more than 1.96 standard deviations of the difference.

    Both must come from the same draws. Where a draw leaves too little to compare they do not differ.

    Examples:
        >>> low, high = (Resampled(value, value + np.array([-0.1, 0.0, 0.1]), None, None) for value in (0.5, 0.6))
        >>> differs(high, low), differs(low, high)
        (True, False)
    """
    differences = one.values - other.values
    defined = differences[~np.isnan(differences)]
    if len(defined) < 2:
        return False
    return bool(one.value - other.value > DEVIATIONS * float(defined.std(ddof=1)) + 1e-12)


def _or_nan(measure: Measure, evidence: Evidence) -> float:
    try:
        return measure.of(evidence)
    except NotDefined:
        return float("nan")


def _plain(value: float | None) -> float | None:
    return None if value is None else float(value)
