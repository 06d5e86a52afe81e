"""Nearest neighbours against scikit-learn, case by case, and what ties and patients do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.knn import knn, knn_votes
from drawn_features import drawn


@given(st.integers(0, 999), st.integers(1, 5))
def test_votes_are_those_of_scikit_learn_with_each_case_left_out(seed: int, neighbours: int):
    features, labels = drawn(50, 6, 3, seed=seed)
    votes = knn_votes(features, labels, neighbours=neighbours)[1]
    for at in range(0, 50, 7):
        rest = np.arange(50) != at
        model = KNeighborsClassifier(neighbours).fit(features[rest], labels[rest])
        assert votes[at] == pytest.approx(model.predict_proba(features[[at]])[0])


@given(st.integers(0, 999))
def test_no_neighbour_is_of_the_same_patient(seed: int):
    features, labels = drawn(50, 6, 3, seed=seed)
    patients = [str(at % 20) for at in range(50)]
    votes = knn_votes(features, labels, patients, neighbours=3)[1]
    for at in range(0, 50, 7):
        rest = np.array([patient != patients[at] for patient in patients])
        model = KNeighborsClassifier(3).fit(features[rest], labels[rest])
        assert votes[at] == pytest.approx(model.predict_proba(features[[at]])[0])


def test_the_same_image_twice_under_one_patient_helps_nobody():
    features, labels = drawn(40, 6, 2, signal=0.0)
    twice = np.concatenate([features, features]), np.concatenate([labels, labels])
    patients = [str(at % 40) for at in range(80)]
    assert knn(*twice, neighbours=1) == 1.0
    assert knn(*twice, patients, neighbours=1) == pytest.approx(knn(features, labels, neighbours=1))


def test_neighbours_equally_far_share_the_places_that_are_left():
    """Of case 0 one is near, and three are as far as each other for the second place."""
    features = np.array(
        [[0.0, 0.0], [0.5, 0.0], [2.0, 0.0], [0.0, 2.0], [-2.0, 0.0], *[[50.0 + at, 99.0] for at in range(15)]]
    )
    labels = np.array([0, 0, 1, 1, 0, *[0, 1] * 7, 0])
    assert knn_votes(features, labels, neighbours=2)[1][0] == pytest.approx([(1 + 1 / 3) / 2, (2 / 3) / 2])


def test_neighbours_are_a_tenth_of_the_cases_at_most():
    features, labels = drawn(20, 3, 2)
    assert knn(features, labels, neighbours=15) == knn(features, labels, neighbours=2)
    assert knn(features, labels, neighbours=1) != knn(features, labels, neighbours=2)


def test_noise_is_at_chance_and_classes_far_apart_are_perfect():
    scores = [knn(*drawn(80, 10, 3, signal=0.0, seed=seed)) for seed in range(20)]
    assert np.mean(scores) == pytest.approx(0.5, abs=0.03)
    assert knn(*drawn(80, 10, 3, signal=30.0)) == 1.0


def test_a_class_of_one_patient_is_left_out_and_none_left_is_refused():
    features, labels = drawn(30, 4, 2, signal=5.0)
    lone = labels.copy()
    lone[0] = 2
    assert knn_votes(features, lone)[0].shape == (30, 2)
    with pytest.raises(NotDefined, match=r"^no class has cases of two patients and cases without it$"):
        knn(features, labels, [str(label) for label in labels])
