"""Between which ends a metric lies, so that no interval leaves them: that of a t distribution knows of no ends."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from acnorm.bench.statistics import Difference
from acnorm.bench.words import NO_SHARES
from acnorm.training.metrics import SIGNED

OTHERS = {"quadratic_kappa": (-1.0, 1.0), "brier": (0.0, 2.0)}


def range_of(metric: str) -> tuple[float, float]:
    """Return the least and the largest value that a metric can have.

    Examples:
        >>> range_of("macro_auc"), range_of("quadratic_kappa"), range_of("hd95_LV")
        ((0.0, 1.0), (-1.0, 1.0), (0.0, inf))
    """
    if metric.startswith(SIGNED):
        return -inf, inf
    return (0.0, inf) if metric.startswith(NO_SHARES) else OTHERS.get(metric, (0.0, 1.0))


def mean_within(value: Difference, metric: str) -> Difference:
    """Return the mean of a metric with its interval cut where the metric ends.

    Examples:
        >>> mean_within(Difference(0.9, 0.7, 1.1), "dice")
        Difference(mean=0.9, low=0.7, high=1.0, p=None)
    """
    return _cut(value, *range_of(metric))


def difference_within(value: Difference, metric: str) -> Difference:
    """Return the difference of two values of a metric with its interval cut where differences of it end.

    Examples:
        >>> difference_within(Difference(0.25, -1.5, 2.0, 0.4), "dice")
        Difference(mean=0.25, low=-1.0, high=1.0, p=0.4)
    """
    low, high = range_of(metric)
    return _cut(value, low - high, high - low)


def _cut(value: Difference, low: float, high: float) -> Difference:
    if value.low is None or value.high is None:
        return value
    return replace(value, low=max(value.low, low), high=min(value.high, high))
