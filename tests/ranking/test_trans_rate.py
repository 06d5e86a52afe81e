from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.trans_rate import trans_rate
from drawn_features import drawn


def rate(values: np.ndarray, eps: float) -> float:
    cases, size = values.shape
    return 0.5 * np.log(np.linalg.det(np.eye(size) + values.T @ values / (cases * eps)))


@given(st.integers(0, 999), st.integers(1, 6), st.sampled_from([1e-4, 1e-2]))
def test_it_is_the_difference_of_the_coding_rates(seed: int, size: int, eps: float):
    features, labels = drawn(30, size, 3, seed=seed)
    values = features - features.mean(axis=0)
    values /= np.sqrt((values**2).sum() / 30)
    within = sum((labels == label).mean() * rate(values[labels == label], eps) for label in range(3))
    assert trans_rate(features, labels, eps=eps) == pytest.approx(rate(values, eps) - within, rel=1e-8)


def test_few_cases_are_refused():
    with pytest.raises(
        NotDefined, match=r"^20 cases are too few for features that spread along 19 axes: noise would do as well$"
    ):
        trans_rate(*drawn(20, 40, 2))
