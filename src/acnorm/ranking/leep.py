"""LEEP: how well the source's own classes foretell the target's (Nguyen et al., ICML 2020, equations 1 and 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from acnorm.ranking.inputs import NotDefined


def leep(source: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the mean log of Σ_z P(y|z) θ_z over cases, with P(y|z) from the same cases; 0 is the best.

    Source classes without any mass are left out, where the formula divides 0 by 0. The probabilities are
    taken as given, in float64.

    Args:
        source: θ, probabilities of the source's classes [case, source class]; rows sum to 1.
        labels: the class of each case.

    Raises:
        ValueError: the shapes do not fit, or rows are no probabilities.
        NotDefined: several classes a case, or one class only.

    Examples:
        >>> leep(np.eye(2), np.array([0, 1]))
        0.0
        >>> round(leep(np.full((2, 2), 0.5), np.array([0, 1])), 4)  # log 0.5
        -0.6931
    """
    probabilities, truth = checked_source(source, labels)
    joint = truth.T @ probabilities / len(truth)  # [class, source class]
    mass = joint.sum(axis=0)
    probabilities, joint, mass = (part[..., mass > 0] for part in (probabilities, joint, mass))
    expected = (probabilities * (truth @ (joint / mass))).sum(axis=1)
    return float(np.log(np.minimum(expected, 1)).mean())


def checked_source(
    source: NDArray[Any], labels: NDArray[Any]
) -> tuple[Float[NDArray[np.float64], "case source"], Float[NDArray[np.float64], "case class"]]:
    """Return source probabilities in float64 and the classes of the cases as 0 and 1.

    Args:
        source: as for ``leep``.
        labels: as for ``leep``.

    Raises:
        ValueError: the shapes do not fit, or rows are no probabilities.
        NotDefined: several classes a case, or one class only.

    Examples:
        >>> checked_source(np.eye(2), np.array([4, 5]))[1].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    labels = np.asarray(labels)
    probabilities = np.asarray(source, dtype=np.float64)
    if labels.ndim != 1:
        raise NotDefined("a case may show several classes")
    if probabilities.ndim != 2 or len(probabilities) != len(labels):
        raise ValueError(f"probabilities of shape {list(probabilities.shape)} for {len(labels)} cases.")
    if not (np.isfinite(probabilities).all() and (probabilities >= 0).all()):
        raise ValueError("probabilities must be finite and not below 0.")
    if not np.allclose(probabilities.sum(axis=1), 1, atol=1e-4):
        raise ValueError("the probabilities of a case must sum to 1.")
    truth = (np.unique(labels)[None, :] == labels[:, None]).astype(np.float64)
    if truth.shape[1] < 2:
        raise NotDefined("all cases are of one class")
    return probabilities, truth
