"""From a path to label maps ready to train on: patches of training cases, and validation and test cases as they are."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from acnorm.data.case import Case, Collection
from acnorm.data.dataset import CACHE_BYTES, Key
from acnorm.data.fitting import only_fitting
from acnorm.data.formats import read_cases
from acnorm.data.patches import (
    FOREGROUND_SHARE,
    PATCH_AUGMENTATIONS,
    Labelled,
    PatchAugmentation,
    PatchDataset,
)
from acnorm.data.problems import Problem, faults
from acnorm.data.skipping import read_sound, without_broken
from acnorm.data.splits import Splits, split_cases
from acnorm.data.volumes import Volume, read_labelled
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
        spacing: millimetres an axis to which volumes are resampled; None leaves all as they are, 0 an axis.
        flips: whether predictions are averaged over mirror images.

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
    spacing: tuple[float, ...] | None = None
    flips: bool = False

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

    def volume(self, volume: Volume) -> Float[Tensor, " channel *space"]:
        """Prepare an image with its spacing: intensities, then resampled where that is asked for."""
        image = self(volume.values)
        if self.spacing is None or volume.spacing is None:
            return image
        return resample(image, _shape_at(image.shape[1:], volume.spacing, self.spacing))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> IntensityPreprocessing:
        """The inverse of ``to_dict``."""
        parts = ("low", "high", "mean", "deviation", "spacing")
        given = {name: None if values.get(name) is None else tuple(values[name]) for name in parts}
        flips = bool(values.get("flips", False))
        return cls(channels=int(values["channels"]), patch=tuple(values["patch"]), flips=flips, **given)


def resample(
    values: Float[Tensor, " channel *space"], shape: Sequence[int], *, labels: bool = False
) -> Float[Tensor, " channel *space"]:
    """Bring an image, probabilities or (by the nearest) labels to another number of voxels on the same ground.

    Examples:
        >>> resample(torch.tensor([[[0.0, 1.0, 2.0, 3.0]]]), (1, 2))
        tensor([[[0.5000, 2.5000]]])
    """
    if tuple(values.shape[1:]) == tuple(shape):
        return values
    mode = "nearest-exact" if labels else ("bilinear" if values.ndim == 3 else "trilinear")
    return functional.interpolate(values[None].float(), size=list(shape), mode=mode)[0].to(values.dtype)


def _shape_at(shape: Sequence[int], spacing: Sequence[float], wanted: Sequence[float]) -> tuple[int, ...]:
    return tuple(
        max(1, round(count * own / other)) if other else count
        for count, own, other in zip(shape, spacing, wanted, strict=True)
    )


class WholeCases(Dataset[dict[str, Tensor]]):
    """Cases that are read whole, one at a time, by whoever needs them; a loader hands out their numbers alone.

    Args:
        cases: the cases.
        read: as that of ``PatchDataset``.
        memory: as that of ``PatchDataset``.

    Examples:
        >>> whole = Labelled(torch.ones(1, 2, 2), torch.ones(2, 2))
        >>> cases = WholeCases([Case("a", Path("a.png"), 0)], lambda case: whole)
        >>> cases[0, 0], cases.labelled(0).image.shape
        ({'index': tensor(0)}, torch.Size([1, 2, 2]))
    """

    def __init__(self, cases: Sequence[Case], read: Any, *, memory: int = CACHE_BYTES) -> None:
        self.cases = tuple(cases)
        self._patches = PatchDataset(cases, read, patch=(1, 1), memory=memory)

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
    foreground: float = FOREGROUND_SHARE,
    spacing: tuple[float, ...] | Literal["median"] | None = None,
    window: tuple[float, ...] | None = None,
    flips: bool = False,
    augment: PatchAugmentation = PATCH_AUGMENTATIONS["none"],
    seed: int = 0,
    memory: int = CACHE_BYTES,
    skip_bad: bool = False,
    modality: str | None = None,
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
        foreground: share of the patches that are centred on a labelled voxel.
        spacing: millimetres to which volumes are resampled, one for all axes or one an axis (slice by slice: of the
            first two, the third stays), or "median" for the median of the training cases.
        window: lowest and highest intensity of volumes, in the place of the percentiles.
        flips: whether predictions are to be averaged over mirror images.
        augment: how far training patches are moved.
        seed: of the splits, the patches and the augmentation.
        memory: bytes of prepared cases kept in memory, half of it for training.
        skip_bad: leave out cases that cannot be read or do not fit the others, with a warning each, and go on without a
            class, in the place of refusing the data.
        modality: of volumes, such as "CT", where the data do not say theirs.

    Raises:
        UserError: the data cannot be read or split, hold no label maps, cases differ in channels or axes or have the
            same image in two splits that the data give, no training case has a class, or a spacing or window does not
            fit them.

    Examples:
        >>> load_segmentation("nowhere")
        Traceback (most recent call last):
            ...
        acnorm.data.problems.DataError: nowhere: no such file or folder; check the path
    """
    collection = read_sound(data, format) if skip_bad else read_cases(data, format)
    if collection.task != "segmentation":
        raise UserError(f"{data}: holds no label maps; give data in nnU-Net's layout, or images beside masks.")
    classes = len(collection.classes)
    if skip_bad:
        collection = without_broken(collection, lambda case: read_labelled(case, classes))
    collection = only_fitting(collection, skip_bad=skip_bad)
    splits = split_cases(collection, seed=seed, file=splits_file)
    learnt = _learn(splits.train, classes)
    untrained = learnt.untrained(collection, skip_bad=skip_bad)
    axes = learnt.axes
    if axes == 2:
        for flag, given in (("--slices", slices), ("--spacing median", spacing == "median")):
            if given:
                logger.warning("%s has no effect on 2D images", flag)
    if axes == 3 and collection.modality is None and modality is not None:
        logger.info("%s: the data do not say what the volumes are; taken as %s, as the task says", data, modality)
    sides = 2 if slices else axes
    preprocessing = replace(
        learnt.preprocessing(collection.modality or modality, window),
        patch=(patch_size or _PATCH_SIZES[sides],) * sides,
        spacing=_common_spacing(spacing, learnt.spacings, axes, sides),
        flips=flips,
    )
    patches = partial(_prepared, classes=classes, preprocessing=preprocessing, whole=False)
    whole = partial(_prepared, classes=classes, preprocessing=preprocessing, whole=True)
    warnings = tuple(problem.line() for problem in (*collection.notes, *untrained))
    for warning in warnings:
        logger.warning("%s", warning)
    return PreparedSegmentation(
        collection,
        splits,
        preprocessing,
        axes,
        train=PatchDataset(
            splits.train,
            patches,
            patch=preprocessing.patch,
            per_case=per_case,
            augment=augment,
            foreground=foreground,
            seed=seed,
            memory=memory // 2,
        ),
        val=WholeCases(splits.val, whole, memory=memory // 4),
        test=WholeCases(splits.test, whole, memory=memory // 4),
        warnings=warnings,
    )


def _prepared(case: Case, *, classes: int, preprocessing: IntensityPreprocessing, whole: bool) -> Labelled:
    """A case ready for the network; its labels stay on their own grid where the case is to be measured whole."""
    found = read_labelled(case, classes)
    image, mask = preprocessing.volume(found.image), torch.from_numpy(found.mask)
    within = None if found.within is None else torch.from_numpy(found.within)
    if not whole:
        mask = resample(mask[None], image.shape[1:], labels=True)[0]
    return Labelled(image, mask, within)


@dataclass(frozen=True)
class _Learnt:
    """What the training cases tell: channels, axes, moments by case, labelled voxels, spacings, and who has a label."""

    channels: int
    axes: int
    moments: NDArray[np.float64]
    voxels: NDArray[np.float32]
    spacings: tuple[tuple[float, ...], ...]
    labels: Mapping[int, tuple[Case, ...]]

    def untrained(self, collection: Collection, *, skip_bad: bool) -> tuple[Problem, ...]:
        """Refuse, or tell, classes that no training case has: nothing learns them, and their scores say nothing."""
        missing = [f"'{name}'" for label, name in enumerate(collection.classes) if label and label not in self.labels]
        if not missing:
            return ()
        what = f"no training case of the {'class' if len(missing) == 1 else 'classes'} {', '.join(missing)}"
        rare = self.labels.get(len(collection.classes) - 1, ())
        if len(rare) == 1:
            what += f" (only {rare[0].mask} has '{collection.classes[-1]}')"
        problem = Problem(str(collection.source), what, "correct the label maps, or add cases", fatal=False)
        if not skip_bad:
            raise faults([replace(problem, remedy=f"{problem.remedy}, or give --skip-bad to go on", fatal=True)])
        return (problem,)

    def preprocessing(self, modality: str | None, window: tuple[float, ...] | None) -> IntensityPreprocessing:
        """The preprocessing that they ask for."""
        if self.axes == 2:
            if window is not None:
                raise UserError("--window is for volumes, whose intensities have a unit; leave it out for 2D images.")
            means, variances = np.moveaxis(self.moments, -1, 0)
            mean = means.mean(axis=0)
            deviation = np.sqrt(variances.mean(axis=0) + means.var(axis=0))
            return IntensityPreprocessing(self.channels, (), mean=_rounded(mean), deviation=_rounded(deviation))
        if not self.voxels.shape[1]:
            raise UserError("no training case has a labelled voxel; see acnorm check.")
        low, high = np.percentile(self.voxels, _CLIP, axis=1)
        if window is not None:
            low, high = (np.full(self.channels, value) for value in window)
        bounds = _rounded(low), _rounded(high)
        if (modality or "").upper() != "CT":
            return IntensityPreprocessing(self.channels, (), *bounds)
        inside = np.clip(self.voxels, low[:, None], high[:, None])
        return IntensityPreprocessing(
            self.channels, (), *bounds, _rounded(inside.mean(axis=1)), _rounded(inside.std(axis=1))
        )


def _learn(cases: Sequence[Case], classes: int) -> _Learnt:
    moments, labelled, spacings = [], [], []
    held: dict[int, list[Case]] = defaultdict(list)
    for case in cases:
        found = read_labelled(case, classes)
        values = found.image.values
        for label in np.unique(found.mask):
            held[int(label)].append(case)
        counted = values.reshape(len(values), -1) if found.within is None else values[:, found.within]
        moments.append(np.stack((counted.mean(axis=1), counted.astype(np.float64).var(axis=1)), axis=1))
        inside = values[:, found.mask > 0]
        labelled.append(inside[:, :: max(1, inside.shape[1] // 10_000)])
        if found.image.spacing is not None:
            spacings.append(found.image.spacing)
    return _Learnt(
        len(values),
        values.ndim - 1,
        np.stack(moments),
        np.concatenate(labelled, axis=1),
        tuple(spacings),
        {label: tuple(holders) for label, holders in held.items()},
    )


def _common_spacing(
    asked: tuple[float, ...] | Literal["median"] | None, spacings: Sequence[tuple[float, ...]], axes: int, sides: int
) -> tuple[float, ...] | None:
    """Millimetres an axis to which every case is brought; None where all stay as they are."""
    if asked is None or (not spacings and asked == "median"):
        return None
    if not spacings:
        raise UserError("--spacing is for volumes, whose files tell theirs; leave it out for 2D images.")
    median = tuple(float(value) for value in np.median(np.array(spacings), axis=0))
    if asked == "median":
        wanted = median
    elif len(asked) in (1, axes):
        wanted = asked * axes if len(asked) == 1 else asked
    else:
        raise UserError(f"--spacing has {len(asked)} numbers; give one, or one for each of {axes} axes.")
    return (*wanted[:2], 0.0) if sides < axes else wanted


def _rounded(values: NDArray[np.floating[Any]]) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
