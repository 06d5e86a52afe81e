"""Several ways of training over several tasks, by their ranks: Friedman, Nemenyi, and Wilcoxon against one of them.

The tests are those that Demsar (JMLR 2006) recommends for comparisons over data sets. Values are larger where better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from math import factorial, prod

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import stats

from acnorm.bench.statistics import rounded

LEAST_TASKS = 3
WAYS = 20_000  # to deal out ranks, beyond which they are drawn
MOST_LISTED = 7  # methods, of which all orders are listed
Values = Float[NDArray[np.float64], "task method"]


@dataclass(frozen=True)
class Friedman:
    """Whether ranks differ at all: Friedman's chi-square, Iman and Davenport's F, and the p value of both."""

    chi_square: float
    f: float
    p: float


def mean_ranks(values: Values) -> Float[NDArray[np.float64], " method"]:
    """Return the mean rank of each method over tasks: 1 is best, equal values share their ranks.

    Examples:
        >>> mean_ranks(np.array([[0.9, 0.8, 0.8], [0.7, 0.6, 0.5]])).tolist()
        [1.0, 2.25, 2.75]
    """
    return np.asarray(stats.rankdata(-rounded(values), axis=1).mean(axis=0))


def friedman(values: Values) -> Friedman | None:
    """Return Friedman's test of no difference between three or more methods; None where it says nothing.

    The chi-square is corrected for ties; F is that of Iman and Davenport (Communications in Statistics 1980). Of few
    tasks both have p values far off by their distributions (F calls three methods over three tasks different in a fifth
    of all cases in which they are not), so that p is the share of all ways to deal the ranks of each task out anew that
    lie as far apart; of many ways, of those drawn. The test says nothing of fewer than three methods or tasks, and
    where all values of every task are equal.

    Examples:
        >>> friedman(np.array([[0.9, 0.8, 0.7], [0.7, 0.6, 0.5], [0.8, 0.9, 0.1], [0.6, 0.5, 0.4]]))
        Friedman(chi_square=6.5, f=13.0, p=0.0416...)
        >>> friedman(np.array([[0.9, 0.8], [0.7, 0.6]])) is None
        True
    """
    tasks, methods = values.shape
    apart = rounded(values)
    if tasks < LEAST_TASKS or methods < 3 or bool((np.ptp(apart, axis=1) == 0).all()):
        return None
    chi_square = float(stats.friedmanchisquare(*apart.T).statistic)
    rest = tasks * (methods - 1) - chi_square
    f = float("inf") if rest <= 1e-9 else (tasks - 1) * chi_square / rest
    return Friedman(chi_square, f, _dealt_anew(stats.rankdata(apart, axis=1)))


def _dealt_anew(ranks: Float[NDArray[np.float64], "task method"]) -> float:
    """The share of all ways to deal out the ranks of each task whose sums lie as far apart as these."""
    if prod(map(_orders, ranks[1:])) <= WAYS and ranks.shape[1] <= MOST_LISTED:
        sums = ranks[:1]
        for row in ranks[1:]:
            sums = (sums[:, None] + np.array(sorted(set(permutations(row))))).reshape(-1, len(row))
        return float(_as_far(sums, ranks).mean())
    if bool((ranks == ranks[0]).all()):
        return float(_orders(ranks[0])) ** (1 - len(ranks))
    draw = np.random.default_rng(0)
    sums = np.zeros((WAYS, ranks.shape[1]))
    for row in ranks:
        sums += draw.permuted(np.broadcast_to(row, sums.shape), axis=1)
    return float((1 + _as_far(sums, ranks).sum()) / (1 + WAYS))


def _as_far(
    sums: Float[NDArray[np.float64], "way method"], ranks: Float[NDArray[np.float64], "task method"]
) -> Bool[NDArray[np.bool_], " way"]:
    return np.asarray(sums.var(axis=1) >= ranks.sum(axis=0).var() - 1e-9)


def _orders(values: Float[NDArray[np.float64], " method"]) -> int:
    """In how many ways the values can be given to the methods."""
    _, equal = np.unique(values, return_counts=True)
    return factorial(len(values)) // prod(factorial(int(count)) for count in equal)


def critical_difference(methods: int, tasks: int, level: float = 0.05) -> float:
    """Return by how much two mean ranks must differ for Nemenyi's test (Demsar 2006, section 3.2.2).

    Args:
        methods: 2 or more.
        tasks: 1 or more.
        level: of the test, over all pairs together.

    Raises:
        ValueError: fewer.

    Examples:
        >>> round(critical_difference(methods=4, tasks=14), 2)
        1.25
    """
    if methods < 2 or tasks < 1:
        raise ValueError(f"there are {methods} methods and {tasks} tasks; it takes 2 and 1.")
    q = stats.studentized_range.ppf(1 - level, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * tasks)))


def nemenyi(values: Values) -> Float[NDArray[np.float64], "method method"]:
    """Return the p value of each pair of methods by Nemenyi's test, corrected for their number; 1 on the diagonal.

    Examples:
        >>> nemenyi(np.array([[0.9, 0.8, 0.1], [0.7, 0.6, 0.2], [0.8, 0.7, 0.3]]))[0].round(3).tolist()
        [1.0, 0.438, 0.038]
    """
    tasks, methods = values.shape
    ranks = mean_ranks(values)
    apart = np.abs(ranks[:, None] - ranks) / np.sqrt(methods * (methods + 1) / (6 * tasks))
    found = np.asarray(stats.studentized_range.sf(apart * np.sqrt(2), methods, np.inf), dtype=np.float64)
    np.fill_diagonal(found, 1.0)
    return np.clip(found, 0.0, 1.0)


def alike(ranks: Sequence[float], critical: float) -> list[tuple[int, ...]]:
    """Return the largest groups whose mean ranks lie within the critical difference, best first, of two or more.

    Args:
        ranks: mean rank of each method.
        critical: as ``critical_difference`` gives it.

    Examples:
        >>> alike([1.0, 3.5, 2.0, 3.0], critical=1.2)
        [(0, 2), (2, 3), (3, 1)]
    """
    order = sorted(range(len(ranks)), key=lambda at: (ranks[at], at))
    reaches = [
        tuple(at for at in order[place:] if ranks[at] - ranks[first] <= critical) for place, first in enumerate(order)
    ]
    groups = [group for group in reaches if len(group) > 1]
    return [group for at, group in enumerate(groups) if not any(set(group) <= set(before) for before in groups[:at])]


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test: the rank sums of differences above and below 0, and the exact two-sided p value."""

    above: float
    below: float
    p: float


