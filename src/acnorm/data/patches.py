"""Patches of labelled images and volumes, in 2D, in 3D, or as slices of volumes, as a PyTorch dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from acnorm.data.cache import CaseCache
from acnorm.data.case import Case
from acnorm.data.dataset import CACHE_BYTES, Key

FOREGROUND_SHARE = 1 / 3  # of the patches, that are centred on a labelled voxel (nnU-Net's)
_CANDIDATES = 10_000  # labelled voxels kept a class, from which centres are drawn


@dataclass(frozen=True)
class Labelled:
    """A prepared image with its label map; ``within`` is False where nothing counts (None: all counts)."""

    image: Float[Tensor, " channel *space"]
    mask: Int[Tensor, "*space"]
    within: Tensor | None = None


@dataclass(frozen=True)
class Movement:
    """Where a patch is taken: output voxel o is read at ``centre`` + ``matrix`` · (o − middle of the patch)."""

    centre: tuple[float, ...]
    matrix: Float[Tensor, "axis axis"]


@dataclass(frozen=True)
class PatchAugmentation:
    """How far patches are moved at random: mirrored on every axis, turned in the plane of the first two, scaled, lit.

    Args:
        mirror: whether each axis is mirrored with probability a half.
        degrees: largest turn.
        scale: largest change of size, 0.1 for 0.9 to 1.1.
        light: largest change of intensity: times 1 ± light, plus up to light deviations.
    """

    mirror: bool = True
    degrees: float = 15.0
    scale: float = 0.1
    light: float = 0.1


PATCH_AUGMENTATIONS = {
    "standard": PatchAugmentation(),
    "anatomical": PatchAugmentation(mirror=False),
    "flips": PatchAugmentation(degrees=0.0, scale=0.0, light=0.0),
    "none": PatchAugmentation(mirror=False, degrees=0.0, scale=0.0, light=0.0),
}


class PatchDataset(Dataset[dict[str, Tensor]]):
    """Random patches, asked for by (epoch, index); ``per_case`` of them a case and epoch.

    A share of the patches is centred on a voxel of a class that is drawn among those in the case; the others lie
    anywhere. Where a patch reaches over the edge, the edge is repeated. All that is random is drawn from (seed, epoch,
    index), so that 0 and 4 workers, or a resumed run, see the same patches.

    Args:
        cases: the cases.
        read: gives a case prepared: size, channels and intensities as the network takes them.
        patch: voxels an axis. Two for volumes of three axes take slices across the third.
        per_case: patches of each case an epoch.
        augment: how far patches are moved.
        foreground: share of the patches that are centred on a labelled voxel.
        seed: of all that is random.
        memory: bytes of prepared cases kept in memory; what is beyond is kept in temporary files.

    Examples:
        >>> from pathlib import Path
        >>> disc = Labelled(torch.rand(1, 40, 30), torch.zeros(40, 30, dtype=torch.uint8))
        >>> patches = PatchDataset([Case("a", Path("a.png"), 0)], lambda case: disc, patch=(16, 16), per_case=4)
        >>> len(patches), patches[0, 3]["image"].shape, patches[0, 3]["mask"].shape, int(patches[0, 3]["index"])
        (4, torch.Size([1, 16, 16]), torch.Size([16, 16]), 0)
    """

    def __init__(
        self,
        cases: Sequence[Case],
        read: Callable[[Case], Labelled],
        *,
        patch: tuple[int, ...],
        per_case: int = 1,
        augment: PatchAugmentation = PATCH_AUGMENTATIONS["none"],
        foreground: float = FOREGROUND_SHARE,
        seed: int = 0,
        memory: int = CACHE_BYTES,
    ) -> None:
        self.cases = tuple(cases)
        self.read = read
        self.patch = patch
        self.per_case = per_case
        self.augment = augment
        self.foreground = foreground
        self.seed = seed
        self._cache = CaseCache(self._read, budget=memory)
        self._places: dict[int, list[Int[Tensor, "voxel axis"]]] = {}

    def __len__(self) -> int:
        return len(self.cases) * self.per_case

    def __getitem__(self, key: Key) -> dict[str, Tensor]:
        epoch, index = key
        draw = np.random.default_rng((self.seed, epoch, index))
        at = index // self.per_case
        case = self.labelled(at)
        start = self._start(at, case.mask, draw)
        image, mask = case.image, case.mask
        if len(self.patch) < mask.ndim:  # a slice across the last axis
            image, mask = image[..., start[-1]], mask[..., start[-1]]
        centre = tuple(first + (side - 1) / 2 for first, side in zip(start, self.patch, strict=False))
        moved = Movement(centre, self._matrix(draw))
        light = self.augment.light
        patch = take(image, moved, self.patch, mode="bilinear")
        patch = patch * draw.uniform(1 - light, 1 + light) + draw.uniform(-light, light)
        labels = take(mask[None].float(), moved, self.patch, mode="nearest")[0]
        return {"image": patch, "mask": labels.round().long(), "index": torch.tensor(at)}

    def drawn_anew(self, seed: int, per_case: int | None = None) -> PatchDataset:
        """Other patches of the same cases, which are read and kept once for both; as many of each where not given."""
        other = copy(self)
        other.seed, other.per_case = seed, per_case or self.per_case
        return other

    def labelled(self, index: int) -> Labelled:
        """The whole prepared case, from the cache once it was read."""
        found = self._cache.get(index)
        return Labelled(found["image"], found["mask"], found.get("within"))

    def _read(self, index: int) -> dict[str, Tensor]:
        case = self.read(self.cases[index])
        found = {"image": case.image, "mask": case.mask}
        return found if case.within is None else found | {"within": case.within}

    def _start(self, index: int, mask: Tensor, draw: np.random.Generator) -> list[int]:
        """The first voxel of a patch before it is moved, on every axis of the case."""
        sides = [*self.patch, *[1] * (mask.ndim - len(self.patch))]
        free = [size - side for size, side in zip(mask.shape, sides, strict=True)]
        anywhere = [int(draw.integers(extra + 1)) if extra > 0 else extra // 2 for extra in free]
        if draw.random() >= self.foreground:
            return anywhere
        if index not in self._places:
            self._places[index] = _places(mask)
        if not self._places[index]:
            return anywhere
        label = self._places[index][draw.integers(len(self._places[index]))]
        voxel = label[draw.integers(len(label))].tolist()
        # around the voxel, but inside the case where the patch fits
        return [
            min(max(at - side // 2, 0), extra) if extra > 0 else extra // 2
            for at, side, extra in zip(voxel, sides, free, strict=True)
        ]

    def _matrix(self, draw: np.random.Generator) -> Tensor:
        axes, augment = len(self.patch), self.augment
        angle = np.deg2rad(draw.uniform(-augment.degrees, augment.degrees))
        matrix = np.eye(axes)
        matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix *= draw.uniform(1 - augment.scale, 1 + augment.scale)
        mirrored = (draw.random(axes) < 0.5) & augment.mirror
        return torch.from_numpy(matrix * np.where(mirrored, -1.0, 1.0)).float()


def take(
    values: Float[Tensor, " channel *space"], movement: Movement, patch: tuple[int, ...], *, mode: str
) -> Float[Tensor, " channel *patch"]:
    """Read a patch out of an image or volume, moved; beyond the edge the edge is repeated.

    Args:
        values: the whole.
        movement: where the patch lies, in voxels of ``values``.
        patch: voxels an axis.
        mode: "bilinear" or "nearest".

    Examples:
        >>> image = torch.arange(12.0).reshape(1, 3, 4)
        >>> take(image, Movement((1.0, 1.0), torch.eye(2)), (1, 3), mode="bilinear")
        tensor([[[4., 5., 6.]]])
    """
    centre, sides = (torch.tensor(value, dtype=torch.float32) for value in (movement.centre, patch))
    size = torch.tensor(values.shape[1:])
    # only what the patch can reach is looked at: a volume may be a hundred times larger
    reach = movement.matrix.abs() @ (sides / 2) + 2
    low = torch.minimum((centre - reach).floor().clamp(min=0).long(), size - 1)
    high = torch.maximum(torch.minimum((centre + reach).ceil().long() + 1, size), low + 1)
    part = values[(slice(None), *(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)))]
    steps = torch.meshgrid(*(torch.arange(side) - (side - 1) / 2 for side in patch), indexing="ij")
    places = centre + torch.stack(steps, dim=-1) @ movement.matrix.T - low
    extent = (high - low - 1).clamp(min=1)
    grid = (2 * places / extent - 1).flip(-1)  # grid_sample counts its axes from the last
    taken = functional.grid_sample(part[None], grid[None], mode=mode, padding_mode="border", align_corners=True)
    return taken[0]


def _places(mask: Int[Tensor, "*space"]) -> list[Int[Tensor, "voxel axis"]]:
    """Voxels of each class but the background, at most some thousand evenly spread ones."""
    found = []
    for label in torch.unique(mask):
        if label:
            voxels = (mask == label).nonzero()
            found.append(voxels[:: -(-len(voxels) // _CANDIDATES)])
    return found
