from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from acnorm.ranking.nce import nce


@given(st.integers(0, 999), st.integers(4, 60), st.integers(2, 10))
def test_it_is_mutual_information_less_the_entropy_of_the_labels(seed: int, cases: int, classes: int):
    source = np.random.default_rng(seed).dirichlet(np.ones(classes), cases)
    labels = np.arange(cases) % 3
    expected = mutual_info_score(source.argmax(axis=1), labels) - entropy(np.bincount(labels))
    assert nce(source, labels) == pytest.approx(expected, abs=1e-10)


def test_an_answer_a_class_leaves_nothing_unknown():
    labels = np.arange(12) % 3
    assert nce(np.eye(3)[(labels + 1) % 3], labels) == 0.0
