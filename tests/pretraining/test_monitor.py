from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from acnorm.pretraining.monitor import feature_spread, neighbours_accuracy


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.sampled_from([1, 3, 5]))
def test_neighbours_are_those_of_scikit_learn(seed: int, neighbours: int):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, 40)
    features = draw.normal(size=(40, 6)) + 1.5 * np.eye(3, 6)[labels]
    judge = KNeighborsClassifier(neighbours, metric="cosine", algorithm="brute")
    wanted = cross_val_score(judge, features, labels, cv=LeaveOneOut()).mean()
    found = neighbours_accuracy(torch.from_numpy(features), torch.from_numpy(labels), neighbours)
    assert found == pytest.approx(wanted, abs=1e-9)


def test_fewer_cases_than_neighbours():
    assert neighbours_accuracy(torch.eye(2), torch.tensor([0, 0])) == 1.0
    assert neighbours_accuracy(torch.eye(2), torch.tensor([0, 1])) == 0.0


def test_the_spread_is_the_summed_variance_of_unit_vectors():
    features = torch.randn(30, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = features / features.norm(dim=1, keepdim=True)
    assert feature_spread(features) == pytest.approx(float(unit.var(dim=0, correction=0).sum().sqrt()))
    assert feature_spread(3 * features) == pytest.approx(feature_spread(features))
    assert feature_spread(torch.ones(5, 4) + 1e-6 * torch.eye(5, 4)) < 1e-4
