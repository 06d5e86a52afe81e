"""ETran: how well the data fit the network (energy), and how well a linear discriminant tells their classes apart.

Gholami et al., ICCV 2023, equations 3 to 8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import logsumexp

from acnorm.ranking.fisher import apart_from_class, fisher_probabilities
from acnorm.ranking.h_score import shrinkage_of
from acnorm.ranking.inputs import Cases, checked, principal

SHARE, LEAST = 0.005, 10  # of the cases, and how many at least, the mean energy is of
_RIDGE = 1e-9  # of the mean variance, where classes leave no spread


def etran(features: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return ``energy`` + ``discriminant``.

    The authors bring both to 0..1 over the candidates before they add them, so that a candidate's score depends on which
    others there are. Here both have a scale of their own: the energy is of features with a mean square of 1, less the log
    of their number, and the discriminant is a probability.

    Args:
        features: [case, feature].
        labels: the class of each case.

    Raises:
        NotDefined: as ``checked``.

    Examples:
        >>> features = np.array([[5.0, 0.0], [6.0, 0.5], [0.0, 5.0], [0.5, 7.0]])
        >>> etran(features, np.array([0, 0, 1, 1])) > etran(features, np.array([0, 1, 0, 1]))
        True
    """  # noqa: E501
    cases = checked(features, labels)
    return energy(cases.features) + discriminant(cases)


def energy(features: Float[NDArray[np.float64], "case feature"]) -> float:
    """Return the mean of log (Σ_j exp f_j / features) over the cases where it is lowest, those that fit least.

    These are 0.5 % of the cases as in the authors' code, but ten at least (or all where fewer): theirs takes none of less
    than 200, which gives NaN, and two of 500.

    Args:
        features: not all the same.

    Examples:
        >>> round(energy(np.array([[0.0, 1.0], [0.0, 1.0]])), 4) == round(float(np.log((1 + np.exp(2**0.5)) / 2)), 4)
        True
    """  # noqa: E501
    scaled = features / np.sqrt((features**2).mean())
    values = np.sort(logsumexp(scaled, axis=1)) - np.log(features.shape[1])
    return float(values[: max(LEAST, -int(-SHARE * len(values) // 1))].mean())


def discriminant(cases: Cases) -> float:
    """Return the mean probability of the right class under Fisher's linear discriminant, fitted to the same cases.

    It is softmax_c (xᵀ S⁻¹ μ_c − ½ μ_cᵀ S⁻¹ μ_c + log q_c), which projecting on the discriminant axes first does not
    change. S is the covariance within classes, shrunk after Ledoit and Wolf; the authors take the eigenvectors of
    S⁻¹ S_between as if it were symmetric, and of few cases S has no inverse. With fewer cases than features it is close
    to 1 for noise too.

    Examples:
        >>> cases = checked(np.array([[0.0], [1.0], [8.0], [9.0]]), np.array([0, 0, 1, 1]))
        >>> discriminant(cases) > 0.99
        True
    """
    size = cases.features.shape[1]
    axes = principal(cases.features) if len(cases.labels) < size else cases.features - cases.features.mean(axis=0)
    turned = Cases(axes, cases.labels, cases.classes)
    apart = apart_from_class(turned)
    scatter = apart.T @ apart / len(apart)
    shrinkage = shrinkage_of((apart**2).sum(axis=1), float((scatter**2).sum()), size)
    least = max(shrinkage * np.trace(scatter), _RIDGE * (axes**2).sum() / len(axes)) / size
    shrunk = (1 - shrinkage) * scatter + least * np.eye(len(scatter))
    found = fisher_probabilities(turned, shrunk)
    return float(found[np.arange(len(axes)), cases.labels].mean())
