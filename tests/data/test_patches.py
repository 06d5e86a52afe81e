"""Patches: where they lie, what moves with what, and that only (seed, epoch, index) decides."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from torch import Tensor

from acnorm.data.case import Case
from acnorm.data.patches import FOREGROUND_SHARE, PATCH_AUGMENTATIONS, Labelled, Movement, PatchDataset, take

STANDARD, NONE = PATCH_AUGMENTATIONS["standard"], PATCH_AUGMENTATIONS["none"]


def numbered(*space: int, labels: int = 3) -> Labelled:
    """Every voxel's value is its place, and its label follows from its value."""
    values = torch.arange(float(np.prod(space))).reshape(1, *space)
    return Labelled(values, (values[0] % labels).to(torch.uint8))


def dataset(*wholes: Labelled, **changes: object) -> PatchDataset:
    cases = [Case(f"case-{at}", Path(f"{at}.png"), 0) for at in range(len(wholes))]
    by_id = {case.id: whole for case, whole in zip(cases, wholes, strict=True)}
    return PatchDataset(cases, lambda case: by_id[case.id], **changes)


def is_part(patch: Tensor, whole: Tensor) -> bool:
    """Whether a patch is cut out of a whole of numbered voxels without a change."""
    first = int(patch.flatten()[0])
    start = np.unravel_index(first, whole.shape)
    slices = tuple(slice(int(at), int(at) + side) for at, side in zip(start, patch.shape, strict=True))
    return patch.shape == whole[slices].shape and bool(torch.equal(patch, whole[slices]))


@pytest.mark.parametrize(("space", "patch"), [((20, 31), (8, 7)), ((9, 8, 11), (4, 5, 6)), ((8, 8), (8, 8))])
def test_an_unmoved_patch_is_cut_out_of_the_whole(space: tuple[int, ...], patch: tuple[int, ...]):
    whole = numbered(*space)
    patches = dataset(whole, patch=patch, per_case=40)
    for index in range(40):
        item = patches[0, index]
        assert is_part(item["image"][0].round(), whole.image[0])
        assert torch.equal(item["mask"], item["image"][0].round().long() % 3)


def test_slices_of_a_volume_are_cut_across_its_last_axis():
    whole = numbered(12, 10, 5)
    patches = dataset(whole, patch=(6, 4), per_case=60)
    seen = set()
    for index in range(60):
        image = patches[0, index]["image"][0].round()
        depth = int(image[0, 0]) % 5
        seen.add(depth)
        assert bool((image.long() % 5 == depth).all())
    assert seen == set(range(5))


@pytest.mark.parametrize("space", [(5, 20), (4, 3)])
def test_a_patch_larger_than_the_whole_repeats_the_edge(space: tuple[int, int]):
    whole = numbered(*space)
    image = dataset(whole, patch=(8, 8))[0, 0]["image"][0].round()
    wanted = torch.nn.functional.pad(whole.image, (8, 8, 8, 8), mode="replicate")[0]
    assert any(
        torch.equal(image, wanted[row : row + 8, column : column + 8])
        for row in range(wanted.shape[0] - 7)
        for column in range(wanted.shape[1] - 7)
    )
    assert set(whole.image.unique().tolist()) >= set(image.unique().tolist())


def test_a_third_of_the_patches_hold_a_labelled_voxel_and_each_class_is_drawn_alike():
    mask = torch.zeros(200, 200, dtype=torch.uint8)
    mask[10, 10], mask[150:190, 150:190] = 1, 2  # one voxel against 1600
    patches = dataset(Labelled(torch.zeros(1, 200, 200), mask), patch=(5, 5), per_case=3000)
    small = np.mean([bool((patches[0, index]["mask"] == 1).any()) for index in range(3000)])
    assert small == pytest.approx(FOREGROUND_SHARE / 2, abs=0.03)


def test_without_foreground_patches_lie_anywhere():
    assert dataset(Labelled(torch.zeros(1, 9, 9), torch.zeros(9, 9)), patch=(4, 4), per_case=20)[0, 19]


def test_the_index_is_that_of_the_case_and_every_case_has_its_share():
    patches = dataset(numbered(9, 9), numbered(8, 8), patch=(4, 4), per_case=3)
    assert [int(patches[0, index]["index"]) for index in range(len(patches))] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("space", [(30, 31), (14, 13, 12)])
