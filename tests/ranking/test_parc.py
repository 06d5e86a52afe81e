from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.parc import parc
from drawn_features import drawn


@given(st.integers(0, 999), st.integers(6, 40), st.integers(3, 50), st.integers(2, 4))
def test_it_is_spearmans_correlation_of_the_two_matrices(seed: int, cases: int, size: int, classes: int):
    features, labels = drawn(cases, size, classes, seed=seed)
    count = min(32, cases - 1, size)
    reduced = StandardScaler().fit_transform(PCA(count, svd_solver="full").fit_transform(features))
    pairs = np.triu_indices(cases, 1)
    of_features, of_classes = (1 - np.corrcoef(rows)[pairs] for rows in (reduced, np.eye(classes)[labels]))
    expected = 100 * spearmanr(of_features.round(12), of_classes.round(12)).statistic
    assert parc(features, labels) == pytest.approx(expected, abs=1e-6)


def test_one_axis_or_no_pair_of_a_class_is_refused():
    with pytest.raises(NotDefined, match=r"^the features spread along one axis$"):
        parc(np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]), np.array([0, 1, 1]))
    with pytest.raises(NotDefined, match=r"^no two cases are of one class$"):
        parc(*drawn(6, 4, 6))
