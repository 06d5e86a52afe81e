"""GBC: how far the classes overlap as Gaussians (Pándy et al., CVPR 2022, equations 1 to 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from acnorm.ranking.inputs import Cases, checked, principal, refuse_lone

AXES = 64
_LEAST = 1e-4  # of the variance of a class, relative to that of all cases


def gbc(features: NDArray[Any], labels: NDArray[Any], *, axes: int = AXES) -> float:
    """Return −Σ_{i≠j} exp(−D_B(i, j)) over pairs of classes, each pair both ways; 0 is the best.

    D_B is the Bhattacharyya distance of two spherical Gaussians along the first principal axes: means, and one variance
    a class, the mean over axes (the paper's default). Its log term, ½ log(det Σ / √(det Σ_i det Σ_j)), counts once an
    axis; the authors' code counts it once in all. The least variance is relative, so that the scale does not matter.

    Args:
        features: [case, feature].
        labels: the class of each case.
        axes: at most so many.

    Raises:
        NotDefined: a class has one case, or as ``checked``.

    Examples:
        >>> far, near = np.array([[0.0], [1.0], [50.0], [51.0]]), np.array([[0.0], [5.0], [1.0], [6.0]])
        >>> gbc(far, np.array([0, 0, 1, 1])) > gbc(near, np.array([0, 0, 1, 1]))
        True
    """
    cases = checked(features, labels)
    refuse_lone(cases)
    values = principal(cases.features, axes)
    means = Cases(values, cases.labels, cases.classes).means()
    squares = ((values - means[cases.labels]) ** 2).mean(axis=1)
    variances = (cases.truth.T @ squares) / cases.counts
    variances = np.maximum(variances, _LEAST * (values**2).mean())
    pooled = (variances[:, None] + variances[None, :]) / 2
    apart = ((means[:, None] - means[None, :]) ** 2).sum(axis=-1) / (8 * pooled)
    spread = values.shape[1] / 2 * np.log(pooled / np.sqrt(variances[:, None] * variances[None, :]))
    overlap = np.exp(-(apart + spread))
    return float(-(overlap.sum() - np.trace(overlap)))
