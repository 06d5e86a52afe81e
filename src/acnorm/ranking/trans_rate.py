"""TransRate: coding rate of all features less that within classes (Huang et al., ICML 2022, equations 3 to 5)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from acnorm.ranking.inputs import checked, refuse_saturated

EPS = 1e-4


def trans_rate(features: NDArray[Any], labels: NDArray[Any], *, eps: float = EPS) -> float:
    """Return R(Z) − Σ_c (n_c / n) R(Z_c), with R(Z) = ½ log det(I + Zᵀ Z / (n · eps)).

    Features are centred and brought to a mean squared length of 1, without which the score follows their scale (the
    authors tune eps between 1e-5 and 2e-2 instead). The value still says more about the spectrum of the features than
    about their classes, and with as many cases as features or fewer nothing about the classes; it is then refused.

    Args:
        features: [case, feature].
        labels: the class of each case.
        eps: distortion.

    Raises:
        NotDefined: the features spread along half as many axes as cases allow or more, or as ``checked``.

    Examples:
        >>> score = trans_rate(np.array([[0.0], [0.1], [1.0], [1.1]]), np.array([0, 0, 1, 1]))
        >>> score < trans_rate(np.array([[0.0], [0.1], [1.0], [1.1]]), np.array([0, 1, 1, 0]))
        True
    """
    cases = checked(features, labels)
    centred = cases.features - cases.features.mean(axis=0)
    squares = np.linalg.eigvalsh(_gram(centred))
    count = int((squares > squares[-1] * max(centred.shape) * np.finfo(np.float64).eps).sum())
    refuse_saturated(count, len(centred))
    scale = squares.clip(0).sum() / len(centred)  # mean squared length
    whole = 0.5 * float(np.log1p(squares.clip(0) / (len(centred) * scale * eps)).sum())
    values = centred / np.sqrt(scale)
    within = sum(
        share / len(values) * _rate(values[cases.labels == label], eps) for label, share in enumerate(cases.counts)
    )
    return float(whole - within)


def _rate(values: NDArray[np.float64], eps: float) -> float:
    """½ log det(I + Zᵀ Z / (n · eps)), on the smaller of the two Gram matrices."""
    gram = _gram(values)
    return float(0.5 * np.linalg.slogdet(np.eye(len(gram)) + gram / (len(values) * eps))[1])


def _gram(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values @ values.T if len(values) < values.shape[1] else values.T @ values
