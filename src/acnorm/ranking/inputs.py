"""What measures take: features of each case and its class, looked through before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.linalg import eigh

_SAME = 1e-12  # relative to the largest value, what counts as no difference


class NotDefined(ValueError):
    """A measure says nothing about these cases; the message is the reason, as the end of a sentence.

    Examples:
        >>> str(NotDefined("all cases are of one class"))
        'all cases are of one class'
    """


@dataclass(frozen=True)
class Cases:
    """Features in float64 and classes numbered from 0, all of which occur.

    Examples:
        >>> cases = Cases(np.eye(3), np.array([0, 1, 1]), 2)
        >>> cases.counts.tolist(), cases.truth.astype(int).tolist()
        ([1, 2], [[1, 0], [0, 1], [0, 1]])
    """

    features: Float[NDArray[np.float64], "case feature"]
    labels: Int[NDArray[np.int64], " case"]
    classes: int

    @property
    def counts(self) -> Int[NDArray[np.int64], " class"]:
        """Cases of each class."""
        return np.bincount(self.labels, minlength=self.classes)

    @property
    def truth(self) -> Bool[NDArray[np.bool_], "case class"]:
        """Which class each case is of."""
        return np.eye(self.classes, dtype=bool)[self.labels]

    def means(self) -> Float[NDArray[np.float64], "class feature"]:
        """The mean features of each class."""
        return (self.truth.T.astype(np.float64) @ self.features) / self.counts[:, None]


def checked(features: NDArray[Any], labels: NDArray[Any]) -> Cases:
    """Return features and labels fit to be measured, or refuse them; the arguments are never changed.

    Args:
        features: [case, feature], of any real dtype.
        labels: the class of each case, by any numbers; classes without a case do not count.

    Raises:
        ValueError: the shapes do not fit each other.
        NotDefined: features that are not finite or the same for all cases, one class only, or several classes a case.

    Examples:
        >>> checked(np.eye(3), np.array([7, 2, 7])).labels.tolist()
        [1, 0, 1]
        >>> checked(np.ones((3, 2)), np.array([0, 1, 1]))
        Traceback (most recent call last):
            ...
        acnorm.ranking.inputs.NotDefined: the features are the same for all cases
    """
    numbers = finite_features(features, len(labels))
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise NotDefined("a case may show several classes")
    names, inverse = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise NotDefined("all cases are of one class")
    return Cases(numbers, inverse.astype(np.int64), len(names))


def finite_features(features: NDArray[Any], cases: int) -> Float[NDArray[np.float64], "case feature"]:
    """Return features in float64, looked through.

    Args:
        features: [case, feature].
        cases: how many there must be.

    Raises:
        ValueError: another shape.
        NotDefined: not finite, or the same for all cases.

    Examples:
        >>> finite_features(np.eye(2, dtype=np.float32), 2).dtype
        dtype('float64')
    """
    numbers = np.asarray(features, dtype=np.float64)
    if numbers.ndim != 2 or len(numbers) != cases:
        raise ValueError(f"features of shape {list(numbers.shape)} for {cases} cases; give [case, feature].")
    if not np.isfinite(numbers).all():
        raise NotDefined("the features hold NaN or infinity")
    if not cases or np.ptp(numbers, axis=0).max() <= _SAME * np.abs(numbers).max():
        raise NotDefined("the features are the same for all cases")
    return numbers


def truth_of(labels: NDArray[Any]) -> Bool[NDArray[np.bool_], "case class"]:
    """Return which classes each case shows, one column for each class that occurs.

    Args:
        labels: the class of each case, or 0 and 1 for each case and class where a case may show several.

    Raises:
        NotDefined: no class tells the cases apart.

    Examples:
        >>> truth_of(np.array([3, 1, 3])).astype(int).tolist()
        [[0, 1], [1, 0], [0, 1]]
        >>> truth_of(np.array([[1, 0, 0], [0, 0, 1]])).astype(int).tolist()
        [[1, 0], [0, 1]]
    """
    labels = np.asarray(labels)
    if labels.ndim == 2:
        truth = labels.astype(bool)
        truth = truth[:, truth.any(axis=0) & ~truth.all(axis=0)]
    else:
        truth = np.unique(labels)[None, :] == labels[:, None]
    if truth.shape[1] < (1 if labels.ndim == 2 else 2):
        raise NotDefined("all cases are of one class")
    return truth


def principal(
    features: Float[NDArray[np.float64], "case feature"], most: int | None = None
) -> Float[NDArray[np.float64], "case axis"]:
    """Return centred features along their principal axes, the widest first: all distances are kept.

    There are at most ``cases − 1`` axes with a spread; those without, to the accuracy of single precision, are left
    out. They come from the smaller of the two Gram matrices, which is several times as fast as a decomposition of the
    features themselves.

    Args:
        features: as they are, not all the same.
        most: at most so many axes, the widest.

    Examples:
        >>> np.abs(principal(np.array([[0.0, 1.0, 5.0], [2.0, 1.0, 5.0]]))).round(6).tolist()
        [[1.0], [1.0]]
    """
    centred = features - features.mean(axis=0)
    tall = centred.shape[0] > centred.shape[1]
    gram = centred.T @ centred if tall else centred @ centred.T
    wanted = None if most is None or most >= len(gram) else (len(gram) - most, len(gram) - 1)
    squares, vectors = eigh(gram, subset_by_index=wanted)
    kept = squares > squares[-1] * max(centred.shape) * np.finfo(np.float64).eps
    squares, vectors = squares[kept][::-1], vectors[:, kept][:, ::-1]
    return np.asarray(centred @ vectors if tall else vectors * np.sqrt(squares))


def refuse_saturated(axes: int, cases: int) -> None:
    """Refuse features that spread along more than half as many axes as cases allow: noise then looks like classes.

    With cases − 1 axes any labels are a linear function of the features; with a share of these, noise gets that share
    of the greatest score.

    Raises:
        NotDefined: ``axes`` is more than (cases − 1) / 2.

    Examples:
        >>> refuse_saturated(axes=2, cases=4)
        Traceback (most recent call last):
            ...
        acnorm.ranking.inputs.NotDefined: 4 cases are too few for features that spread along 2 axes: noise would do as well
    """  # noqa: E501
    if 2 * axes > cases - 1:
        raise NotDefined(
            f"{cases} cases are too few for features that spread along {axes} axes: noise would do as well"
        )


def refuse_lone(cases: Cases) -> None:
    """Refuse a class of one case, which has no spread of its own.

    Raises:
        NotDefined: there is one.

    Examples:
        >>> refuse_lone(Cases(np.eye(3), np.array([0, 1, 1]), 2))
        Traceback (most recent call last):
            ...
        acnorm.ranking.inputs.NotDefined: a class has one case
    """
    if (cases.counts < 2).any():
        raise NotDefined("a class has one case")


def canonical_order(features: Float[NDArray[np.float64], "case feature"], labels: NDArray[Any]) -> NDArray[np.intp]:
    """Return the rows by their distance from the mean, so that a seed means the same in any order of cases.

    Those equally far are ordered by one fixed sum of their features, then by their labels.

    Examples:
        >>> canonical_order(np.array([[3.0], [0.0], [1.0]]), np.array([0, 0, 1])).tolist()
        [2, 1, 0]
    """
    last = np.asarray(labels).reshape(len(features), -1)
    distance = ((features - features.mean(axis=0)) ** 2).sum(axis=1)
    total = features @ np.cos(np.arange(features.shape[1]))
    return np.lexsort([*last.T[::-1], total, distance])
