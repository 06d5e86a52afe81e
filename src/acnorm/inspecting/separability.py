"""How well vectors of runs tell the runs' domains apart: leave-one-out classifiers, against permuted domains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import factorial, prod

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

MOST = 9_999  # permutations: where there are more, as many are drawn
_TIE = 1e-9

Vectors = Float[NDArray[np.float64], "run feature"]
Squares = Float[NDArray[np.float64], "run run"]
Labels = Int[NDArray[np.int64], "arrangement run"]
Statistic = Callable[[Squares, Labels], Float[NDArray[np.float64], " arrangement"]]


class TooFew(ValueError):
    """There are too few runs to say anything; the message is the reason, as the end of a sentence.

    Examples:
        >>> str(TooFew("all runs are of one domain"))
        'all runs are of one domain'
    """


@dataclass(frozen=True)
class Score:
    """A statistic, what it is on average over permuted domains, and the share of these that reach it."""

    value: float
    chance: float
    p: float


@dataclass(frozen=True)
class Separability:
    """How separable domains are in one space.

    neighbour, centroid: accuracy of the domain of the nearest other run, and of the nearest domain mean, each run left
    out in turn. between: share of the variance that lies between domains. arrangements: of the domains over the runs
    that p values count over; exact: whether these are all; smallest_p: below which no p value of so many runs can lie.

    Examples:
        >>> separability(np.array([[0.0], [0.1], [9.0], [9.1]]), ["a", "a", "b", "b"]).neighbour.value
        1.0
    """

    neighbour: Score
    centroid: Score
    between: Score
    dimensions: int
    arrangements: int
    exact: bool
    smallest_p: float


def separability(vectors: Vectors, domains: Sequence[str], *, most: int = MOST, seed: int = 0) -> Separability:
    """Say how well the vectors tell the domains apart.

    Each coordinate is first brought to mean 0 and deviation 1 over the runs, without their domains; distances are
    Euclidean. p values are exact where there are at most ``most`` arrangements of the domains over the runs, else from
    as many random ones.

    Args:
        vectors: one a run.
        domains: of each run.
        most: arrangements.
        seed: of the random ones.

    Raises:
        TooFew: fewer than two domains, a domain with one run, or vectors that are all the same.

    Examples:
        >>> found = separability(np.array([[0.0], [0.1], [9.0], [9.1]]), ["a", "a", "b", "b"])
        >>> found.centroid.value, round(found.centroid.p, 3), found.arrangements
        (1.0, 0.333, 6)
        >>> separability(np.eye(3), ["a", "a", "b"])
        Traceback (most recent call last):
            ...
        acnorm.inspecting.separability.TooFew: domain b has one run, of which none is left when it is left out
    """
    names, labels = np.unique(np.asarray(domains), return_inverse=True)
    _refuse(names.tolist(), labels)
    scaled = standardised(vectors)
    squares = squareform(pdist(scaled, "sqeuclidean"))
    arranged, exact = arrangements(labels.astype(np.int64), most=most, seed=seed)
    scores = {name: _score(statistic(squares, arranged), exact) for name, statistic in _STATISTICS.items()}
    return Separability(
        **scores,
        dimensions=scaled.shape[1],
        arrangements=len(arranged),
        exact=exact,
        smallest_p=_smallest(labels, len(arranged), exact),
    )


def _refuse(names: list[str], labels: NDArray[np.intp]) -> None:
    if len(names) < 2:
        raise TooFew(f"all runs are of one domain, {names[0]}" if names else "there are no runs")
    single = [name for name, count in zip(names, np.bincount(labels), strict=True) if count < 2]
    if single:
        raise TooFew(f"domain {single[0]} has one run, of which none is left when it is left out")


def standardised(vectors: Vectors) -> Vectors:
    """Bring each coordinate to mean 0 and deviation 1 over the runs; coordinates that are constant are left out.

    Raises:
        TooFew: all coordinates are constant, or one is not finite.

    Examples:
        >>> standardised(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
        [[-1.0], [1.0]]
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    if not np.isfinite(vectors).all():
        raise TooFew("a vector is not finite")
    centred = vectors - vectors.mean(axis=0)
    deviation = centred.std(axis=0)
    moves = deviation > _TIE * (np.abs(vectors).max(axis=0) + np.finfo(np.float64).tiny)
    if not moves.any():
        raise TooFew("the vectors of all runs are the same")
    return np.asarray(centred[:, moves] / deviation[moves])


def neighbour_accuracy(squares: Squares, labels: Labels) -> Float[NDArray[np.float64], " arrangement"]:
    """Return the share of runs whose nearest other run is of their domain.

    Examples:
        >>> neighbour_accuracy(np.array([[0.0, 1, 4], [1, 0, 1], [4, 1, 0]]), np.array([[0, 0, 1]])).round(2).tolist()
        [0.67]
    """
    others = squares + np.diag(np.full(len(squares), np.inf))
    return np.asarray((labels[:, others.argmin(axis=1)] == labels).mean(axis=1))


def centroid_accuracy(squares: Squares, labels: Labels) -> Float[NDArray[np.float64], " arrangement"]:
    """Return the share of runs that are nearest to the mean of their own domain, taken without them.

    The squared distance to a mean is the mean squared distance to its runs less half of that among them.

    Examples:
        >>> squares = squareform(pdist(np.array([[0.0], [1.0], [5.0], [6.0]]), "sqeuclidean"))
        >>> centroid_accuracy(squares, np.array([[0, 0, 1, 1], [0, 1, 0, 1]])).tolist()
        [1.0, 0.0]
    """
    member = (labels[:, :, None] == np.arange(labels.max() + 1)).astype(np.float64)  # [arrangement, run, domain]
    count = member.sum(axis=1)[:, None, :]
    reach = squares @ member  # of each run, the summed squares to each domain
    within = (member * reach).sum(axis=1)[:, None, :]
    left = count - member  # without the run itself
    distance = reach / left - (within - 2 * member * reach) / (2 * left**2)
    return np.asarray((distance.argmin(axis=2) == labels).mean(axis=1))


def between_share(squares: Squares, labels: Labels) -> Float[NDArray[np.float64], " arrangement"]:
    """Return the share of the variance of the runs that lies between domains, from 0 to 1 (PERMANOVA's R²).

    Examples:
        >>> squares = squareform(pdist(np.array([[0.0], [0.0], [2.0], [2.0]]), "sqeuclidean"))
        >>> between_share(squares, np.array([[0, 0, 1, 1], [0, 1, 0, 1]])).tolist()
        [1.0, 0.0]
    """
    member = (labels[:, :, None] == np.arange(labels.max() + 1)).astype(np.float64)
    within = ((member * (squares @ member)).sum(axis=1) / (2 * member.sum(axis=1))).sum(axis=1)
    return np.asarray(1 - within / (squares.sum() / (2 * len(squares))))


_STATISTICS: dict[str, Statistic] = {
    "neighbour": neighbour_accuracy,
    "centroid": centroid_accuracy,
    "between": between_share,
}


def arrangements(labels: Int[NDArray[np.int64], " run"], *, most: int = MOST, seed: int = 0) -> tuple[Labels, bool]:
    """Return the ways to give as many runs each domain, the given one first, and whether these are all.

    Examples:
        >>> found, exact = arrangements(np.array([0, 0, 1]))
        >>> found.tolist(), exact
        ([[0, 0, 1], [0, 1, 0], [1, 0, 0]], True)
    """
    if number_of(labels) <= most:
        rest = sorted(row for row in _orders(Counter(labels.tolist())) if row != tuple(labels.tolist()))
        return np.array([tuple(labels.tolist()), *rest], dtype=np.int64), True
    draw = np.random.default_rng(seed)
    return np.stack([labels, *(draw.permutation(labels) for _ in range(most))]), False


def number_of(labels: Int[NDArray[np.int64], " run"]) -> int:
    """Return the number of ways to give as many runs each domain.

    Examples:
        >>> number_of(np.array([0, 0, 0, 1, 1, 1]))
        20
    """
    counts = Counter(labels.tolist())
    return factorial(len(labels)) // prod(factorial(count) for count in counts.values())


def _orders(counts: Counter[int]) -> list[tuple[int, ...]]:
    if not counts:
        return [()]
    return [
        (label, *rest)
        for label in counts
        for rest in _orders(Counter({key: n - (key == label) for key, n in counts.items() if n > (key == label)}))
    ]


def _score(values: Float[NDArray[np.float64], " arrangement"], exact: bool) -> Score:
    others = values if exact else values[1:]
    reached = int((values >= values[0] - _TIE).sum())
    return Score(float(values[0]), float(others.mean()), reached / len(values))


def _smallest(labels: NDArray[np.intp], count: int, exact: bool) -> float:
    """Of domains with equal numbers of runs, swapped names are the same division."""
    if not exact:
        return 1 / count
    same = Counter(np.bincount(labels).tolist())
    return prod(factorial(number) for number in same.values()) / count
