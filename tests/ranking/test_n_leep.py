from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.mixture import GaussianMixture

from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.leep import leep
from acnorm.ranking.n_leep import n_leep
from drawn_features import drawn


def test_it_is_leep_on_scikit_learns_responsibilities():
    features, labels = drawn(60, 1, 2, signal=1.0)
    order = np.argsort(np.abs(features[:, 0] - features.mean()))
    scores = (features[order] - features.mean()) / features.std()
    expected = []
    for seed in range(2):
        mixture = GaussianMixture(10, covariance_type="spherical", reg_covar=1e-5, random_state=seed)
        expected.append(leep(mixture.fit(scores).predict_proba(scores), labels[order]))
    assert n_leep(features, labels, seeds=2) == pytest.approx(np.mean(expected), rel=1e-6)


def test_one_seed_is_one_mixture_and_more_are_their_mean():
    features, labels = drawn(60, 5, 3, signal=0.5)
    scores = [n_leep(features, labels, seeds=seeds) for seeds in (1, 2, 3)]
    assert len(set(scores)) == 3
    assert np.ptp(scores) < 0.3


@pytest.mark.parametrize("signal", [0.0, 30.0])
def test_it_lies_between_the_entropy_of_the_labels_and_nothing(signal: float):
    features, labels = drawn(90, 20, 3, signal=signal)
    score = n_leep(features, labels)
    assert -entropy(np.bincount(labels)) - 1e-9 <= score <= 0
    assert (score > -0.01) == (signal > 0)


def test_three_cases_are_refused():
    with pytest.raises(NotDefined, match=r"^there are fewer than four cases$"):
        n_leep(np.array([[0.0], [1.0], [2.0]]), np.array([0, 1, 1]))
