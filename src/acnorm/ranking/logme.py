"""LogME: the evidence that Bayesian linear regression finds for the labels (You et al., ICML 2021)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from acnorm.ranking.inputs import finite_features, truth_of

_EXPONENTS = 18.0  # the ratio α/β is sought within e^±18 of the mean eigenvalue
_GRID, _ROUNDS = 41, 6


def logme(features: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the mean over classes of max over α, β of log p(y | F, α, β) / cases; higher is better.

    y is 0 or 1 for each case, p the density of y = F w + noise with w of precision α and noise of precision β. For
    every ratio α/β the best scale has a closed form, and the ratio is found by a grid that is made finer around the
    best, so that what comes out is the maximum. The authors' code stops after 11 steps of a fixed point that starts at
    α = β = 1 with 1e-5 in its denominators, which makes the score depend on the scale of the features, and leaves
    (feature − rank) log α out of the log determinant, so that with fewer cases than features its values follow the
    number of features (2.3 for noise of 512 features, 25 of 2048); here neither happens.

    Args:
        features: [case, feature], not centred.
        labels: the class of each case, or [case, class] of 0 and 1.

    Raises:
        NotDefined: the features are not finite or all the same, or all cases are of one class.

    Examples:
        >>> labels = np.array([0, 0, 1, 1])
        >>> telling, idle = np.array([[1.0, 0.1], [1.0, 0.2], [0.1, 1.0], [0.0, 1.0]]), np.array([[1.0], [0.0]] * 2)
        >>> logme(telling, labels) > logme(idle, labels)
        True
    """
    numbers = finite_features(features, len(labels))
    truth = truth_of(labels).astype(np.float64)
    tall = numbers.shape[0] > numbers.shape[1]
    if tall:  # directions and eigenvalues from the smaller of the two Gram matrices
        eigenvalues, vectors = np.linalg.eigh(numbers.T @ numbers)
    else:
        eigenvalues, vectors = np.linalg.eigh(numbers @ numbers.T)
    kept = eigenvalues > eigenvalues[-1] * max(numbers.shape) * np.finfo(np.float64).eps
    eigenvalues, vectors = eigenvalues[kept], vectors[:, kept]
    if tall:
        vectors = numbers @ vectors / np.sqrt(eigenvalues)
    along = (vectors.T @ truth) ** 2
    beside = ((truth**2).sum(axis=0) - along.sum(axis=0)).clip(0)
    return float(_greatest_evidence(eigenvalues / eigenvalues.mean(), along, beside, len(numbers)).mean())


def _greatest_evidence(
    eigenvalues: NDArray[np.float64], along: NDArray[np.float64], beside: NDArray[np.float64], cases: int
) -> NDArray[np.float64]:
    """For each class (a column) the log evidence of one case at the best ratio."""
    low, high = (np.full(along.shape[1], sign * _EXPONENTS) for sign in (-1, 1))
    best = np.full(along.shape[1], -np.inf)
    for _ in range(_ROUNDS):
        exponents = np.linspace(low, high, _GRID)  # [try, class]
        found = _evidence(np.exp(exponents), eigenvalues, along, beside, cases)
        at = found.argmax(axis=0)
        classes = np.arange(len(at))
        best = np.maximum(best, found[at, classes])
        low = exponents[np.maximum(at - 1, 0), classes]
        high = exponents[np.minimum(at + 1, _GRID - 1), classes]
    return best


def _evidence(
    ratios: NDArray[np.float64],
    eigenvalues: NDArray[np.float64],
    along: NDArray[np.float64],
    beside: NDArray[np.float64],
    cases: int,
) -> NDArray[np.float64]:
    """log p(y) / cases [try, class] with y ~ N(0, (I + F Fᵀ / ratio) / β) at the best β."""
    grown = 1 + eigenvalues / ratios[..., None]  # [try, class, eigenvalue]
    squares = (along.T / grown).sum(axis=-1) + beside
    noise = np.maximum(squares / cases, np.finfo(np.float64).tiny)
    return np.asarray(-0.5 * (np.log(2 * np.pi * noise) + 1 + np.log(grown).sum(axis=-1) / cases))
