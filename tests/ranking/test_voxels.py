"""Voxels are drawn class by class and case by case, alike in any order, and never twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acnorm.data.case import Case
from acnorm.data.patches import Labelled, PatchDataset
from acnorm.ranking.voxels import VoxelSample, draw_voxels, patch_of


def maps(
    cases: int = 3, shape: tuple[int, ...] = (40, 30), *, patch: tuple[int, ...] = (16, 16), within: bool = False
) -> PatchDataset:
    """Cases of a large background, a block of class 1 and five voxels of class 2."""
    found = {}
    for at in range(cases):
        mask = torch.zeros(shape, dtype=torch.uint8)
        mask[8:20, 5:15] = 1
        mask[30, 20:25] = 2
        inside = torch.zeros(shape, dtype=torch.bool)
        inside[4:36, 2:28] = True
        found[f"case {at}"] = Labelled(torch.rand(1, *shape), mask, inside if within else None)
    return PatchDataset([Case(name, Path(name), 0) for name in found], lambda case: found[case.id], patch=patch)


def by_case(train: PatchDataset, sample: VoxelSample) -> dict[tuple[str, int], set[tuple[int, ...]]]:
    found: dict[tuple[str, int], set[tuple[int, ...]]] = {}
    for patch in sample.patches:
        for voxel, label in zip(patch.voxels.tolist(), patch.labels.tolist(), strict=True):
            found.setdefault((train.cases[patch.case].id, label), set()).add(tuple(voxel))
    return found


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize(
    ("shape", "patch"), [((40, 30), (16, 16)), ((40, 30), (64, 64)), ((40, 30, 6), (16, 16)), ((40, 30, 6), (8, 8, 8))]
)
def test_as_many_of_each_class_where_labels_count_and_in_their_patch(
    shape: tuple[int, ...], patch: tuple[int, ...], within: bool
):
    train = maps(shape=shape, patch=patch, within=within)
    sample = draw_voxels(train, 3, each=20)
    sides = np.array([*patch, *[1] * (len(shape) - len(patch))])
    for part in sample.patches:
        case = train.labelled(part.case)
        assert case.mask.numpy()[tuple(part.voxels.T)].tolist() == part.labels.tolist()
        assert case.within is None or case.within.numpy()[tuple(part.voxels.T)].all()
        assert (part.voxels >= np.array(part.start)).all()
        assert (part.voxels < np.array(part.start) + sides).all()
    drawn = by_case(train, sample)
    small = 5 if len(shape) == 2 else 20
    assert {key: len(voxels) for key, voxels in drawn.items() if key[1] < 2} == {
        (f"case {at}", label): 20 for at in range(3) for label in (0, 1)
    }
    assert all(len(drawn[f"case {at}", 2]) <= small for at in range(3))
    assert len(sample.labels) == len(sample.cases) == sum(map(len, drawn.values()))  # none twice


def test_a_small_class_is_taken_whole():
    train = maps()
    assert by_case(train, draw_voxels(train, 3, each=50))["case 1", 2] == {(30, column) for column in range(20, 25)}


def test_patches_lie_inside_where_they_fit_and_around_the_case_where_not():
    for part in draw_voxels(maps(), 3).patches:
        assert all(0 <= first <= size - 16 for first, size in zip(part.start, (40, 30), strict=True))
    assert {part.start for part in draw_voxels(maps(patch=(64, 48)), 3).patches} == {(-12, -9)}


def test_the_order_of_cases_and_the_numbers_of_classes_do_not_matter():
    train = maps()
    drawn = by_case(train, draw_voxels(train, 3, each=10, seed=4))
    turned = maps()
    turned.cases = turned.cases[::-1]
    assert by_case(turned, draw_voxels(turned, 3, each=10, seed=4)) == drawn
    renamed = PatchDataset(
        train.cases,
        lambda case: Labelled(train.labelled(int(case.id[-1])).image, 2 - train.labelled(int(case.id[-1])).mask),
        patch=(16, 16),
    )
    other = by_case(renamed, draw_voxels(renamed, 3, each=10, seed=4))
    assert {(name, 2 - label): voxels for (name, label), voxels in other.items()} == drawn


def test_the_seed_alone_decides_and_nothing_is_changed():
    train = maps()
    before = [train.labelled(at).mask.clone() for at in range(3)]
    np.random.seed(1)
    first, second, other = (by_case(train, draw_voxels(train, 3, each=10, seed=seed)) for seed in (0, 0, 1))
    assert first == second != other
    assert all(torch.equal(train.labelled(at).mask, mask) for at, mask in enumerate(before))


@pytest.mark.parametrize(
    ("cases", "most", "each", "kept"), [(3, 4000, 100, 3), (3, 600, 66, 3), (6, 180, 25, 2), (3, 10, 25, 2)]
)
def test_fewer_voxels_then_fewer_cases_where_all_would_be_too_many(cases: int, most: int, each: int, kept: int):
    train = maps(cases)
    sample = draw_voxels(train, 3, each=100, most=most)
    assert (sample.each, len(set(sample.cases.tolist()))) == (each, kept)
    turned = maps(cases)
    turned.cases = turned.cases[::-1]
    names = [{data.cases[at].id for at in draw_voxels(data, 3, each=100, most=most).cases} for data in (train, turned)]
    assert names[0] == names[1]


@settings(deadline=None, max_examples=40)
@given(st.integers(-9, 12), st.integers(-9, 12), st.integers(1, 12), st.integers(1, 12))
def test_a_patch_is_that_of_the_padded_image(top: int, left: int, height: int, width: int):
    image = torch.rand(2, 9, 7)
    padded = np.pad(image.numpy(), ((0, 0), (30, 30), (30, 30)), mode="edge")
    expected = padded[:, 30 + top : 30 + top + height, 30 + left : 30 + left + width]
    assert np.array_equal(patch_of(image, (top, left), (height, width)).numpy(), expected)


def test_a_slice_of_a_volume():
    volume = torch.rand(1, 9, 7, 5)
    assert torch.equal(patch_of(volume, (2, 3, 4), (4, 3)), volume[:, 2:6, 3:6, 4])


def test_where_labels_count_may_have_another_grid():
    mask, inside = torch.zeros(40, 30, dtype=torch.uint8), torch.zeros(20, 15, dtype=torch.bool)
    inside[5:10, 5:10] = True
    case = Labelled(torch.rand(1, 40, 30), mask, inside)
    train = PatchDataset([Case("a", Path("a"), 0)], lambda _: case, patch=(16, 16))
    voxels = np.concatenate([part.voxels for part in draw_voxels(train, 2, each=500).patches])
    assert sorted(map(tuple, voxels.tolist())) == [(y, x) for y in range(10, 20) for x in range(10, 20)]
