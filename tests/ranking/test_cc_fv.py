"""CC-FV: the distance in its closed forms, the score by hand, and what may be changed without moving it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.stats import ortho_group
from sklearn.covariance import ledoit_wolf

from acnorm.ranking.cc_fv import Gaussian, cc_fv, class_consistency, feature_variety, wasserstein
from acnorm.ranking.inputs import NotDefined


def gaussian(seed: int, size: int = 4) -> Gaussian:
    draw = np.random.default_rng(seed)
    half = draw.normal(size=(size, size + 2))
    return Gaussian.with_covariance(draw.normal(size=size), half @ half.T)


def voxels(
    cases: int = 4, size: int = 5, each: int = 12, apart: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, labels 0 to 2 and cases; ``apart`` is how far a class moves from case to case."""
    draw = np.random.default_rng(0)
    labels = np.tile(np.repeat(np.arange(3), each), cases)
    names = np.repeat([f"case {at}" for at in range(cases)], 3 * each)
    moved = apart * draw.normal(size=(cases, 3, size))
    noise = draw.normal(size=(len(labels), size)) * np.linspace(0.5, 1, size)
    return noise + np.repeat(moved.reshape(-1, size), each, axis=0) + 3 * np.eye(3, size)[labels], labels, names


def test_gaussians_of_equal_spread_are_as_far_as_their_means():
    one = gaussian(0)
    other = Gaussian.with_covariance(one.mean + np.array([3.0, 0.0, 4.0, 0.0]), one.covariance)
    assert wasserstein(one, other) == pytest.approx(5.0, abs=1e-10)
    assert wasserstein(one, one) == pytest.approx(0.0, abs=1e-6)


def test_covariances_that_commute_differ_by_their_roots():
    turn = ortho_group.rvs(4, random_state=1)
    first, second = np.array([1.0, 4.0, 9.0, 0.0]), np.array([4.0, 0.25, 9.0, 2.0])
    one, other = (Gaussian.with_covariance(np.zeros(4), (turn * squares) @ turn.T) for squares in (first, second))
    expected = np.sqrt(((np.sqrt(first) - np.sqrt(second)) ** 2).sum())
    assert wasserstein(one, other) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_the_distance_is_that_of_the_matrix_root(seed: int):
    one, other = gaussian(seed), gaussian(seed + 100)
    root = sqrtm(one.covariance)
    spread = np.trace(one.covariance + other.covariance - 2 * np.real(sqrtm(root @ other.covariance @ root)))
    expected = np.sqrt(((one.mean - other.mean) ** 2).sum() + spread)
    assert wasserstein(one, other) == pytest.approx(expected, rel=1e-10)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 6))
def test_it_is_a_distance(seed: int, size: int):
    first, second, third = (gaussian(seed + at, size) for at in range(3))
    assert wasserstein(first, second) == pytest.approx(wasserstein(second, first), rel=1e-8)
    assert wasserstein(first, third) <= wasserstein(first, second) + wasserstein(second, third) + 1e-9


@pytest.mark.parametrize(("rows", "size"), [(30, 4), (5, 12), (2, 3)])
def test_the_covariance_is_shrunk_as_scikit_learn_does(rows: int, size: int):
    features = np.random.default_rng(rows).normal(size=(rows, size)) * np.linspace(0.1, 2, size)
    found = Gaussian.of(features)
    assert np.allclose(found.covariance, ledoit_wolf(features)[0], rtol=1e-10, atol=1e-12)
    assert np.allclose(found.root @ found.root, found.covariance, atol=1e-10)


def test_the_score_by_hand():
    """Two stages, each scaled to a mean squared length of 1; mean over classes of the mean over pairs of cases."""
    features, labels, cases = voxels()
    names, score = np.unique(cases), 0.0
    for columns in (slice(0, 2), slice(2, 5)):
        stage = features[:, columns] / np.sqrt((features[:, columns] ** 2).sum(axis=1).mean())
        by_class = []
        for label in (1, 2):
            distances = []
            for at, one in enumerate(names):
                for other in names[:at]:
                    parts = [stage[(cases == name) & (labels == label)] for name in (one, other)]
                    (first, second), mean = [ledoit_wolf(part)[0] for part in parts], [p.mean(axis=0) for p in parts]
                    cross = np.real(sqrtm(first @ second))
                    distances.append(np.sqrt(((mean[0] - mean[1]) ** 2).sum() + np.trace(first + second - 2 * cross)))
            by_class.append(np.mean(distances))
        means = np.stack([stage[cases == name].mean(axis=0) for name in names])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        energy = np.mean(
            [1 / np.linalg.norm(means[at] - means[other]) for at in range(len(names)) for other in range(at)]
        )
        score += np.log(1 / energy / np.mean(by_class))
    assert cc_fv(features, labels, cases, widths=(2, 3)) == pytest.approx(score, rel=1e-7)


