"""PARC: are pairs of cases far in the features where their classes differ? (Bolya et al., NeurIPS 2021, section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.decomposition import PCA

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
    count = min(axes, principal(cases.features).shape[1])
    if count < 2:
        raise NotDefined("the features spread along one axis")
    if cases.counts.max() < 2:
        raise NotDefined("no two cases are of one class")
    reduced = PCA(count, svd_solver="full").fit_transform(cases.features)
    reduced /= reduced.std(axis=0)
    rows = reduced - reduced.mean(axis=1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True).clip(np.finfo(np.float64).tiny)
    upper = np.triu_indices(len(rows), 1)
    ranks = rankdata((1 - rows @ rows.T)[upper].round(12))
    different = (cases.labels[:, None] != cases.labels[None, :])[upper]
    return float(100 * np.corrcoef(ranks, different)[0, 1])
