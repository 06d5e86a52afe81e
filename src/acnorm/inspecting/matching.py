"""Which channels of two networks do the same work, and whether AC-Norm's partners are among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

Square = Float[NDArray[np.float64], "tuned source"]
Partners = Int[NDArray[np.int64], " tuned"]
NONE = -1  # a channel that borrows from no other


@dataclass(frozen=True)
class Alignment:
    """How the channels of a tuned layer match those of the source layer, by the correlation of their activations.

    best_is_own: share of channels that correlate most with the source channel of the same place. matched_is_own: share
    that the best one-to-one matching leaves in place; chance is 1 / channels. own, matched: mean correlation with the
    channel of the same place, and in the best matching. silent: channels whose activation is constant in either.

    Examples:
        >>> align(np.eye(3)).matched_is_own
        1.0
    """

    channels: int
    best_is_own: float
    matched_is_own: float
    own: float
    matched: float
    silent: int = 0


@dataclass(frozen=True)
class Partnership:
    """Where the partners that AC-Norm picks stand among all other channels by the correlation of activations.

    borrowing: channels that borrow from another. percentile: mean place of the partner from 0 (least correlated) to 1
    (most), 1/2 by chance. hit: share of borrowing channels whose partner is the most correlated of the others;
    hit_chance: of permuted partners. p: share of permutations of the partners whose mean percentile is as high.

    Examples:
        >>> partnership([(np.eye(4), np.full(4, NONE))]) is None
        True
    """

    borrowing: int
    percentile: float
    hit: float
    hit_chance: float
    p: float


def correlations(
    tuned: Float[NDArray[np.float64], "sample tuned"], source: Float[NDArray[np.float64], "sample source"]
) -> Square:
    """Return the correlation of each channel of one network with each of the other over the same samples.

    A channel that is constant correlates with nothing: 0.

    Examples:
        >>> values = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
        >>> correlations(values, values).round(6).tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """
    return np.asarray(_scaled(tuned).T @ _scaled(source) / len(tuned))


def is_silent(values: Float[NDArray[np.float64], "sample channel"]) -> NDArray[np.bool_]:
    """Return which channels are constant.

    Examples:
        >>> is_silent(np.array([[0.0, 1.0], [1.0, 1.0]])).tolist()
        [False, True]
    """
    spread = values.std(axis=0)
    return np.asarray(spread <= 1e-7 * (np.abs(values).max(axis=0) + np.finfo(np.float64).tiny))


def _scaled(values: Float[NDArray[np.float64], "sample channel"]) -> Float[NDArray[np.float64], "sample channel"]:
    silent = is_silent(values)
    return np.asarray((values - values.mean(axis=0)) * ~silent / np.where(silent, 1.0, values.std(axis=0)))


def match(correlation: Square) -> Partners:
    """Return for each tuned channel its source channel in the one-to-one matching of largest total correlation.

    Examples:
        >>> match(np.array([[0.9, 0.8], [0.8, 0.1]])).tolist()
        [1, 0]
    """
    rows, columns = linear_sum_assignment(correlation, maximize=True)
    return np.asarray(columns[np.argsort(rows)], dtype=np.int64)


def align(correlation: Square, silent: int = 0) -> Alignment:
    """Say how far the channels of two layers stayed in place.

    Examples:
        >>> align(np.array([[0.0, 1.0], [1.0, 0.0]])).own
        0.0
    """
    own, partner = np.arange(len(correlation)), match(correlation)
    return Alignment(
        channels=len(correlation),
        best_is_own=float((correlation.diagonal() >= correlation.max(axis=1)).mean()),
        matched_is_own=float((partner == own).mean()),
        own=float(correlation.diagonal().mean()),
        matched=float(correlation[own, partner].mean()),
        silent=silent,
    )


def partners_of(matrix: Square) -> Partners:
    """Return the other source channel from which each target channel borrows most; ``NONE`` where from no other.

    Args:
        matrix: C, as ``channel_correlation`` gives it.

    Examples:
        >>> partners_of(np.array([[0.3, 0.7], [0.0, 0.5]])).tolist()
        [1, -1]
    """
    others = matrix * (1 - np.eye(len(matrix)))
    return np.where(others.max(axis=1) > 0, others.argmax(axis=1), NONE)


def percentiles(correlation: Square) -> Square:
    """Return the place of each other source channel by its correlation: 0 the least, 1 the most, ties shared.

    The channel of the same place is not ranked: NaN. With fewer than three channels there is nothing to rank.

    Examples:
        >>> percentiles(np.array([[0.9, 0.1, 0.2], [0.3, 0.9, 0.3], [0.2, 0.1, 0.9]])).tolist()
        [[nan, 0.0, 1.0], [0.5, nan, 0.5], [1.0, 0.0, nan]]
    """
    count = len(correlation)
    if count < 3:
        return np.full((count, count), np.nan)
    others = np.where(np.eye(count, dtype=bool), -np.inf, correlation)
    places = (rankdata(others, axis=1) - 2) / (count - 2)
    return np.where(np.eye(count, dtype=bool), np.nan, places)


def partnership(
    layers: Sequence[tuple[Square, Partners]], *, permutations: int = 999, seed: int = 0
) -> Partnership | None:
    """Say whether AC-Norm's partners are channels that do similar work; None where no channel borrows.

    Permutations deal the partners out anew among the borrowing channels of each layer, so that a source channel is
    partner as often as it was; a channel that is dealt itself is left out of that permutation's mean.

    Args:
        layers: of each layer, the percentiles and the partners of its channels.
        permutations: for the p value.
        seed: of these.

    Examples:
        >>> place = percentiles(np.array([[1.0, 0.8, 0.1], [0.8, 1.0, 0.1], [0.1, 0.2, 1.0]]))
        >>> found = partnership([(place, np.array([1, 0, 1]))])
        >>> found.borrowing, found.percentile, found.hit
        (3, 1.0, 1.0)
    """
    kept = [(place, partner) for place, partner in layers if len(place) > 2 and (partner != NONE).any()]
    if not kept:
        return None
    draw = np.random.default_rng(seed)
    seen = np.concatenate([_places(place, partner, None) for place, partner in kept])
    drawn = [np.concatenate([_places(*layer, draw) for layer in kept]) for _ in range(permutations)]
    dealt = [row[~np.isnan(row)] for row in drawn if not np.isnan(row).all()] or [seen]
    means = np.array([seen.mean(), *(row.mean() for row in dealt)])
    return Partnership(
        borrowing=len(seen),
        percentile=float(means[0]),
        hit=float((seen == 1).mean()),
        hit_chance=float(np.mean([(row == 1).mean() for row in dealt])),
        p=float((means >= means[0] - 1e-12).mean()),
    )


def _places(place: Square, partner: Partners, draw: np.random.Generator | None) -> NDArray[np.float64]:
    rows = np.flatnonzero(partner != NONE)
    dealt = partner[rows] if draw is None else draw.permutation(partner[rows])
    return np.asarray(place[rows, dealt])
