from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acnorm.ranking.gbc import gbc
from drawn_features import drawn


def bhattacharyya(one: np.ndarray, other: np.ndarray) -> float:
    """Of two Gaussians with covariance v·I, from the general formula with matrices."""
    size = one.shape[1]
    first, second = (np.eye(size) * part.var(axis=0).mean() for part in (one, other))
    pooled, apart = (first + second) / 2, one.mean(axis=0) - other.mean(axis=0)
    determinants = np.linalg.det(pooled) / np.sqrt(np.linalg.det(first) * np.linalg.det(second))
    return apart @ np.linalg.inv(pooled) @ apart / 8 + 0.5 * np.log(determinants)


@given(st.integers(0, 999), st.integers(1, 8), st.floats(0, 2))
def test_it_is_the_sum_of_the_coefficients_over_all_pairs(seed: int, size: int, signal: float):
    features, labels = drawn(40, size, 3, signal=signal, seed=seed)
    parts = [features[labels == label] for label in range(3)]
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    expected = -sum(np.exp(-bhattacharyya(parts[i], parts[j])) for i, j in pairs)
    assert gbc(features, labels) == pytest.approx(expected, rel=1e-8)


def test_classes_of_equal_cases_are_told_apart_without_a_division_by_zero():
    features = np.repeat(np.array([[0.0, 1.0], [3.0, 1.0]]), 5, axis=0)
    assert -1e-9 < gbc(features, np.repeat([0, 1], 5)) <= 0


def test_axes_beyond_the_first_do_not_count():
    features, labels = drawn(60, 20, 2)
    assert gbc(features, labels, axes=2) != pytest.approx(gbc(features, labels), rel=1e-3)
    centred = features - features.mean(axis=0)
    two = centred @ np.linalg.svd(centred)[2][:2].T
    assert gbc(features, labels, axes=2) == pytest.approx(gbc(two, labels), rel=1e-8)
