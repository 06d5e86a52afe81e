"""How well scores foretold what fine-tuning gave: target by target, and over the targets with an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from acnorm.ranking.agreement import regret, weighted_tau

Table = Mapping[str, Mapping[str, float]]  # of results, by target and candidate; more is better
RESAMPLES = 4000
EXACT = 5  # targets, up to which all draws are counted
LEAST = 3  # candidates, below which an order says nothing
_NAN = float("nan")


@dataclass(frozen=True)
class Judged:
    """One measure on one target; NaN where it is not defined.

    tau: weighted Kendall τ of scores and results, over the candidates that have both. spearman: their rank correlation.
    regret: the best result of all candidates less that of the picked one. hit: whether the picked one is the best, or the
    share of those picked together. scored: candidates with a score. candidates: with a result.

    Examples:
        >>> Judged(1.0, 1.0, 0.0, 1.0, 3, 3).hit
        1.0
    """  # noqa: E501

    tau: float = _NAN
    spearman: float = _NAN
    regret: float = _NAN
    hit: float = _NAN
    scored: int = 0
    candidates: int = 0


def judged(results: Mapping[str, float], scores: Mapping[str, float | None]) -> Judged:
    """Judge the scores of one target.

    Where fewer than three candidates have a score, or all have the same one, there is no order to judge; a pick is judged
    from two.

    Args:
        results: of each candidate after fine-tuning; more is better.
        scores: of each candidate; None where it has none.

    Examples:
        >>> judged({"a": 0.75, "b": 1.0, "c": 0.5}, {"a": 3.0, "b": 2.0, "c": 1.0})
        Judged(tau=0.18181818181818177, spearman=0.5, regret=0.25, hit=0.0, scored=3, candidates=3)
    """  # noqa: E501
    found = {name: float(value) for name in results if (value := scores.get(name)) is not None}
    truth, given = [results[name] for name in found], list(found.values())
    counts = {"scored": len(found), "candidates": len(results)}
    if len(found) < 2:
        return Judged(**counts)
    best = max(results.values())
    picked = [results[name] for name, score in found.items() if score == max(given)]
    lost = regret(truth, given) + best - max(truth)
    hit = float(np.mean([value == best for value in picked]))
    if len(found) < LEAST or len(set(given)) < 2 or len(set(truth)) < 2:
        return Judged(regret=lost, hit=hit, **counts)
    return Judged(weighted_tau(truth, given), float(spearmanr(truth, given).statistic), lost, hit, **counts)


def of_rule(results: Mapping[str, float], choice: Sequence[str]) -> Judged:
    """Judge a rule that takes these candidates, whatever the data; of several, on average.

    Examples:
        >>> of_rule({"a": 0.75, "b": 1.0}, ["a", "b"]).regret
        0.125
    """
    taken = [results[name] for name in choice if name in results]
    if not taken:
        return Judged(candidates=len(results))
    best = max(results.values())
    return Judged(
        regret=best - float(np.mean(taken)),
        hit=float(np.mean([value == best for value in taken])),
        scored=len(taken),
        candidates=len(results),
    )


def best_elsewhere(results: Table, target: str) -> list[str]:
    """Return the candidates with the smallest mean regret on the other targets; none where there are no others.

    Only candidates with a result on ``target`` and on one of the others.

    Examples:
        >>> best_elsewhere({"x": {"a": 0.5, "b": 0.6}, "y": {"a": 0.9, "b": 0.7}, "z": {"a": 0.6, "b": 0.5}}, "x")
        ['a']
    """
    lost: dict[str, list[float]] = {}
    for other, values in results.items():
        for name, value in values.items():
            if other != target and name in results[target]:
                lost.setdefault(name, []).append(max(values.values()) - value)
    if not lost:
        return []
    means = {name: float(np.mean(values)) for name, values in lost.items()}
    return [name for name, value in means.items() if value == min(means.values())]


@dataclass(frozen=True)
class Estimate:
    """A mean over targets with its 95 % interval, and the number of targets in which it is defined.

    Examples:
        >>> Estimate(0.5, 0.25, 0.75, 4).low
        0.25
    """

    mean: float
    low: float | None = None
    high: float | None = None
    targets: int = 0


def over_targets(values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Return the mean of those that are defined, with the interval of the bootstrap over targets.

    Up to five targets every draw that there is counts once. Two sets of values of the same targets are drawn alike, so
    that differences are paired. Of fewer than three targets there is no interval.

    Args:
        values: one a target, NaN where not defined.
        resamples: draws of more than five targets, with replacement.
        seed: of the draws.

    Examples:
        >>> over_targets([0.25, 0.75, float("nan")])
        Estimate(mean=0.5, low=None, high=None, targets=2)
    """
    numbers = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(numbers)
    count = int(defined.sum())
    if not count:
        return Estimate(_NAN)
    mean = float(numbers[defined].mean())
    if count < 3:
        return Estimate(mean, targets=count)
    low, high = np.percentile(_means(numbers, resamples, seed), (2.5, 97.5))
    return Estimate(mean, float(low), float(high), count)


def _means(values: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Means of the defined values of each draw; draws without one are left out."""
    count = len(values)
    if count <= EXACT:
        rows = np.array(list(product(range(count), repeat=count)))
    else:
        rows = np.random.default_rng(seed).integers(count, size=(resamples, count))
    drawn = values[rows]
    defined = ~np.isnan(drawn)
    counts = defined.sum(axis=1)
    totals = np.where(defined, drawn, 0.0).sum(axis=1)
    return np.asarray(totals[counts > 0] / counts[counts > 0])
