"""The area under the ROC curve, one class against the rest."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.stats import rankdata


def macro_auc(truth: Bool[NDArray[np.bool_], "case class"], scores: Float[NDArray[np.float64], "case class"]) -> float:
    """Return the mean of the classes' areas; NaN where no class has cases of both kinds, others are left out.

    Args:
        truth: which classes each case shows.
        scores: higher where the class looks present.

    Examples:
        >>> macro_auc(np.array([[False], [True], [True]]), np.array([[0.1], [0.4], [0.1]]))
        0.75
    """
    positive = truth.sum(axis=0).astype(np.float64)
    negative = len(truth) - positive
    defined = (positive > 0) & (negative > 0)
    if not defined.any():
        return float("nan")
    rank_sum = (rankdata(scores, axis=0) * truth).sum(axis=0)
    above = rank_sum[defined] - positive[defined] * (positive[defined] + 1) / 2
    return float((above / (positive[defined] * negative[defined])).mean())
