"""From scores with their spread to places, ties, and whether a candidate is above random initialisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from acnorm.ranking.resampling import Resampled, differs
from acnorm.ranking.result import Score

Differs = Callable[[Resampled, Resampled], bool]


def placed(
    results: Sequence[Resampled | None],
    scores: Sequence[Score],
    baselines: Sequence[Resampled | None],
    differs: Differs = differs,
) -> list[Score]:
    """Return the scores of one measure with their places among each other.

    Args:
        results: of each candidate; None where it has none.
        scores: the same as scores without places.
        baselines: of each candidate's network with random weights; None where it has none.
        differs: whether one result is above another by more than chance.

    Examples:
        >>> results = [Resampled(value, np.full(9, value), None, None) for value in (0.5, 0.7)]
        >>> [score.place for score in placed(results, [Score(0.5), Score(0.7)], [None, results[0]])]
        [2, 1]
    """
    best = max((result for result in results if result is not None), key=lambda result: result.value, default=None)
    done = []
    for result, score, baseline in zip(results, scores, baselines, strict=True):
        if result is None or best is None:
            done.append(score)
            continue
        place = 1 + sum(other is not None and other.value > result.value for other in results)
        above = None if baseline is None else differs(result, baseline)
        done.append(replace(score, place=place, tied=not differs(best, result), above_random=above))
    return done


def beyond_probes(one: Resampled, other: Resampled) -> bool:
    """Say whether a mean over probe seeds is above another by more than two deviations of a difference of two probes.

    Examples:
        >>> far, near = (Resampled(value, np.array([value - 1, value + 1]), None, None) for value in (9.0, 1.0))
        >>> beyond_probes(far, near), beyond_probes(far, far)
        (True, False)
    """
    spread = np.hypot(deviation(one), deviation(other))
    return bool(one.value - other.value > 2 * spread)


def deviation(result: Resampled) -> float:
    """Return the standard deviation over probe seeds; 0 of one seed.

    Examples:
        >>> round(deviation(Resampled(2.0, np.array([1.0, 3.0]), None, None)), 4)
        1.4142
    """
    return float(result.values.std(ddof=1)) if len(result.values) > 1 else 0.0


def incomparable(sizes: Mapping[str, Any]) -> str | None:
    """Return why scores of candidates cannot be compared, where what they were computed on is not of one size.

    Args:
        sizes: number of features, or name of the network, of each candidate with a score.

    Examples:
        >>> incomparable({"a.pth": 512, "b.pth": 2048})
        'features of different sizes (512, 2048)'
        >>> incomparable({"a.pth": 512, "b.pth": 512}) is None
        True
    """
    different = sorted(set(sizes.values()))
    if len(different) < 2:
        return None
    what = "features of different sizes" if isinstance(different[0], int) else "different networks"
    return f"{what} ({', '.join(map(str, different))})"
