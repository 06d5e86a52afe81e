"""H-scores against matrices written out, scikit-learn's shrinkage, and the identity that the guard is for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from acnorm.ranking.h_score import h_score, ledoit_wolf, shrunk_h_score
from acnorm.ranking.inputs import NotDefined, principal
from drawn_features import drawn


def between(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The covariance of the class means, each case standing for its class."""
    means = np.stack([features[labels == label].mean(axis=0) for label in labels])
    return np.cov(means.T, bias=True).reshape(features.shape[1], -1)


def plain(features: np.ndarray, labels: np.ndarray) -> float:
    covariance = np.cov(features.T, bias=True).reshape(features.shape[1], -1)
    return float(np.trace(np.linalg.pinv(covariance) @ between(features, labels)))


@given(st.integers(0, 999), st.integers(25, 60), st.integers(1, 10))
def test_it_is_the_trace_of_the_papers_matrices(seed: int, cases: int, size: int):
    features, labels = drawn(cases, size, 3, seed=seed)
    assert h_score(features, labels) == pytest.approx(plain(features, labels), rel=1e-8)


@pytest.mark.parametrize("signal", [0.0, 5.0])
@pytest.mark.parametrize("size", [29, 30, 200])
def test_with_few_cases_it_would_be_classes_less_one_and_is_refused(signal: float, size: int):
    features, labels = drawn(30, size, 4, signal=signal)
    assert plain(features, labels) == pytest.approx(3, abs=1e-6)
    with pytest.raises(
        NotDefined, match=r"^30 cases are too few for features that spread along 29 axes: noise would do as well$"
    ):
        h_score(features, labels)


def test_many_features_of_a_few_axes_are_measured():
    features, labels = drawn(30, 5, 4)
    many = features @ np.random.default_rng(0).normal(size=(5, 200))
    assert h_score(many, labels) == pytest.approx(h_score(features, labels), rel=1e-8)


@given(st.integers(0, 999), st.integers(5, 60), st.integers(1, 60))
def test_the_shrinkage_is_scikit_learns(seed: int, cases: int, size: int):
    features, _ = drawn(cases, size, 2, seed=seed)
    assert ledoit_wolf(principal(features), size) == pytest.approx(LedoitWolf().fit(features).shrinkage_, abs=1e-9)


@given(st.integers(0, 999), st.integers(6, 60), st.integers(2, 60))
def test_the_shrunk_score_is_the_trace_of_the_papers_matrices(seed: int, cases: int, size: int):
    features, labels = drawn(cases, size, 3, seed=seed)
    fitted = LedoitWolf().fit(features)
    expected = (1 - fitted.shrinkage_) * np.trace(np.linalg.inv(fitted.covariance_) @ between(features, labels))
    assert shrunk_h_score(features, labels) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_shrunk_score_tells_signal_from_noise_where_the_plain_one_cannot():
    noise, signal = (shrunk_h_score(*drawn(30, 200, 4, signal=signal)) for signal in (0.0, 3.0))
    assert signal > 1.3 * noise


def test_noise_gets_the_share_of_the_axes_and_is_refused_from_half_on():
    """Near-duplicates leave fewer axes than cases less one; the score of noise follows their number."""
    scores = [plain(*drawn(60, 40, 4, signal=0.0, seed=seed)) for seed in range(30)]
    assert np.mean(scores) == pytest.approx(3 * 40 / 59, abs=0.1)
    with pytest.raises(NotDefined, match="60 cases are too few for features that spread along 30 axes"):
        h_score(*drawn(60, 30, 4))
    assert 0 < h_score(*drawn(60, 29, 4)) < 3