def test_cases_that_move_further_are_less_consistent_and_more_varied():
    found = [voxels(apart=apart) for apart in (0.2, 1.0, 4.0)]
    distances = [class_consistency(*parts) for parts in found]
    varieties = [feature_variety(features, cases) for features, _, cases in found]
    assert distances == sorted(distances)
    assert varieties == sorted(varieties)


def test_variety_alone_raises_the_score():
    """The background moves with the case, the foreground does not."""
    features, labels, cases = voxels(apart=0.0)
    moved = features.copy()
    for at, case in enumerate(np.unique(cases)):
        rows = (cases == case) & (labels == 0)
        moved[rows] = (features[rows] - features[rows].mean(axis=0)) + 3 * np.eye(5)[at]
    for values in (features, moved):
        values /= np.sqrt((values**2).sum(axis=1).mean())
    assert feature_variety(moved, cases) > 3 * feature_variety(features, cases)
    assert cc_fv(moved, labels, cases) > cc_fv(features, labels, cases)


def test_order_names_scale_and_turn_do_not_matter():
    features, labels, cases = voxels()
    score = cc_fv(features, labels, cases)
    order = np.random.default_rng(3).permutation(len(labels))
    turn = ortho_group.rvs(5, random_state=3)
    assert cc_fv(features[order], labels[order], cases[order]) == pytest.approx(score, rel=1e-9)
    assert cc_fv(features, np.array([0, 7, 3])[labels], cases) == pytest.approx(score, rel=1e-12)
    assert cc_fv(1e3 * features, labels, cases) == pytest.approx(score, rel=1e-9)
    assert cc_fv(features @ turn, labels, cases) == pytest.approx(score, rel=1e-9)
    assert cc_fv(features.astype(np.float32), labels, cases) == pytest.approx(score, rel=1e-4)
    assert cc_fv(features, np.array([1, 0, 2])[labels], cases) != pytest.approx(score, rel=1e-3)


def test_nothing_is_changed():
    features, labels, cases = voxels()
    for part in (features, labels, cases):
        part.flags.writeable = False
    before = features.copy()
    assert cc_fv(features, labels, cases) == cc_fv(features, labels, cases)
    assert np.array_equal(before, features)


@pytest.mark.parametrize(("each", "size"), [(3, 40), (2, 5), (12, 13)])
def test_with_fewer_voxels_than_features_it_is_finite(each: int, size: int):
    assert np.isfinite(cc_fv(*voxels(size=size, each=each)))


def test_two_cases_alike_are_no_trouble():
    features, labels, cases = voxels()
    features[cases == "case 1"] = features[cases == "case 0"]
    assert np.isfinite(cc_fv(features, labels, cases))


def test_what_it_cannot_score_is_refused():
    features, labels, cases = voxels()
    lone = (labels == 2) & (cases != "case 0")
    with pytest.raises(NotDefined, match=r"^a class is in fewer than two cases$"):
        cc_fv(features[~lone], labels[~lone], cases[~lone])
    one_voxel = np.ones(len(labels), dtype=bool)
    for case in np.unique(cases)[1:]:
        one_voxel[np.flatnonzero((labels == 2) & (cases == case))[1:]] = False
    with pytest.raises(NotDefined, match=r"^a class is in fewer than two cases$"):
        cc_fv(features[one_voxel], labels[one_voxel], cases[one_voxel])
    with pytest.raises(NotDefined, match=r"^no voxel is of a class other than the background$"):
        cc_fv(features, np.zeros_like(labels), cases)
    with pytest.raises(NotDefined, match=r"^the features are the same for all cases$"):
        cc_fv(np.full_like(features, 2.5), labels, cases)
    with pytest.raises(NotDefined, match=r"^the features are the same for all cases$"):
        cc_fv(np.concatenate([features, np.zeros((len(labels), 2))], axis=1), labels, cases, widths=(5, 2))
    with pytest.raises(NotDefined, match=r"^the features hold NaN or infinity$"):
        cc_fv(np.where(features > 2, np.nan, features), labels, cases)
    with pytest.raises(NotDefined, match=r"^all cases have the same features in each class$"):
        cc_fv(np.eye(3)[labels], labels, cases)
    with pytest.raises(NotDefined, match=r"^there is one case only$"):
        feature_variety(features, np.zeros(len(labels)))
    with pytest.raises(NotDefined, match=r"^a case has mean features of zero$"):
        feature_variety(np.array([[1.0], [-1.0], [1.0]]), np.array([0, 0, 1]))


def test_a_class_that_some_cases_lack_counts_over_the_others():
    features, labels, cases = voxels()
    kept = ~((labels == 2) & (cases == "case 3"))
    assert np.isfinite(cc_fv(features[kept], labels[kept], cases[kept]))
