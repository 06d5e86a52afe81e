"""Fisher's linear discriminant, which SFDA and ETran fit with shrinkages of their own."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import softmax

from acnorm.ranking.inputs import Cases


def apart_from_class(cases: Cases) -> Float[NDArray[np.float64], "case feature"]:
    """Return each case less the mean of its class.

    Examples:
        >>> apart_from_class(Cases(np.array([[0.0], [2.0], [5.0]]), np.array([0, 0, 1]), 2)).ravel().tolist()
        [-1.0, 1.0, 0.0]
    """
    return np.asarray(cases.features - cases.means()[cases.labels])


def fisher_probabilities(
    cases: Cases, covariance: Float[NDArray[np.float64], "feature feature"]
) -> Float[NDArray[np.float64], "case class"]:
    """Return softmax_c (xᵀ S⁻¹ μ_c − ½ μ_cᵀ S⁻¹ μ_c + log q_c), μ being the means and q the shares of the classes.

    Args:
        cases: those that are judged, and those that give μ and q.
        covariance: S, positive definite.

    Examples:
        >>> cases = Cases(np.array([[-1.0], [1.0]]), np.array([0, 1]), 2)
        >>> fisher_probabilities(cases, np.eye(1))[0].round(3).tolist()
        [0.881, 0.119]
    """
    means = cases.means()
    turned = cho_solve(cho_factor(covariance), means.T)
    shares = np.log(cases.counts / len(cases.labels))
    return np.asarray(softmax(cases.features @ turned - 0.5 * (means.T * turned).sum(axis=0) + shares, axis=1))
