"""ETran against loops in float64, scikit-learn, and the identities of its two parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import eigh
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from acnorm.ranking.etran import discriminant, energy, etran
from acnorm.ranking.inputs import checked
from drawn_features import drawn


def energy_by_hand(features: np.ndarray) -> float:
    root = math.sqrt(sum(value**2 for row in features for value in row) / features.size)
    values = sorted(math.log(sum(math.exp(value / root) for value in row) / len(row)) for row in features)
    count = min(len(values), max(10, math.ceil(5 * len(values) / 1000)))
    return sum(values[:count]) / count


def within(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return features - np.stack([features[labels == label].mean(axis=0) for label in labels])


def discriminant_by_hand(features: np.ndarray, labels: np.ndarray) -> float:
    """Projected on the discriminant axes: generalised eigenvectors of the scatters between and within classes."""
    apart = within(features, labels)
    shrinkage = ledoit_wolf_shrinkage(apart, assume_centered=True)
    scatter = apart.T @ apart / len(apart)
    inner = (1 - shrinkage) * scatter + shrinkage * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
    shares = np.bincount(labels) / len(labels)
    means = np.stack([features[labels == label].mean(axis=0) for label in range(len(shares))])
    spread = means - features.mean(axis=0)
    _, vectors = eigh((shares[:, None] * spread).T @ spread, inner)
    turned, centres = (part @ vectors[:, 1 - len(shares) :] for part in (features, means))
    scores = turned @ centres.T - (centres**2).sum(axis=1) / 2 + np.log(shares)
    sure = np.exp(scores - scores.max(axis=1, keepdims=True))
    return float(np.mean((sure / sure.sum(axis=1, keepdims=True))[np.arange(len(labels)), labels]))


@given(st.integers(0, 999), st.integers(12, 40), st.integers(4, 30), st.integers(2, 4))
def test_against_loops(seed: int, cases: int, size: int, classes: int):
    features, labels = drawn(cases, size, classes, seed=seed)
    assert energy(features) == pytest.approx(energy_by_hand(features), rel=1e-9, abs=1e-12)
    assert discriminant(checked(features, labels)) == pytest.approx(discriminant_by_hand(features, labels), rel=1e-6)
    assert etran(features, labels) == pytest.approx(
        energy_by_hand(features) + discriminant_by_hand(features, labels), rel=1e-6
    )


def test_the_discriminant_is_scikit_learns():
    features, labels = drawn(60, 5, 3, signal=0.5)
    shrinkage = ledoit_wolf_shrinkage(within(features, labels), assume_centered=True)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(features, labels)
    expected = model.predict_proba(features)[np.arange(60), labels].mean()
    assert discriminant(checked(features, labels)) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("cases", "taken"), [(4, 4), (199, 10), (500, 10), (2000, 10), (2001, 11), (3000, 15)])
def test_of_few_cases_ten_are_taken_and_of_many_half_a_percent(cases: int, taken: int):
    features = np.random.default_rng(0).normal(size=(cases, 6))
    assert energy(features) == pytest.approx(energy_by_hand(features), rel=1e-9)
    scaled = features / np.sqrt((features**2).mean())
    values = np.sort(np.log(np.exp(scaled).mean(axis=1)))
    assert energy(features) == pytest.approx(values[:taken].mean(), rel=1e-9)


def test_energy_lies_between_the_mean_and_the_largest_feature():
    draw = np.random.default_rng(1)
    row = draw.gamma(2.0, size=8)
    features = np.tile(row / np.sqrt((row**2).mean()), (12, 1))
    assert features[0].mean() < energy(features) < features[0].max()  # Jensen, and a mean of exponentials
    spiked = np.tile(np.eye(8)[0], (12, 1))
    assert energy(spiked) == pytest.approx(math.log((math.exp(math.sqrt(8)) + 7) / 8))


def test_energy_does_not_look_at_classes_and_the_discriminant_not_at_the_mean():
    features, labels = drawn(40, 6, 3)
    other = np.random.default_rng(0).permutation(labels)
    apart = etran(features, labels) - etran(features, other)
    assert apart == pytest.approx(discriminant(checked(features, labels)) - discriminant(checked(features, other)))
    moved = discriminant(checked(features + 100.0, labels))
    assert moved == pytest.approx(discriminant(checked(features, labels)), rel=1e-6)


def test_classes_without_a_spread_are_told_apart_for_sure():
    features = np.repeat(np.eye(3), 4, axis=0)
    labels = np.repeat(np.arange(3), 4)
    assert discriminant(checked(features, labels)) == pytest.approx(1.0)


def test_with_fewer_cases_than_features_it_still_orders_though_noise_is_close_to_1():
    scores = [discriminant(checked(*drawn(100, 300, 3, signal=signal))) for signal in (0.0, 0.15, 0.3)]
    assert 0.95 < scores[0] < scores[1] < scores[2] < 1
    many = discriminant(checked(*drawn(600, 300, 3, signal=0.0)))
    assert many < 0.8
