"""What measures look through before they compute."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from acnorm.ranking.inputs import NotDefined, canonical_order, checked, principal, refuse_saturated, truth_of
from drawn_features import drawn


@given(st.integers(0, 999), st.integers(2, 30), st.integers(1, 30))
def test_principal_axes_keep_all_distances_and_are_scikit_learns(seed: int, cases: int, size: int):
    features, _ = drawn(cases, size, 2, seed=seed)
    axes = principal(features)
    assert axes.shape[1] == min(cases - 1, size)
    assert pdist(axes) == pytest.approx(pdist(features), abs=1e-9)
    expected = PCA(axes.shape[1]).fit_transform(features)
    assert np.abs(axes) == pytest.approx(np.abs(expected), abs=1e-6)


@pytest.mark.parametrize(("cases", "size"), [(20, 8), (8, 20)])
def test_the_widest_axes_alone_are_those_of_all(cases: int, size: int):
    features, _ = drawn(cases, size, 2)
    assert np.abs(principal(features, 3)) == pytest.approx(np.abs(principal(features)[:, :3]), abs=1e-9)
    assert principal(features, 50).shape == principal(features).shape


def test_axes_without_a_spread_are_left_out():
    features = drawn(20, 3, 2)[0] @ np.random.default_rng(0).normal(size=(3, 50))
    assert principal(features).shape == (20, 3)
    with pytest.raises(
        NotDefined, match=r"^20 cases are too few for features that spread along 10 axes: noise would do as well$"
    ):
        refuse_saturated(10, 20)
    refuse_saturated(9, 20)


def test_order_is_that_of_the_cases_whatever_order_they_come_in():
    features, labels = drawn(30, 4, 3)
    features[7], labels[7], labels[3] = features[3], 1, 0
    mixed = np.random.default_rng(1).permutation(30)
    first, second = canonical_order(features, labels), mixed[canonical_order(features[mixed], labels[mixed])]
    assert first.tolist() == second.tolist()


def test_classes_without_a_case_do_not_count():
    cases = checked(np.eye(4), np.array([9, 4, 9, 4]))
    assert (cases.classes, cases.labels.tolist(), cases.counts.tolist()) == (2, [1, 0, 1, 0], [2, 2])
    assert cases.means().tolist() == [[0, 0.5, 0, 0.5], [0.5, 0, 0.5, 0]]


def test_classes_that_all_or_no_cases_show_tell_nothing_apart():
    assert truth_of(np.array([[1, 0, 1], [1, 0, 0]])).tolist() == [[True], [False]]
    with pytest.raises(NotDefined, match=r"^all cases are of one class$"):
        truth_of(np.array([[1, 0], [1, 0]]))


@pytest.mark.parametrize("features", [np.zeros((0, 3)), np.zeros((3,)), np.zeros((3, 2, 2))])
def test_features_of_another_shape_are_refused(features: np.ndarray):
    with pytest.raises(ValueError, match=r"^features of shape \[.*\] for 3 cases; give \[case, feature\]\.$"):
        checked(features, np.array([0, 1, 1]))
