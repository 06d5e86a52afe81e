from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from acnorm.ranking.auc import macro_auc


@given(st.integers(0, 999), st.integers(8, 40), st.integers(1, 4))
def test_the_mean_area_is_scikit_learns_with_ties(seed: int, cases: int, classes: int):
    draw = np.random.default_rng(seed)
    truth = draw.random((cases, classes)) < 0.5
    truth[0], truth[1] = True, False
    scores = draw.integers(0, 5, (cases, classes)).astype(float)
    assert macro_auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores, average="macro"))


def test_classes_with_cases_of_one_kind_are_left_out():
    truth = np.array([[True, True, False], [True, False, False]])
    assert macro_auc(truth, np.array([[0.0, 0.9, 0.0], [0.0, 0.1, 0.0]])) == 1.0
    assert np.isnan(macro_auc(truth[:, [0, 2]], np.zeros((2, 2))))
