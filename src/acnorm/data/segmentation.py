"""From a path to label maps ready to train on: patches of training cases, and validation and test cases as they are."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from acnorm.data.case import Case, Collection
from acnorm.data.dataset import CACHE_BYTES
from acnorm.data.fitting import Outline, fitting_label_maps, told_shared
from acnorm.data.intensities import IntensityPreprocessing, resample
from acnorm.data.learnt import Learnt, learn
from acnorm.data.patches import (
    FOREGROUND_SHARE,
    PATCH_AUGMENTATIONS,
    Labelled,
    PatchAugmentation,
    PatchDataset,
)
from acnorm.data.skipping import read_sound
from acnorm.data.splits import Splits, split_cases
from acnorm.data.volumes import read_labelled
from acnorm.data.whole_cases import WholeCases
from acnorm.errors import UserError

logger = logging.getLogger("acnorm")
_PATCH_SIZES = {2: 128, 3: 64}


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
    collection, outlines = _fitting(data, format, skip_bad=skip_bad)
    classes = len(collection.classes)
    splits = split_cases(collection, seed=seed, file=splits_file, skip_bad=skip_bad)
    learnt = learn(splits.train, classes)
    untrained = learnt.untrained(collection, skip_bad=skip_bad)
    _tell(data, learnt, {"--slices": slices, "--spacing median": spacing == "median"}, collection, modality)
    sides = 2 if slices else learnt.axes
    preprocessing = replace(
        learnt.preprocessing(collection.modality or modality, window),
        patch=(patch_size or _PATCH_SIZES[sides],) * sides,
        spacing=learnt.spacing(spacing, sides),
        flips=flips,
    )
    read = partial(_prepared, classes=classes, preprocessing=preprocessing)
    patches, whole = partial(read, whole=False), partial(read, whole=True)
    placed = [replace(outlines[case.id], case=case) for cases in splits.by_name().values() for case in cases]
    warnings = (
        *(problem.line() for problem in (*collection.notes, *untrained)),
        *told_shared(placed, collection),
    )
    for warning in warnings:
        logger.warning("%s", warning)
    return PreparedSegmentation(
        collection,
        splits,
        preprocessing,
        learnt.axes,
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


def _fitting(data: Path | str, format: str | None, *, skip_bad: bool) -> tuple[Collection, dict[str, Outline]]:
    """The cases, all of which can be read and fit each other, and by their ids what they are."""
    collection = read_sound(data, format, skip_bad=skip_bad)
    if collection.task != "segmentation":
        raise UserError(f"{data}: holds no label maps; give data in nnU-Net's layout, or images beside masks.")
    return fitting_label_maps(collection, skip_bad=skip_bad)


def _tell(
    data: Path | str, learnt: Learnt, of_volumes: dict[str, bool], collection: Collection, modality: str | None
) -> None:
    if learnt.axes == 2:
        for flag in (flag for flag, given in of_volumes.items() if given):
            logger.warning("%s has no effect on 2D images", flag)
    elif collection.modality is None and modality is not None:
        logger.info("%s: the data do not say what the volumes are; taken as %s, as the task says", data, modality)


def _prepared(case: Case, *, classes: int, preprocessing: IntensityPreprocessing, whole: bool) -> Labelled:
    """A case ready for the network; its labels stay on their own grid where the case is to be measured whole."""
    found = read_labelled(case, classes)
    image, mask = preprocessing.volume(found.image), torch.from_numpy(found.mask)
    within = None if found.within is None else torch.from_numpy(found.within)
    if not whole:
        mask = resample(mask[None], image.shape[1:], labels=True)[0]
    return Labelled(image, mask, within)
