"""Nearest neighbours: do cases that lie near each other in the features show the same class?

Of 23 measures the one that foretold best in Sorkhei et al. (arXiv 2503.18528, 2025), there as plain accuracy. Here as
the area under the ROC curve, because classes of medical data are seldom even, and because it serves several classes a
case. No neighbour is of the same patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.sparse import csr_array

from acnorm.ranking.auc import macro_auc
from acnorm.ranking.inputs import NotDefined, finite_features, truth_of

NEIGHBOURS = 5
_TIE = 1e-10  # squared distances, relative to the mean: what counts as equally far


def knn(
    features: NDArray[Any], labels: NDArray[Any], groups: Sequence[str] | None = None, *, neighbours: int = NEIGHBOURS
) -> float:
    """Return the macro AUC of leave-one-out nearest neighbours: 1 is perfect, chance a little below 0.5.

    Args:
        features: [case, feature].
        labels: the class of each case, or [case, class] of 0 and 1.
        groups: the patient of each case, whose other cases are no neighbours; each case by itself where not given.
        neighbours: asked for each case (Euclidean distance; those equally far share their place), a tenth of the cases
            at most: with nearly all of them a case would know its class by being missing.

    Raises:
        NotDefined: the features are not finite or all the same, or no class has cases of two patients.

    Examples:
        >>> knn(np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 0, 1, 1]), neighbours=1)
        1.0
    """
    return macro_auc(*knn_votes(features, labels, groups, neighbours=neighbours))


def knn_votes(
    features: NDArray[Any], labels: NDArray[Any], groups: Sequence[str] | None = None, *, neighbours: int = NEIGHBOURS
) -> tuple[Bool[NDArray[np.bool_], "case class"], Float[NDArray[np.float64], "case class"]]:
    """Return which of the measurable classes each case shows, and the share of its neighbours that show them.

    Classes all of whose cases are of one patient are left out: no other patient could vote for them.

    Args:
        features: as for ``knn``.
        labels: as for ``knn``.
        groups: as for ``knn``.
        neighbours: as for ``knn``.

    Raises:
        NotDefined: as ``knn``.

    Examples:
        >>> knn_votes(np.array([[0.0], [1.0], [3.0]]), np.array([0, 0, 0]) + [0, 1, 1], neighbours=1)[1].tolist()
        [[1.0], [0.0], [1.0]]
    """
    numbers = finite_features(features, len(labels))
    truth, members = truth_of(labels), numbered(groups, len(labels))
    truth = truth[:, measurable(truth, members)]
    centred = numbers - numbers.mean(axis=0)
    squares = (centred**2).sum(axis=1)
    distance = centred @ centred.T  # of a matrix with itself: half the work
    distance *= -2
    distance += squares[:, None]
    distance += squares
    distance[members[:, None] == members] = np.inf
    return truth, _shares(distance, truth, min(neighbours, max(1, len(truth) // 10)), tie=_TIE * float(squares.mean()))


def numbered(groups: Sequence[str] | None, cases: int) -> NDArray[np.intp]:
    """Return a number for the group of each case.

    Examples:
        >>> numbered(["b", "a", "b"], 3).tolist(), numbered(None, 2).tolist()
        ([1, 0, 1], [0, 1])
    """
    if groups is None:
        return np.arange(cases)
    return np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]


def measurable(truth: Bool[NDArray[np.bool_], "case class"], members: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which classes can be learnt from some patients and found in others.

    Args:
        truth: which classes each case shows.
        members: a number for the patient of each case.

    Raises:
        NotDefined: none of them.

    Examples:
        >>> measurable(np.array([[True, False], [True, False], [False, True]]), np.arange(3)).tolist()
        [True, False]
    """
    found = [len(np.unique(members[column])) > 1 and not column.all() for column in truth.T]
    if not any(found):
        raise NotDefined("no class has cases of two patients and cases without it")
    return np.array(found)


def _shares(
    distance: NDArray[np.float64], truth: NDArray[np.bool_], neighbours: int, tie: float
) -> NDArray[np.float64]:
    """Votes of the nearest; where several are as far as the last of them, they share the places that are left."""
    possible = np.isfinite(distance).sum(axis=1)
    if not possible.all():
        raise NotDefined("all cases are of one patient")
    asked = np.minimum(neighbours, possible)
    last = np.partition(distance, np.unique(asked - 1), axis=1)[np.arange(len(distance)), asked - 1]
    cases, near = np.nonzero(distance <= (last + tie)[:, None])  # a handful a case: the rest is done on them alone
    as_far = distance[cases, near] >= (last - tie)[cases]
    nearer, ties = (np.bincount(cases[chosen], minlength=len(distance)) for chosen in (~as_far, as_far))
    weight = np.where(as_far, ((asked - nearer) / ties)[cases], 1.0)
    votes = csr_array((weight, (cases, near)), shape=distance.shape) @ truth.astype(np.float64)
    return np.asarray((votes / asked[:, None]).round(12))  # equal shares rank alike, whatever the order of their sums
