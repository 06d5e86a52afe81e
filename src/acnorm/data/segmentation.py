"""From a path to label maps ready to train on: patches of training cases, and validation and test cases as they are."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from acnorm.data.case import Case, Collection
from acnorm.data.dataset import Key
from acnorm.data.formats import read_cases
from acnorm.data.patches import PATCH_AUGMENTATIONS, Labelled, PatchAugmentation, PatchDataset
from acnorm.data.splits import Splits, split_cases
from acnorm.data.volumes import read_labelled
from acnorm.errors import UserError

logger = logging.getLogger("acnorm")
_PATCH_SIZES = {2: 128, 3: 64}
_CLIP = (0.5, 99.5)  # percentiles of the labelled voxels, nnU-Net's


@dataclass(frozen=True)
class IntensityPreprocessing:
    """Bring the intensities of a case to about mean 0 and deviation 1, channel by channel.

    Args:
        channels: of the images.
        patch: voxels an axis that the network takes at once.
        low, high: to which values are clipped, one a channel; None clips nothing.
        mean, deviation: that are taken off and divided by, one a channel; None takes those of each case.

    Examples:
        >>> prepare = IntensityPreprocessing(1, (64, 64), low=(-100.0,), high=(200.0,), mean=(50.0,), deviation=(50.0,))
        >>> prepare(np.array([[[-1000.0, 50.0, 3000.0]]], np.float32)).tolist()
        [[[-3.0, 0.0, 3.0]]]
    """

    channels: int
    patch: tuple[int, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """[channel, *patch], of what the network takes."""
        return self.channels, *self.patch

    def __call__(self, image: Float[NDArray[np.float32], " channel *space"]) -> Float[Tensor, " channel *space"]:
        """Prepare one image."""
        values = image.reshape(len(image), -1)
        if self.low is not None and self.high is not None:
            values = np.clip(values, np.array(self.low)[:, None], np.array(self.high)[:, None])
        mean = values.mean(axis=1) if self.mean is None else np.array(self.mean)
        deviation = values.std(axis=1) if self.deviation is None else np.array(self.deviation)
        prepared = (values - mean[:, None]) / np.where(deviation > 0, deviation, 1.0)[:, None]
        return torch.from_numpy(prepared.reshape(image.shape).astype(np.float32))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> IntensityPreprocessing:
        """The inverse of ``to_dict``."""
        parts = ("low", "high", "mean", "deviation")
        given = {name: None if values[name] is None else tuple(values[name]) for name in parts}
        return cls(channels=int(values["channels"]), patch=tuple(values["patch"]), **given)


class WholeCases(Dataset[dict[str, Tensor]]):
    """Cases that are read whole, one at a time, by whoever needs them; a loader hands out their numbers alone.

    Args:
        cases: the cases.
        read: as that of ``PatchDataset``.

    Examples:
        >>> whole = Labelled(torch.ones(1, 2, 2), torch.ones(2, 2))
        >>> cases = WholeCases([Case("a", Path("a.png"), 0)], lambda case: whole)
        >>> cases[0, 0], cases.labelled(0).image.shape
        ({'index': tensor(0)}, torch.Size([1, 2, 2]))
    """

    def __init__(self, cases: Sequence[Case], read: Any) -> None:
        self.cases = tuple(cases)
        self._patches = PatchDataset(cases, read, patch=(1, 1))

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, key: Key) -> dict[str, Tensor]:
        return {"index": torch.tensor(key[1])}

    def labelled(self, index: int) -> Labelled:
        """The prepared case, from memory where it is kept."""
        return self._patches.labelled(index)


@dataclass(frozen=True)
class PreparedSegmentation:
    """The cases of a run as datasets, and what is known about them.

    dimensions: axes of the cases; patches of two axes are then slices of volumes.
    """

    collection: Collection
    splits: Splits
    preprocessing: IntensityPreprocessing
    dimensions: int
    train: PatchDataset
    val: WholeCases
    test: WholeCases
    warnings: tuple[str, ...]

    @property
    def by_split(self) -> dict[str, PatchDataset | WholeCases]:
        """The three datasets by name."""
        return {"train": self.train, "val": self.val, "test": self.test}


def load_segmentation(
    data: Path | str,
    *,
    format: str | None = None,
    splits_file: Path | None = None,
    patch_size: int | None = None,
    slices: bool = False,
    per_case: int = 1,
    augment: PatchAugmentation = PATCH_AUGMENTATIONS["none"],
    seed: int = 0,
) -> PreparedSegmentation:
    """Read and split label maps, and learn from the training cases how intensities are brought to the network.

    Images in 0..1 are normalised by the mean and deviation a channel of the training cases. Volumes are clipped to the
    0.5 and 99.5 percentiles of the labelled training voxels; CT is then normalised by those voxels (nnU-Net's rule),
    other volumes, whose unit is arbitrary, by their own mean and deviation.

    Args:
        data: as for ``read_cases``.
        format: of the data; found out where not given.
        splits_file: read if it exists, made if not; no file where not given.
        patch_size: sides of the training patches in voxels; 128 in 2D and 64 in 3D where not given.
        slices: take volumes slice by slice.
        per_case: patches of each case an epoch.
        augment: how far training patches are moved.
        seed: of the splits, the patches and the augmentation.

    Raises:
        UserError: the data cannot be read or split, hold no label maps, or training cases differ in channels or axes.

    Examples:
        >>> load_segmentation("nowhere")
        Traceback (most recent call last):
            ...
        acnorm.data.problems.DataError: nowhere: no such file or folder; check the path
    """
    collection = read_cases(data, format)
    if collection.task != "segmentation":
        raise UserError(f"{data}: holds no label maps; give data in nnU-Net's layout, or images beside masks.")
    splits = split_cases(collection, seed=seed, file=splits_file)
    classes = len(collection.classes)
    learnt, axes = _learn(splits.train, classes, collection.modality)
    sides = 2 if slices else axes
    patch = (patch_size or _PATCH_SIZES[sides],) * sides
    preprocessing = replace(learnt, patch=patch)
    read = partial(_prepared, classes=classes, preprocessing=preprocessing)
    warnings = tuple(problem.line() for problem in collection.notes)
    for warning in warnings:
        logger.warning("%s", warning)
    return PreparedSegmentation(
        collection,
        splits,
        preprocessing,
        axes,
        train=PatchDataset(splits.train, read, patch=patch, per_case=per_case, augment=augment, seed=seed),
        val=WholeCases(splits.val, read),
        test=WholeCases(splits.test, read),
        warnings=warnings,
    )


def _prepared(case: Case, *, classes: int, preprocessing: IntensityPreprocessing) -> Labelled:
    found = read_labelled(case, classes)
    within = None if found.within is None else torch.from_numpy(found.within)
    return Labelled(preprocessing(found.image.values), torch.from_numpy(found.mask), within)


def _learn(cases: Sequence[Case], classes: int, modality: str | None) -> tuple[IntensityPreprocessing, int]:
    """The preprocessing that the training cases ask for, and their axes."""
    sums, labelled, axes, channels = [], [], set(), set()
    for case in cases:
        found = read_labelled(case, classes)
        values = found.image.values
        axes.add(values.ndim - 1)
        channels.add(len(values))
        counted = values.reshape(len(values), -1) if found.within is None else values[:, found.within]
        sums.append(np.stack((counted.mean(axis=1), counted.astype(np.float64).var(axis=1)), axis=1))
        inside = values[:, found.mask > 0]
        labelled.append(inside[:, :: max(1, inside.shape[1] // 10_000)])
    if len(channels) > 1 or len(axes) > 1:
        raise UserError(
            f"training cases differ in channels ({_listed(channels)}) or axes ({_listed(axes)}); see acnorm check."
        )
    count = channels.pop()
    if axes == {2}:
        means, variances = np.moveaxis(np.stack(sums), -1, 0)
        mean = means.mean(axis=0)
        deviation = np.sqrt(variances.mean(axis=0) + means.var(axis=0))
        return IntensityPreprocessing(count, (), mean=_rounded(mean), deviation=_rounded(deviation)), 2
    voxels = np.concatenate(labelled, axis=1)
    if not voxels.shape[1]:
        raise UserError("no training case has a labelled voxel; see acnorm check.")
    low, high = np.percentile(voxels, _CLIP, axis=1)
    if (modality or "").upper() != "CT":
        return IntensityPreprocessing(count, (), _rounded(low), _rounded(high)), 3
    inside = np.clip(voxels, low[:, None], high[:, None])
    mean, deviation = _rounded(inside.mean(axis=1)), _rounded(inside.std(axis=1))
    return IntensityPreprocessing(count, (), _rounded(low), _rounded(high), mean, deviation), 3


def _rounded(values: NDArray[np.floating[Any]]) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)


def _listed(values: set[int]) -> str:
    return " and ".join(map(str, sorted(values)))
