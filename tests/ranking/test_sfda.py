"""SFDA written out with matrices, and what the published scores show: it must not saturate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from acnorm.ranking import sfda as module
from acnorm.ranking.inputs import Cases
from acnorm.ranking.sfda import sfda
from drawn_features import drawn


def discriminant(features: np.ndarray, labels: np.ndarray, shrinkage: float) -> np.ndarray:
    means = np.stack([features[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    shares = np.bincount(labels) / len(labels)
    scatter = sum(share * np.cov(features[labels == label].T, bias=True) for label, share in enumerate(shares))
    scatter = (1 - shrinkage) * scatter + shrinkage * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
    inverse = np.linalg.inv(scatter)
    scores = np.stack(
        [
            features @ inverse @ mean - mean @ inverse @ mean / 2 + np.log(share)
            for mean, share in zip(means, shares, strict=True)
        ],
        axis=1,
    )
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def by_hand(features: np.ndarray, labels: np.ndarray) -> float:
    features = features - features.mean(axis=0)
    features = features / np.sqrt((features**2).sum(axis=1).mean())
    shares = np.bincount(labels) / len(labels)
    scatter = sum(share * np.cov(features[labels == label].T, bias=True) for label, share in enumerate(shares))
    shrinkage = np.exp(-5 * np.linalg.norm(scatter, 2))
    sure = np.exp(discriminant(features, labels, shrinkage))
    sure = sure / sure.sum(axis=1, keepdims=True)
    means = [features[labels == label].mean(axis=0) for label in range(len(shares))]
    mixed = np.empty_like(features)
    for at, label in enumerate(labels):
        others = np.mean([mean for other, mean in enumerate(means) if other != label], axis=0)
        mixed[at] = sure[at, label] * features[at] + (1 - sure[at, label]) * others
    return float(discriminant(mixed, labels, shrinkage)[np.arange(len(labels)), labels].mean())


@given(st.integers(0, 999), st.integers(12, 40), st.integers(2, 30), st.integers(2, 4))
def test_it_is_the_papers_two_discriminants(seed: int, cases: int, size: int, classes: int):
    features, labels = drawn(cases, size, classes, seed=seed)
    assert sfda(features, labels) == pytest.approx(by_hand(features, labels), rel=1e-6)


def test_without_shrinkage_the_discriminant_is_scikit_learns():
    features, labels = drawn(60, 5, 3, signal=0.5)
    cases = Cases(features, labels, 3)
    model = LinearDiscriminantAnalysis(solver="lsqr").fit(features, labels)
    found = module._probabilities(cases, module._within(cases), 0.0, 5)
    assert found == pytest.approx(model.predict_proba(features), abs=1e-8)


def test_with_fewer_cases_than_features_it_tells_sources_apart():
    scores = [sfda(*drawn(100, 300, 3, signal=signal)) for signal in (0.0, 0.15, 0.3)]
    assert scores[0] < scores[1] < scores[2] < 1
    assert scores[0] < 0.9
