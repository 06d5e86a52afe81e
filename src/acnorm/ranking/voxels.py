"""Which voxels of label maps are looked at: as many of each class in each case, in a few patches around them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from acnorm.data.intensities import resample
from acnorm.data.patches import PatchDataset

VOXELS = 100  # of each class in each case
MOST = 4000  # in all: measures compare voxels with each other
LEAST = 25  # of each class in each case, below which cases are left out in their place
PATCHES = 4  # for each class in each case


@dataclass(frozen=True)
class Patch:
    """Where a patch begins in its case, on every axis, and its voxels [voxel, axis] in the case, with their classes."""

    case: int
    start: tuple[int, ...]
    voxels: Int[NDArray[np.int64], "voxel axis"]
    labels: Int[NDArray[np.int64], " voxel"]


@dataclass(frozen=True)
class VoxelSample:
    """The patches of all cases in their order. each: voxels asked for of a class in a case."""

    patches: tuple[Patch, ...]
    each: int

    @property
    def labels(self) -> Int[NDArray[np.int64], " voxel"]:
        """The class of each voxel."""
        return np.concatenate([patch.labels for patch in self.patches])

    @property
    def cases(self) -> Int[NDArray[np.int64], " voxel"]:
        """The case of each voxel."""
        return np.repeat([patch.case for patch in self.patches], [len(patch.labels) for patch in self.patches])


def draw_voxels(
    train: PatchDataset, classes: int, *, each: int = VOXELS, most: int = MOST, seed: int = 0
) -> VoxelSample:
    """Draw voxels where labels count; the draw depends on the seed and the case's id, not on the order of anything.

    Of each class that a case holds, four patches at most are laid around voxels of it, inside the case where they fit,
    and its voxels are drawn in these in equal parts: of small classes, or of those in small pieces, there are fewer.

    Args:
        train: training cases.
        classes: with the background.
        each: voxels of a class in a case; fewer where all would be more than ``most``, but not below 25, for which some
            cases are left out.
        most: voxels in all, about.
        seed: of the draw.

    Examples:
        >>> from pathlib import Path
        >>> from acnorm.data.case import Case
        >>> from acnorm.data.patches import Labelled
        >>> mask = torch.zeros(20, 20, dtype=torch.uint8)
        >>> mask[4, 5:8] = 1
        >>> case = Labelled(torch.rand(1, 20, 20), mask)
        >>> train = PatchDataset([Case("a", Path("a.png"), 0)], lambda _: case, patch=(8, 8))
        >>> np.bincount(draw_voxels(train, classes=2, each=10).labels).tolist()
        [10, 3]
    """
    each, chosen = _share(train, classes, each, most, seed)
    patches: list[Patch] = []
    for at in chosen:
        case = train.labelled(at)
        mask, within = case.mask.numpy(), np.ones(tuple(case.mask.shape), dtype=bool)
        if case.within is not None:
            within = resample(case.within[None], mask.shape, labels=True)[0].numpy().astype(bool)
        for label in np.unique(mask[within]):
            draw = np.random.default_rng(_number(train, at, seed))  # anew: a class by another number is drawn alike
            patches += _of_class(at, (mask == label) & within, int(label), train.patch, each, draw)
    return VoxelSample(tuple(patches), each)


def patch_of(
    image: Float[Tensor, " channel *space"], start: Sequence[int], sides: tuple[int, ...]
) -> Float[Tensor, " channel *patch"]:
    """Cut a patch out; beyond the edge the edge is repeated. With one axis fewer it is a slice across the last.

    Examples:
        >>> patch_of(torch.arange(6.0).reshape(1, 2, 3), (-1, 1), (2, 2))
        tensor([[[1., 2.],
                 [1., 2.]]])
    """
    if len(sides) < image.ndim - 1:
        image = image[..., start[-1]]
    for axis, (first, side) in enumerate(zip(start, sides, strict=False), start=1):
        image = image.index_select(axis, (first + torch.arange(side)).clamp(0, image.shape[axis] - 1))
    return image


def _share(train: PatchDataset, classes: int, each: int, most: int, seed: int) -> tuple[int, list[int]]:
    """How many voxels of each class in each case, and of which cases."""
    cases = len(train.cases)
    fitting = min(each, max(most // (cases * classes), min(each, LEAST)))
    kept = min(cases, max(2, most // (fitting * classes)))
    drawn = sorted(range(cases), key=lambda at: _number(train, at, seed))[:kept]
    return fitting, sorted(drawn)


def _number(train: PatchDataset, at: int, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {train.cases[at].id}".encode()).digest()[:8])


def _of_class(
    case: int,
    left: NDArray[np.bool_],
    label: int,
    patch: tuple[int, ...],
    each: int,
    draw: np.random.Generator,
) -> list[Patch]:
    """Patches of one class; what is drawn is taken out of ``left``, so that no voxel comes twice."""
    sides = (*patch, *[1] * (left.ndim - len(patch)))
    found: list[Patch] = []
    for remaining in range(PATCHES, 0, -1):
        possible = np.flatnonzero(left)
        wanted = each - sum(len(earlier.labels) for earlier in found)
        if not len(possible) or wanted < 1:
            break
        centre = np.unravel_index(possible[draw.integers(len(possible))], left.shape)
        start = tuple(
            min(max(int(at) - side // 2, 0), size - side) if size > side else (size - side) // 2
            for at, side, size in zip(centre, sides, left.shape, strict=True)
        )
        first = np.array([max(at, 0) for at in start])
        inside = left[
            tuple(slice(int(at), at_start + side) for at, at_start, side in zip(first, start, sides, strict=True))
        ]
        voxels = np.argwhere(inside)
        taken = draw.choice(len(voxels), min(-(-wanted // remaining), len(voxels)), replace=False)
        inside[tuple(voxels[taken].T)] = False
        found.append(Patch(case, start, voxels[taken] + first, np.full(len(taken), label, dtype=np.int64)))
    return found
