"""How well scores order candidates: against what fine-tuning gave, and against other scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.stats import kendalltau, weightedtau


def weighted_tau(truth: Sequence[float], scores: Sequence[float]) -> float:
    """Return Vigna's weighted τ (WWW 2015), in which exchanges near the top count more; NaN where it is not defined.

    1 is the same order, −1 the reverse. A pair weighs 1 / (1 + place) summed over its two candidates, and the value is
    the mean of two: with places by ``truth`` and by ``scores`` (scipy's default, and that of published comparisons).

    Args:
        truth: result of each candidate after fine-tuning.
        scores: of each candidate, in the same order.

    Examples:
        >>> weighted_tau([0.9, 0.8, 0.7], [3.0, 2.0, 1.0])
        1.0
        >>> weighted_tau([0.9, 0.8, 0.7], [2.0, 3.0, 1.0]) < weighted_tau([0.9, 0.8, 0.7], [3.0, 1.0, 2.0])
        True
    """
    if len(set(scores)) < 2 or len(set(truth)) < 2:
        return float("nan")
    return float(weightedtau(truth, scores, rank=True).statistic)


def regret(truth: Sequence[float], scores: Sequence[float]) -> float:
    """Return what is lost by fine-tuning the candidate with the highest score in the place of the best one.

    Of several with the highest score, the mean.

    Args:
        truth: result of each candidate after fine-tuning.
        scores: of each candidate, in the same order.

    Examples:
        >>> regret([0.75, 1.0, 0.5], [3.0, 2.0, 1.0])
        0.25
    """
    results, given = np.asarray(truth, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    return float(results.max() - results[given == given.max()].mean())


def agreement(scores: Mapping[str, Sequence[float | None]]) -> dict[tuple[str, str], float]:
    """Return Kendall's τ-b of each pair of measures over the candidates that both score, where these are three or more.

    Pairs of which one scores all candidates alike are left out.

    Args:
        scores: by measure, one a candidate; None where it has none.

    Examples:
        >>> agreement({"knn": [0.9, 0.8, 0.7], "logme": [1.0, 3.0, 2.0], "leep": [None, -1.0, -2.0]})
        {('knn', 'logme'): -0.333}
    """
    found = {}
    for one, other in combinations(scores, 2):
        pairs = [
            (first, second)
            for first, second in zip(scores[one], scores[other], strict=True)
            if first is not None and second is not None
        ]
        if len(pairs) < 3 or min(len(set(values)) for values in zip(*pairs, strict=True)) < 2:
            continue
        found[one, other] = round(float(kendalltau(*zip(*pairs, strict=True)).statistic), 3)
    return found
