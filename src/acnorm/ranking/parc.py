"""PARC: are pairs of cases far in the features where their classes differ? (Bolya et al., NeurIPS 2021, section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from acnorm.ranking.inputs import NotDefined, checked, principal

AXES = 32


def parc(features: NDArray[Any], labels: NDArray[Any], *, axes: int = AXES) -> float:
    """Return 100 × Spearman's correlation, over pairs of cases, of 1 − corr of their features and of their classes.

    Features are first reduced to their first principal axes, each with variance 1. The distances of one-hot classes
    take two values only, so that their ranks need no sorting. The sign of an axis counts in the correlation of two
    cases; it is that of scikit-learn's PCA, exact here and not the randomised one of the authors' code.

    Args:
        features: [case, feature].
        labels: the class of each case.
        axes: at most so many.

    Raises:
        NotDefined: fewer than two axes, no two cases of one class, or as ``checked``.

    Examples:
        >>> features = np.array([[5.0, 0.0], [6.0, 0.5], [0.0, 5.0], [0.5, 7.0]])
        >>> parc(features, np.array([0, 0, 1, 1])) > parc(features, np.array([0, 1, 0, 1]))
        True
    """
    cases = checked(features, labels)
    reduced = principal(cases.features, axes)
    if reduced.shape[1] < 2:
        raise NotDefined("the features spread along one axis")
    if cases.counts.max() < 2:
        raise NotDefined("no two cases are of one class")
    reduced = _signed(reduced, cases.features) / reduced.std(axis=0)
    rows = reduced - reduced.mean(axis=1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True).clip(np.finfo(np.float64).tiny)
    pairs = np.tri(len(rows), k=-1, dtype=bool)  # a mask: indices would take longer than what they are for
    ranks = rankdata((1 - (rows @ rows.T)[pairs]).round(12))
    apart = (cases.labels[:, None] != cases.labels)[pairs]
    return float(100 * np.corrcoef(ranks, apart)[0, 1])


def _signed(axes: NDArray[np.float64], features: NDArray[np.float64]) -> NDArray[np.float64]:
    """The axes with the sign that makes the greatest loading of each positive."""
    loadings = (features - features.mean(axis=0)).T @ axes
    greatest = np.abs(loadings).argmax(axis=0)
    return np.asarray(axes * np.sign(loadings[greatest, np.arange(axes.shape[1])]))