def signed_rank(differences: Float[NDArray[np.float64], " task"]) -> SignedRank | None:
    """Return Wilcoxon's signed-rank test of no difference; None of fewer than three tasks.

    The rank of a difference of 0 counts half on either side (Demsar 2006, section 3.1.3). The p value is the share of
    all choices of signs whose rank sums lie as far apart, which holds for ties as well. Benavoli et al. (JMLR 2016)
    recommend it after Friedman's in the place of Nemenyi's, whose answer for two methods depends on the others.

    Examples:
        >>> signed_rank(np.array([0.01, 0.02, -0.03, 0.04, 0.05, 0.06]))
        SignedRank(above=18.0, below=3.0, p=0.15625)
        >>> signed_rank(np.array([0.01, 0.02])) is None
        True
    """
    apart = rounded(differences)
    if len(apart) < LEAST_TASKS:
        return None
    ranks = stats.rankdata(np.abs(apart))
    above = float(ranks[apart > 0].sum() + ranks[apart == 0].sum() / 2)
    below = float(ranks.sum()) - above
    ways = np.ones(1)
    doubled = np.rint(2 * ranks[apart != 0]).astype(int)  # to be whole where ranks are shared
    for rank in doubled:  # ways[s]: the share of the choices of signs with the sum s above 0
        ways = (np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))) / 2
    far = np.abs(2 * np.arange(len(ways)) - doubled.sum()) >= round(2 * abs(above - below))
    return SignedRank(above, below, float(min(1.0, ways[far].sum())))


def least_p(tasks: int, comparisons: int = 1) -> float:
    """Return the smallest p value that ``signed_rank`` can give, after Holm's correction for a number of comparisons.

    Examples:
        >>> least_p(6), least_p(6, comparisons=8)
        (0.03125, 0.25)
    """
    return min(1.0, comparisons * 2.0 ** (1 - tasks))