def test_only_seed_epoch_and_index_decide(space: tuple[int, ...]):
    whole = numbered(*space)
    patches, other = (dataset(whole, patch=(6,) * len(space), per_case=5, augment=STANDARD, seed=s) for s in (0, 1))
    first = patches[2, 3]
    _ = patches[0, 0]
    again = patches[2, 3]
    assert all(torch.equal(first[name], again[name]) for name in first)
    for item in (patches[2, 4], patches[3, 3], other[2, 3]):
        assert not torch.equal(item["image"], first["image"])


@given(seed=st.integers(0, 10**6), axes=st.sampled_from([2, 3]))
@settings(max_examples=40, deadline=None)
def test_image_and_mask_move_together(seed: int, axes: int):
    """On an image that shows its own labels, a moved patch still does, but for voxels at a border."""
    mask = torch.zeros((24,) * axes)
    mask[(slice(6, 15),) * axes] = 1
    item = dataset(
        Labelled(mask[None].clone(), mask), patch=(12,) * axes, augment=replace(STANDARD, light=0.0), seed=seed
    )[0, 0]
    assert bool(((item["image"][0] > 0.5) == (item["mask"] == 1))[(item["image"][0] - 0.5).abs() > 0.35].all())


@given(seed=st.integers(0, 10**6), axes=st.sampled_from([2, 3]), mode=st.sampled_from(["bilinear", "nearest"]))
@settings(max_examples=40, deadline=None)
def test_taking_a_moved_patch_is_what_scipy_gives(seed: int, axes: int, mode: str):
    draw = np.random.default_rng(seed)
    space, patch = draw.integers(3, 12, axes), tuple(int(side) for side in draw.integers(1, 9, axes))
    values, centre = draw.normal(size=space), draw.uniform(0, space - 1)
    matrix = np.eye(axes) + draw.normal(size=(axes, axes)) * 0.4
    places = np.indices(patch).reshape(axes, -1) - (np.array(patch)[:, None] - 1) / 2
    places = (centre[:, None] + matrix @ places).clip(0, space[:, None] - 1)
    if mode == "nearest" and (np.abs(places % 1 - 0.5) < 1e-3).any():
        return  # a tie, which rounding decides
    wanted = map_coordinates(values, places, order=0 if mode == "nearest" else 1, mode="nearest").reshape(patch)
    movement = Movement(tuple(centre), torch.from_numpy(matrix).float())
    taken = take(torch.from_numpy(values[None]).float(), movement, patch, mode=mode)[0]
    np.testing.assert_allclose(taken, wanted, atol=2e-4)


def test_intensities_change_with_light_alone():
    whole = Labelled(torch.ones(1, 20, 20), torch.zeros(20, 20))
    values = [
        float(dataset(whole, patch=(4, 4), augment=replace(NONE, light=0.2), seed=seed)[0, 0]["image"].mean())
        for seed in range(200)
    ]
    assert 0.6 <= min(values) < 0.8
    assert 1.2 < max(values) <= 1.4


def test_it_can_be_handed_to_a_worker_and_reads_each_case_once():
    reads: list[str] = []
    whole = numbered(9, 9)

    def read(case: Case) -> Labelled:
        reads.append(case.id)
        return whole

    patches = PatchDataset([Case("a", Path("a.png"), 0)], read, patch=(4, 4), per_case=4)
    for index in range(4):
        _ = patches[0, index]
    assert reads == ["a"]
    assert pickle.loads(pickle.dumps(whole)).mask.shape == (9, 9)


def test_drawn_anew_are_other_patches_of_the_same_cases():
    patches = dataset(numbered(20, 31), numbered(20, 31), patch=(8, 7), per_case=3)
    other, more = patches.drawn_anew(1), patches.drawn_anew(0, per_case=5)
    assert (len(patches), len(other), len(more)) == (6, 6, 10)
    assert torch.equal(more[0, 2]["image"], patches[0, 2]["image"])
    assert any(not torch.equal(other[0, at]["image"], patches[0, at]["image"]) for at in range(6))
    assert (patches.seed, patches.per_case) == (0, 3)
