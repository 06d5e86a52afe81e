"""H-score: spread between classes in units of the whole spread (Bao et al., ICIP 2019), plain and shrunk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from acnorm.ranking.inputs import Cases, checked, principal, refuse_saturated


def h_score(features: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return tr(cov(f)⁺ cov(E[f | y])), between 0 and classes − 1.

    Of noise it is about (classes − 1) · features / cases, and with as many features as cases exactly classes − 1, as of
    anything else. It is refused where noise would get half of that or more: then take ``shrunk_h_score``.

    Args:
        features: [case, feature].
        labels: the class of each case.

    Raises:
        NotDefined: the features spread along half as many axes as cases allow or more, or as ``checked``.

    Examples:
        >>> h_score(np.array([[0.0], [0.0], [2.0], [2.0], [1.0], [1.0]]), np.array([0, 0, 1, 1, 2, 2]))
        1.0
    """
    cases = checked(features, labels)
    axes = principal(cases.features)
    refuse_saturated(axes.shape[1], len(axes))
    return float((_between(axes, cases) / (axes**2).mean(axis=0)).sum())


def shrunk_h_score(features: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return (1 − a) tr(Σ_a⁻¹ cov(E[f | y])), with Σ_a = (1 − a) cov(f) + a tr(cov(f)) / D · I (Ibrahim et al., 2021).

    Newer is not always better: Rethinking transferability metrics, ECML PKDD 2022. a is Ledoit and Wolf's (2004). All
    is computed along the principal axes, which takes D min(D, cases) and no D × D matrix.

    Args:
        features: [case, feature].
        labels: the class of each case.

    Raises:
        NotDefined: as ``checked``.

    Examples:
        >>> round(shrunk_h_score(np.diag([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1])), 3)
        0.075
    """
    cases = checked(features, labels)
    axes = principal(cases.features)
    variances = (axes**2).mean(axis=0)
    size = cases.features.shape[1]
    shrinkage = ledoit_wolf(axes, size)
    shrunk = (1 - shrinkage) * variances + shrinkage * variances.sum() / size
    return float((1 - shrinkage) * (_between(axes, cases) / shrunk).sum())


def ledoit_wolf(axes: NDArray[np.float64], size: int) -> float:
    """Return Ledoit and Wolf's shrinkage of the covariance (J. Multivariate Analysis 2004), from principal axes.

    Args:
        axes: centred features along their principal axes.
        size: number of features, also of those without a spread.

    Examples:
        >>> ledoit_wolf(np.array([[1.0], [-1.0]]), size=1)
        0.0
    """
    return shrinkage_of((axes**2).sum(axis=1), float(((axes**2).mean(axis=0) ** 2).sum()), size)


def shrinkage_of(lengths: NDArray[np.float64], norm: float, size: int) -> float:
    """Return Ledoit and Wolf's shrinkage from what does not depend on the axes.

    Args:
        lengths: squared length of each centred case.
        norm: sum of the squared entries of their covariance.
        size: number of features.

    Examples:
        >>> shrinkage_of(np.array([1.0, 1.0]), 1.0, 1)
        0.0
    """
    mean = lengths.mean() / size
    distance = (norm - size * mean**2) / size
    noise = ((lengths**2).mean() - norm) / (size * len(lengths))
    return float(min(noise, distance) / distance) if distance > 0 else 0.0


def _between(axes: NDArray[np.float64], cases: Cases) -> NDArray[np.float64]:
    """Variance of the class means along each axis, classes weighted by their cases."""
    means = Cases(axes, cases.labels, cases.classes).means()
    return np.asarray((cases.counts / len(axes)) @ means**2)
