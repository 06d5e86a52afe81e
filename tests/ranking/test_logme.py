"""LogME against the density itself, the authors' fixed point where that is right, and where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from acnorm.ranking.logme import logme
from drawn_features import drawn


def evidence(features: np.ndarray, target: np.ndarray, alpha: float, beta: float) -> float:
    """log N(y; 0, I / β + F Fᵀ / α), a case, by scipy."""
    covariance = np.eye(len(target)) / beta + features @ features.T / alpha
    return multivariate_normal(np.zeros(len(target)), covariance).logpdf(target) / len(target)


def greatest(features: np.ndarray, labels: np.ndarray) -> float:
    """The maximum over α and β by a general optimiser from several starts, mean over classes."""
    found = []
    for label in np.unique(labels):
        target = (labels == label).astype(float)

        def loss(logs: np.ndarray, target: np.ndarray = target) -> float:
            return -evidence(features, target, *np.exp(np.clip(logs, -12, 12)))

        found.append(
            -min(minimize(loss, start, method="Nelder-Mead").fun for start in ([0, 0], [3, 2], [-2, 1], [5, 1]))
        )
    return float(np.mean(found))


def fixed_point(features: np.ndarray, target: np.ndarray) -> float:
    """MacKay's fixed point for α and β, run to its end, and the evidence there."""
    alpha = beta = 1.0
    eigenvalues, vectors = np.linalg.eigh(features.T @ features)
    for _ in range(2000):
        weights = vectors @ ((vectors.T @ (features.T @ target)) * beta / (alpha + beta * eigenvalues))
        gamma = (beta * eigenvalues / (alpha + beta * eigenvalues)).sum()
        alpha = gamma / (weights @ weights)
        beta = (len(target) - gamma) / ((target - features @ weights) ** 2).sum()
    return evidence(features, target, alpha, beta)


@pytest.mark.parametrize(("cases", "size"), [(30, 4), (20, 20), (15, 40)])
def test_it_is_the_greatest_density_of_the_labels(cases: int, size: int):
    features, labels = drawn(cases, size, 2, signal=1.0)
    assert logme(features, labels) == pytest.approx(greatest(features, labels), abs=1e-4)


def test_with_many_cases_it_is_where_the_fixed_point_of_the_paper_ends():
    features, labels = drawn(300, 6, 3, signal=1.0)
    ends = [fixed_point(features, (labels == label).astype(float)) for label in range(3)]
    assert logme(features, labels) == pytest.approx(np.mean(ends), abs=1e-6)


@given(st.integers(0, 999), st.integers(5, 25), st.integers(1, 40), st.floats(-4, 4), st.floats(-4, 4))
def test_no_other_precisions_do_better(seed: int, cases: int, size: int, alpha: float, beta: float):
    features, labels = drawn(cases, size, 2, seed=seed)
    tried = [evidence(features, (labels == label).astype(float), np.exp(alpha), np.exp(beta)) for label in (0, 1)]
    assert logme(features, labels) >= np.mean(tried) - 1e-9


def test_the_values_of_noise_do_not_follow_the_number_of_features():
    """The authors' code gives noise of 512 features 2.3 and of 2048 features 25."""
    scores = [logme(*drawn(100, size, 4, signal=0.0)) for size in (50, 512, 2048)]
    assert np.ptp(scores) < 0.1


def test_columns_of_zeros_change_nothing():
    features, labels = drawn(30, 50, 3)
    # a direction of rounding errors may be kept in one and left out in the other: 6e-9 on some processors
    assert logme(np.pad(features, ((0, 0), (0, 30))), labels) == pytest.approx(logme(features, labels), abs=1e-7)


def test_labels_that_the_features_hold_exactly_have_a_finite_score():
    labels = np.arange(30) % 3
    assert np.isfinite(logme(np.eye(3)[labels], labels))


def test_classes_are_targets_one_by_one_where_a_case_may_show_several():
    features, labels = drawn(40, 6, 3)
    assert logme(features, np.eye(3)[labels]) == pytest.approx(logme(features, labels), rel=1e-12)
