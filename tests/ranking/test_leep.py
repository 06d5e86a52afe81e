"""LEEP case by case as the paper writes it, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acnorm.ranking.leep import leep
from acnorm.ranking.nce import nce


def probabilities(cases: int, classes: int, seed: int, sharpness: float = 1.0) -> np.ndarray:
    logits = sharpness * np.random.default_rng(seed).normal(size=(cases, classes))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def by_hand(source: np.ndarray, labels: np.ndarray) -> float:
    cases, classes = source.shape
    total = 0.0
    for i in range(cases):
        expected = 0.0
        for z in range(classes):
            mass = math.fsum(source[j, z] for j in range(cases))
            same = math.fsum(source[j, z] for j in range(cases) if labels[j] == labels[i])
            expected += same / mass * source[i, z]
        total += math.log(expected)
    return total / cases


@given(st.integers(0, 999), st.integers(3, 15), st.integers(1, 6), st.floats(0.1, 5))
def test_it_is_the_papers_formula(seed: int, cases: int, classes: int, sharpness: float):
    source, labels = probabilities(cases, classes, seed, sharpness), np.arange(cases) % 3
    assert leep(source, labels) == pytest.approx(by_hand(source, labels), rel=1e-10)


def test_source_classes_without_mass_change_nothing():
    source, labels = probabilities(20, 4, 0), np.arange(20) % 2
    padded = np.insert(source, 2, 0.0, axis=1)
    assert leep(padded, labels) == pytest.approx(leep(source, labels), rel=1e-12)


def test_it_lies_between_the_entropy_of_the_labels_and_nothing():
    labels = np.repeat([0, 1, 2], [10, 20, 30])
    shares = np.array([1 / 6, 1 / 3, 1 / 2])
    same_for_all = np.tile([0.3, 0.7], (60, 1))
    assert leep(same_for_all, labels) == pytest.approx((shares * np.log(shares)).sum())
    assert leep(np.eye(3)[labels], labels) == 0.0


@given(st.integers(0, 999))
def test_of_sure_answers_it_is_nce(seed: int):
    draw = np.random.default_rng(seed)
    source = np.eye(4)[draw.integers(0, 4, 30)]
    labels = np.arange(30) % 3
    assert leep(source, labels) == pytest.approx(nce(source, labels), rel=1e-10)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (np.ones((3, 2)), "the probabilities of a case must sum to 1."),
        (np.array([[1.5, -0.5]] * 3), "probabilities must be finite and not below 0."),
        (np.array([[np.nan, 1.0]] * 3), "probabilities must be finite and not below 0."),
        (np.ones((2, 1)), "probabilities of shape [2, 1] for 3 cases."),
    ],
)
@pytest.mark.parametrize("measure", [leep, nce])
def test_what_is_no_probability_is_refused(measure, source: np.ndarray, told: str):
    with pytest.raises(ValueError) as error:
        measure(source, np.array([0, 1, 1]))
    assert str(error.value) == told
