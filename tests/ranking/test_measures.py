"""Laws that every measure of features keeps, over the table of measures."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from scipy.stats import ortho_group

from acnorm.ranking.cc_fv import cc_fv
from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.measures import LABEL_MAP_MEASURES, MEASURES, NEEDS, Evidence, Measure, VoxelEvidence

OF_EVIDENCE = [row for row in MEASURES.values() if not row.of_network]
OF_FEATURES = [row for row in MEASURES.values() if row.needs == "features"]
named = pytest.mark.parametrize("measure", OF_EVIDENCE, ids=lambda row: row.name)
named_of_features = pytest.mark.parametrize("measure", OF_FEATURES, ids=lambda row: row.name)


def evidence(cases: int = 45, size: int = 8, classes: int = 3, signal: float = 2.0, seed: int = 0) -> Evidence:
    """Classes apart by ``signal`` in the features and in the source's answers; no two cases alike, 30 patients."""
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.arange(cases) % classes)
    features = draw.normal(size=(cases, size)) * np.linspace(1, 2, size)
    features[:, :classes] += signal * np.eye(classes)[labels][:, : min(classes, size)]
    logits = draw.normal(size=(cases, 4))
    logits[:, :classes] += signal * np.eye(classes)[labels]
    source = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    groups = np.array([f"patient {at % 30:02}" for at in range(cases)])
    return Evidence(features, labels, groups, source)


def changed(found: Evidence, **parts: np.ndarray) -> Evidence:
    return Evidence(
        **{name: parts.get(name, getattr(found, name)) for name in ("features", "labels", "groups", "source")}
    )


def test_the_table_says_what_each_needs_in_known_words():
    assert all(row.needs in NEEDS and row.about and row.paper for row in (MEASURES | LABEL_MAP_MEASURES).values())
    assert all((row.score is None and row.held is None) == row.of_network for row in MEASURES.values())


@named
def test_the_order_of_cases_does_not_matter(measure: Measure):
    found = evidence()
    order = np.random.default_rng(1).permutation(len(found.labels))
    assert measure.of(found.of(order)) == pytest.approx(measure.of(found), rel=1e-6)


@named
def test_the_numbers_of_classes_do_not_matter(measure: Measure):
    found = evidence()
    renamed = changed(found, labels=np.array([7, 2, 40])[found.labels])
    assert measure.of(renamed) == pytest.approx(measure.of(found), rel=1e-6)


@named
def test_nothing_is_changed_and_twice_gives_the_same(measure: Measure):
    found = evidence()
    before = [part.copy() for part in (found.features, found.labels, found.groups, found.source)]
    for part in (found.features, found.labels, found.source):
        part.flags.writeable = False
    first = measure.of(found)
    np.random.seed(5)
    assert measure.of(found) == first
    for part, copy in zip((found.features, found.labels, found.groups, found.source), before, strict=True):
        assert np.array_equal(part, copy)


@named
def test_single_precision_changes_little(measure: Measure):
    found = evidence()
    single = changed(found, features=found.features.astype(np.float32), source=found.source.astype(np.float32))
    assert measure.of(single) == pytest.approx(measure.of(found), rel=1e-3)


@named
def test_classes_that_lie_apart_score_higher_than_shuffled_ones(measure: Measure):
    found = evidence(signal=4.0)
    shuffled = changed(found, labels=np.random.default_rng(2).permutation(found.labels))
    assert measure.of(found) > measure.of(shuffled)


@named_of_features
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_the_features_does_not_matter(measure: Measure, scale: float):
    found = evidence()
    assert measure.of(changed(found, features=scale * found.features)) == pytest.approx(measure.of(found), rel=1e-4)


# parc correlates within a case, and etran's energy is of single features: both depend on the axes
@pytest.mark.parametrize(
    "measure", [row for row in OF_FEATURES if row.name not in ("parc", "etran")], ids=lambda row: row.name
)
def test_a_rotation_of_the_features_does_not_matter(measure: Measure):
    found = evidence()
    turn = ortho_group.rvs(found.features.shape[1], random_state=3)
    assert measure.of(changed(found, features=found.features @ turn)) == pytest.approx(measure.of(found), rel=1e-6)


@named_of_features
@pytest.mark.parametrize(("cases", "size"), [(20, 50), (12, 11), (9, 200)])
def test_with_fewer_cases_than_features_it_is_finite_or_refused(measure: Measure, cases: int, size: int):
    found = evidence(cases, size)
    if measure.name in ("h-score", "transrate"):
        with pytest.raises(
            NotDefined,
            match=rf"^{cases} cases are too few for features that spread along {cases - 1} axes: noise would do as well$",
        ):
            measure.of(found)
    else:
        assert np.isfinite(measure.of(found))


