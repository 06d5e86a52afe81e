"""Separability of domains: against scikit-learn, enumeration, and what must hold for any vectors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from acnorm.inspecting.separability import (
    TooFew,
    arrangements,
    between_share,
    centroid_accuracy,
    neighbour_accuracy,
    number_of,
    separability,
    standardised,
)

FOUR = ["a", "a", "b", "b"]


def drawn(labels: list[int], features: int = 5, shift: float = 1.0, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(max(labels) + 1, features)) * shift
    return centres[labels] + draw.normal(size=(len(labels), features))


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 1, 0, 1, 2, 2, 1], [2, 2, 0, 0, 0, 1, 1, 1, 1]])
@pytest.mark.parametrize("seed", range(4))
def test_both_classifiers_are_those_of_scikit_learn(labels: list[int], seed: int):
    vectors = drawn(labels, seed=seed)
    squares, given_labels = squareform(pdist(vectors, "sqeuclidean")), np.array([labels])
    for accuracy, classifier in (
        (neighbour_accuracy, KNeighborsClassifier(1)),
        (centroid_accuracy, NearestCentroid()),
    ):
        expected = cross_val_score(classifier, vectors, labels, cv=LeaveOneOut()).mean()
        assert np.isclose(accuracy(squares, given_labels)[0], expected)


@pytest.mark.parametrize("seed", range(3))
def test_the_share_between_domains_is_that_of_sums_of_squares(seed: int):
    labels = [0, 0, 1, 1, 1, 2, 2]
    vectors = drawn(labels, seed=seed)
    within = sum(
        ((vectors[i] - vectors[np.array(labels) == label].mean(0)) ** 2).sum() for i, label in enumerate(labels)
    )
    whole = ((vectors - vectors.mean(0)) ** 2).sum()
    squares = squareform(pdist(vectors, "sqeuclidean"))
    assert np.isclose(between_share(squares, np.array([labels]))[0], 1 - within / whole)


@pytest.mark.parametrize("labels", [[0, 0, 1], [0, 1, 0, 1], [2, 0, 1, 0, 2]])
def test_arrangements_are_all_and_each_once(labels: list[int]):
    found, exact = arrangements(np.array(labels))
    assert exact
    assert tuple(found[0]) == tuple(labels)
    assert sorted(map(tuple, found.tolist())) == sorted(set(itertools.permutations(labels)))
    assert number_of(np.array(labels)) == len(found)


def test_where_there_are_too_many_some_are_drawn():
    labels = np.repeat([0, 1, 2], 5)
    found, exact = arrangements(labels, most=50, seed=1)
    assert not exact
    assert found.shape == (51, 15)
    assert (found[0] == labels).all()
    assert (np.sort(found, axis=1) == labels).all()
    assert len({tuple(row) for row in found.tolist()}) > 40


def test_p_is_the_share_of_arrangements_that_reach_the_value():
    labels = [0, 0, 0, 1, 1, 1]
    vectors = drawn(labels, shift=0.5, seed=3)
    found = separability(vectors, [str(label) for label in labels])
    scaled = (vectors - vectors.mean(0)) / vectors.std(0)
    values = []
    for order in sorted(set(itertools.permutations(labels))):
        values.append(cross_val_score(NearestCentroid(), scaled, order, cv=LeaveOneOut()).mean())
    assert np.isclose(found.centroid.p, np.mean(np.array(values) >= found.centroid.value - 1e-9))
    assert np.isclose(found.centroid.chance, np.mean(values))
    assert (found.arrangements, found.exact, found.dimensions) == (20, True, 5)


def test_domains_that_are_far_apart_reach_the_smallest_p():
    found = separability(drawn([0, 0, 0, 1, 1, 1, 2, 2, 2], shift=100.0), list("aaabbbccc"))
    assert (found.neighbour.value, found.centroid.value) == (1.0, 1.0)
    assert found.arrangements == 1680
    assert found.between.p == found.smallest_p == 6 / 1680
    assert found.neighbour.chance < 1 / 3


def test_without_a_difference_p_is_anything():
    values = [
        separability(drawn([0, 0, 0, 1, 1, 1], shift=0.0, seed=seed), list("aaabbb")).between.p for seed in range(60)
    ]
    assert 0.3 < np.mean(values) < 0.7
    assert np.mean(np.array(values) <= 0.1) < 0.25


@given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-5, 5))
@settings(max_examples=15)
def test_scale_place_and_names_do_not_matter(seed: int, scale: float, place: float):
    labels = [0, 0, 1, 1, 1]
    vectors = drawn(labels, seed=seed)
    one = separability(vectors, ["x" if label else "y" for label in labels])
    other = separability(vectors[:, ::-1] * scale + place, ["a" if label else "b" for label in labels])
    for name in ("neighbour", "centroid", "between"):
        first, second = getattr(one, name), getattr(other, name)
        assert np.allclose(list(vars(first).values()), list(vars(second).values()))


def test_constant_coordinates_say_nothing():
    vectors = drawn([0, 0, 1, 1])
    more = np.hstack([vectors, np.full((4, 2), 7.3)])
    assert standardised(more).shape == (4, 5)
    assert separability(more, FOUR) == separability(vectors, FOUR)


@pytest.mark.parametrize(
    ("vectors", "domains", "told"),
    [
        (np.zeros((0, 2)), [], "there are no runs"),
        (np.eye(2), ["a", "a"], "all runs are of one domain, a"),
        (np.eye(3), ["a", "b", "b"], "domain a has one run, of which none is left when it is left out"),
        (np.ones((4, 3)), FOUR, "the vectors of all runs are the same"),
        (np.array([[1.0], [np.nan], [2.0], [3.0]]), FOUR, "a vector is not finite"),
    ],
)
def test_too_few_runs_are_refused_with_a_reason(vectors: np.ndarray, domains: list[str], told: str):
    with pytest.raises(TooFew, match=f"^{told}$"):
        separability(vectors, domains)
