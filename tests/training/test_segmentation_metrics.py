"""Segmentation metrics against brute force, on maps of all kinds, and what holds whatever the maps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from sklearn import metrics

from acnorm.training.metrics import Interval
from acnorm.training.segmentation_metrics import (
    Lesions,
    centreline_dice,
    ejection_fraction,
    ejection_fraction_error,
    lesions,
    mean_with_interval,
    region_masks,
    region_scores,
)

SPACES = st.sampled_from([(6, 7), (1, 5), (4, 5, 3), (2, 2, 2)])
pairs = SPACES.flatmap(lambda space: st.tuples(arrays(bool, space), arrays(bool, space)))
OVERLAPS = ("dice", "iou", "sensitivity", "specificity")


def surface(mask: np.ndarray) -> np.ndarray:
    """Voxels of a region with a neighbour across a face that is not of it; beyond the edge is not of it."""
    return np.argwhere(mask & ~ndimage.binary_erosion(mask))


def brute_hd95(truth: np.ndarray, found: np.ndarray, spacing: tuple[float, ...]) -> float:
    first, second = (surface(mask) * np.array(spacing) for mask in (truth, found))
    distances = np.sqrt(((first[:, None] - second[None]) ** 2).sum(-1))
    return max(np.percentile(distances.min(axis), 95) for axis in (0, 1))


@given(pair=pairs, spacing=st.tuples(*[st.sampled_from([0.5, 1.0, 3.0])] * 3), seed=st.integers(0, 999))
@settings(max_examples=150, deadline=None)
def test_scores_are_those_of_scikit_learn_and_of_brute_force(pair, spacing, seed: int):
    truth, found = pair
    scores = region_scores(truth, found, spacing=spacing[: truth.ndim])
    flat = truth.flatten(), found.flatten()
    if truth.any() or found.any():
        assert scores["dice"] == pytest.approx(metrics.f1_score(*flat, zero_division=0))
        assert scores["iou"] == pytest.approx(metrics.jaccard_score(*flat, zero_division=0))
    if truth.any():
        assert scores["sensitivity"] == pytest.approx(metrics.recall_score(*flat))
    if not truth.all():
        assert scores["specificity"] == pytest.approx(metrics.recall_score(*flat, pos_label=False))
    if truth.any() and found.any():
        assert scores["hd95"] == pytest.approx(brute_hd95(truth, found, spacing[: truth.ndim]), rel=1e-5, abs=1e-6)
    else:
        assert math.isnan(scores["hd95"])
    voxel = np.prod(spacing[: truth.ndim])
    assert scores["volume"] == pytest.approx(truth.sum() * voxel)
    assert scores["volume_found"] == pytest.approx(found.sum() * voxel)


@given(pair=pairs, axis=st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_mirrored_and_turned_maps_have_the_same_scores(pair, axis: int):
    scores = region_scores(*pair)
    for change in (lambda mask: np.flip(mask, axis % mask.ndim), np.transpose):
        changed = region_scores(*(change(mask) for mask in pair))
        assert changed == pytest.approx(scores, nan_ok=True)
    swapped = region_scores(*pair[::-1])
    for name in ("dice", "iou", "hd95"):
        assert swapped[name] == pytest.approx(scores[name], nan_ok=True)


@given(pair=pairs)
@settings(max_examples=60, deadline=None)
def test_a_perfect_map_has_perfect_scores_and_all_lie_in_their_range(pair):
    truth, found = pair
    perfect = region_scores(truth, truth)
    assert [perfect[name] for name in OVERLAPS] == [1] * 4
    assert perfect["hd95"] == 0 if truth.any() else math.isnan(perfect["hd95"])
    assert all(0 <= region_scores(truth, found)[name] <= 1 for name in OVERLAPS)


@pytest.mark.parametrize(
    ("truth", "found", "dice", "sensitivity", "error"),
    [(0, 0, 1, 1, math.nan), (0, 1, 0, 0, math.nan), (1, 0, 0, 0, -1), (1, 1, 1, 1, 0)],
)
def test_empty_regions(truth: int, found: int, dice: float, sensitivity: float, error: float):
    scores = region_scores(np.full((4, 4), bool(truth)), np.full((4, 4), bool(found)))
    assert (scores["dice"], scores["iou"], scores["sensitivity"]) == (dice, dice, sensitivity)
    assert scores["volume_error"] == pytest.approx(error, nan_ok=True)


def test_only_what_lies_within_counts():
    truth, found, within = np.random.default_rng(0).random((3, 12, 12)) > 0.5
    scores = region_scores(truth, found, within=within)
    assert scores["dice"] == pytest.approx(metrics.f1_score(truth[within], found[within]))
    assert scores["specificity"] == pytest.approx(metrics.recall_score(truth[within], found[within], pos_label=False))


def test_regions_may_be_nested():
    masks = region_masks(np.array([[0, 1], [2, 3]]), {"whole": (1, 2), "core": (2,)})
    assert masks["whole"].tolist() == [[False, True], [True, False]]
    assert masks["core"].tolist() == [[False, False], [True, False]]


def test_centre_lines_forgive_width_but_not_gaps():
    truth = np.zeros((40, 60), bool)
    truth[18:23, 5:55] = True
    thin, gap, stray = truth.copy(), truth.copy(), truth.copy()
    thin[[18, 22]] = False
    gap[:, 20:40] = False
    stray[2:5, 5:55] = True
    assert centreline_dice(truth, thin) > 0.95 > region_scores(truth, thin)["dice"]
    assert centreline_dice(truth, gap) < 0.8
    assert centreline_dice(truth, stray) < 0.8
    assert centreline_dice(truth, truth) == 1
    nothing = np.zeros_like(truth)
    assert (centreline_dice(nothing, nothing), centreline_dice(truth, nothing), centreline_dice(nothing, truth)) == (
        1,
        0,
        0,
    )
    assert centreline_dice(truth, np.roll(truth, 15, axis=0)) == 0
    assert centreline_dice(truth[..., None].repeat(5, -1), thin[..., None].repeat(5, -1)) > 0.9


def brute_lesions(truth: np.ndarray, found: np.ndarray, overlap: float) -> Lesions:
    parts = [list(components(mask)) for mask in (truth, found)]
    detected = sum(np.mean([found[voxel] for voxel in part]) > overlap for part in parts[0])
    false = sum(not any(truth[voxel] for voxel in part) for part in parts[1])
    return Lesions(len(parts[0]), detected, false)


def components(mask: np.ndarray):
    """Connected parts by flooding."""
    left = {tuple(voxel) for voxel in np.argwhere(mask)}
    while left:
        part, front = set(), [left.pop()]
        while front:
            voxel = front.pop()
            part.add(voxel)
            near = {other for other in left if max(abs(a - b) for a, b in zip(voxel, other, strict=True)) <= 1}
            left -= near
            front += near
        yield part


@given(pair=pairs, overlap=st.sampled_from([0.0, 0.3, 0.5]))
@settings(max_examples=80, deadline=None)
def test_lesions_are_counted_as_by_flooding(pair, overlap: float):
    assert lesions(*pair, overlap=overlap) == brute_lesions(*pair, overlap)


def test_lesions_add_up_over_cases():
    total = Lesions(3, 2, 1) + Lesions(0, 0, 0) + Lesions(1, 0, 4)
    assert total == Lesions(4, 2, 5)
    assert (total.recall, total.f1) == (0.5, pytest.approx(4 / 11))
    assert math.isnan(Lesions(0, 0, 2).recall)
    assert (Lesions(0, 0, 0).f1, Lesions(0, 0, 2).f1, Lesions(2, 0, 0).f1) == (1, 0, 0)


def test_the_ejection_fraction_is_a_ratio():
    assert ejection_fraction(200, 80) == ejection_fraction(100, 40) == 0.6
    assert math.isnan(ejection_fraction(0, 0))


def test_a_ventricle_that_was_missed_puts_out_nothing():
    assert ejection_fraction_error((100, 40), (50, 25)) == pytest.approx(0.1)
    assert ejection_fraction_error((100, 40), (0, 0)) == ejection_fraction_error((100, 40), (0, 20)) == 0.6
    assert ejection_fraction_error((100, 40), (80, 0)) == pytest.approx(0.4)
    assert math.isnan(ejection_fraction_error((0, 0), (100, 40)))


def test_the_interval_of_a_mean_is_over_patients_and_leaves_undefined_values_out():
    draw = np.random.default_rng(0)
    values = draw.normal(0.8, 0.1, 40)
    alone = mean_with_interval(values, [str(at) for at in range(40)], resamples=2000)
    assert alone.value == pytest.approx(values.mean())
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(40), rel=0.1)
    doubled = mean_with_interval(values.repeat(2), [str(at // 2) for at in range(80)], resamples=2000)
    assert doubled.high - doubled.low == pytest.approx(alone.high - alone.low, rel=0.1)
    holed = mean_with_interval(np.append(values, np.nan), [str(at) for at in range(41)], resamples=2000)
    assert holed == replace(alone, undefined=1)
    assert mean_with_interval(np.array([np.nan]), ["a"]) == Interval(None, None, None, undefined=1)
    assert mean_with_interval(values, [str(at) for at in range(40)], seed=1) != alone