@named
def test_a_class_of_one_case_is_finite_or_refused(measure: Measure):
    found = evidence()
    labels = found.labels.copy()
    labels[np.flatnonzero(labels == 2)[1:]] = 0
    lone = changed(found, labels=labels)
    if measure.name == "gbc":
        with pytest.raises(NotDefined, match=r"^a class has one case$"):
            measure.of(lone)
    else:
        assert np.isfinite(measure.of(lone))


@named
def test_one_class_alone_is_refused(measure: Measure):
    found = evidence()
    with pytest.raises(NotDefined, match=r"^all cases are of one class$"):
        measure.of(changed(found, labels=np.ones_like(found.labels)))


@named_of_features
@pytest.mark.parametrize("value", [0.0, 3.7, 1e30])
def test_features_without_a_spread_are_refused(measure: Measure, value: float):
    found = evidence()
    with pytest.raises(NotDefined, match=r"^the features are the same for all cases$"):
        measure.of(changed(found, features=np.full_like(found.features, value)))


@named_of_features
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(measure: Measure, value: float):
    features = evidence().features
    features[3, 2] = value
    with pytest.raises(NotDefined, match=r"^the features hold NaN or infinity$"):
        measure.of(changed(evidence(), features=features))


@named_of_features
def test_features_that_are_dead_or_double_are_no_trouble(measure: Measure):
    found = evidence()
    wider = np.concatenate([found.features, np.zeros((45, 2)), found.features[:, :1]], axis=1)
    assert np.isfinite(measure.of(changed(found, features=wider)))


@named
def test_several_classes_a_case_are_served_or_refused(measure: Measure):
    found = evidence()
    several = np.eye(3)[found.labels] + np.eye(3)[np.roll(found.labels, 1)] > 0
    if measure.several:
        assert np.isfinite(measure.of(changed(found, labels=several)))
    else:
        with pytest.raises(NotDefined, match=r"^a case may show several classes$"):
            measure.of(changed(found, labels=several))


@pytest.mark.parametrize("name", ["leep", "nce"])
def test_a_checkpoint_without_a_head_of_its_own_is_refused(name: str):
    found = evidence()
    with pytest.raises(NotDefined, match=r"^the file holds no head of its own that fits the features$"):
        MEASURES[name].of(Evidence(found.features, found.labels, found.groups))


@pytest.mark.parametrize("name", ["ac-corr", "affine-drift", "gradient-ratio"])
def test_measures_of_the_network_take_no_evidence(name: str):
    with pytest.raises(ValueError, match=rf"^{name} is read off the network, not off its features\.$"):
        MEASURES[name].of(evidence())


@named_of_features
def test_shapes_that_do_not_fit_are_refused(measure: Measure):
    found = evidence()
    with pytest.raises(ValueError, match=r"^features of shape \[44, 8\] for 45 cases; give \[case, feature\]\.$"):
        measure.of(changed(found, features=found.features[1:]))


def test_a_part_of_the_evidence_keeps_cases_together():
    found = evidence()
    rows = np.array([5, 3, 9])
    part = found.of(rows)
    for name in inspect.signature(Evidence).parameters:
        assert np.array_equal(getattr(part, name), getattr(found, name)[rows])


def of_voxels() -> VoxelEvidence:
    """As ``evidence``, of nine cases."""
    found = evidence()
    names = np.array([f"case {at % 9}" for at in range(len(found.labels))])
    return VoxelEvidence(found.features, found.labels, found.groups, cases=names, widths=(3, 5))


def test_voxels_keep_their_cases():
    found, rows = of_voxels(), np.array([5, 3, 9])
    part = found.of(rows)
    assert part.cases.tolist() == ["case 5", "case 3", "case 0"]
    assert part.widths == (3, 5)
    assert np.array_equal(part.features, found.features[rows])


def test_measures_of_label_maps_take_voxels_alone():
    (measure,) = LABEL_MAP_MEASURES.values()
    found = of_voxels()
    assert measure.of(found) == cc_fv(found.features, found.labels, found.cases, widths=(3, 5))
    with pytest.raises(NotDefined, match=r"^it is for label maps$"):
        measure.of(evidence())


@named_of_features
def test_measures_of_features_score_voxels_as_they_are(measure: Measure):
    found = of_voxels()
    assert measure.of(found) == measure.of(Evidence(found.features, found.labels, found.groups))
