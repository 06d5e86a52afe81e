"""From a path to three datasets ready to train on, with what a user should know before believing the figures."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from acnorm.data.augment import Augmentation, nothing
from acnorm.data.case import Collection
from acnorm.data.dataset import CaseDataset
from acnorm.data.fitting import Outline, only_fitting, outline_of, told_shared
from acnorm.data.images import is_volume, read_image
from acnorm.data.preprocessing import Preprocessing, changes_of, statistics
from acnorm.data.skipping import read_sound
from acnorm.data.splits import Splits, split_cases
from acnorm.errors import UserError

logger = logging.getLogger("acnorm")
SLICES = 16  # of a volume that is taken slice by slice
Statistics = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class PreparedData:
    """The cases of a run as datasets, and what is known about them."""

    collection: Collection
    splits: Splits
    preprocessing: Preprocessing
    train: CaseDataset
    val: CaseDataset
    test: CaseDataset
    warnings: tuple[str, ...]

    @property
    def by_split(self) -> dict[str, CaseDataset]:
        """The three datasets by name."""
        return {"train": self.train, "val": self.val, "test": self.test}


def load_data(
    data: Path | str | Collection,
    *,
    format: str | None = None,
    splits_file: Path | None = None,
    image_size: int | None = None,
    window: tuple[float, ...] | None = None,
    augment: Augmentation = nothing,
    usual_statistics: Statistics | None = None,
    seed: int = 0,
    skip_bad: bool = False,
    slices: bool = False,
) -> PreparedData:
    """Read, split and fit the images of a data set.

    Args:
        data: as for ``read_cases``, or the cases that it gives.
        format: of the data; found out where not given.
        splits_file: read if it exists, made if not; no file where not given.
        image_size: sides to which images or volumes are brought, in pixels or voxels; as they are where not given.
        window: lowest and highest intensity of volumes that are not in 0..1; the 0.5 and 99.5 percentiles of the
            training volumes where not given.
        augment: random change of training images.
        usual_statistics: mean and deviation a channel with which the checkpoint was trained, in 0..1; those of the
            training images where not given or for another number of channels.
        seed: of the splits and the augmentation.
        skip_bad: leave out images that cannot be read, with a warning each, in the place of refusing the data.
        slices: take volumes as ``SLICES`` slices each, evenly spaced, for a 2D network.

    Raises:
        UserError: the data cannot be read or split, images differ in size and no size is given, or it is below 1.

    Examples:
        >>> import tempfile
        >>> from acnorm.data.phantoms import fundus_phantoms
        >>> file = fundus_phantoms(Path(tempfile.mkdtemp()) / "eyes.npz", domain="source", cases=60, size=32, seed=0)
        >>> load_data(file).train[0, 0]["image"].shape
        torch.Size([3, 32, 32])
    """
    if image_size is not None and image_size < 1:
        raise UserError(f"--image-size is {image_size}, must be 1 or more.")
    if isinstance(data, Collection):
        collection, data = data, data.source
    else:
        collection = read_sound(data, format, skip_bad=skip_bad)
    if collection.task == "segmentation":
        raise UserError(f"{data}: holds label maps; give images with classes.")
    collection = only_fitting(collection, skip_bad=skip_bad)
    splits = split_cases(collection, seed=seed, file=splits_file)
    scan = _scan(splits)
    of_volumes = _of_volumes(scan, splits, data, window, slices)
    if slices:
        scan = replace(scan, shapes=tuple(shape[:-1] for shape in scan.shapes))
    size, channels = _shape(scan, data, image_size)
    plain = Preprocessing(
        size=size,
        channels=channels,
        mean=(0.0,) * channels,
        deviation=(1.0,) * channels,
        **of_volumes,
    )
    several = len(collection.classes) if collection.task == "multilabel" else None
    train = CaseDataset(splits.train, plain, augment, seed, several=several, one_slice=slices)
    mean, deviation = _statistics(usual_statistics, train)
    train.preprocessing = preprocessing = replace(plain, mean=mean, deviation=deviation)
    warnings = tuple(_warnings(collection, splits, scan))
    for change in changes_of(scan.shapes, preprocessing):
        logger.info("%s", change)
    for warning in warnings:
        logger.warning("%s", warning)
    return PreparedData(
        collection,
        splits,
        preprocessing,
        train=train,
        val=CaseDataset(splits.val, preprocessing, several=several),
        test=CaseDataset(splits.test, preprocessing, several=several),
        warnings=warnings,
    )


@dataclass(frozen=True)
class _Scan:
    """What one pass over all images tells: their shapes, and what each is."""

    shapes: tuple[tuple[int, ...], ...]
    outlines: tuple[Outline, ...]


def _scan(splits: Splits) -> _Scan:
    shapes, outlines = [], []
    for case in (*splits.train, *splits.val, *splits.test):
        image = read_image(case)
        shapes.append(image.shape)
        outlines.append(outline_of(case, image))
    return _Scan(tuple(shapes), tuple(outlines))


def _shape(scan: _Scan, data: Path | str, image_size: int | None) -> tuple[int, int]:
    sides = {max(shape[1:]) for shape in scan.shapes}
    if image_size is None and len(sides) > 1:
        listed = ", ".join(str(side) for side in sorted(sides)[:5])
        raise UserError(f"{data}: images differ in size (longer sides {listed}); give --image-size PIXELS.")
    return image_size or sides.pop(), max(shape[0] for shape in scan.shapes)


def _of_volumes(
    scan: _Scan, splits: Splits, data: Path | str, window: tuple[float, ...] | None, slices: bool
) -> dict[str, Any]:
    """What the preprocessing must know of volumes: that they are some, and which intensities become 0 and 1."""
    axes = {len(shape) - 1 for shape in scan.shapes}
    if len(axes) > 1:
        raise UserError(f"{data}: holds images beside volumes; keep them in data sets of their own.")
    stored = is_volume(splits.train[0].image)
    if window is not None and not stored:
        raise UserError("--window is for volumes, whose intensities have a unit; leave it out for 2D images.")
    if axes == {2} and slices:
        raise UserError("--slices is for volumes; leave it out for 2D images.")
    if axes == {2}:
        return {}
    taken = {"dimensions": 2, "slices": SLICES} if slices else {"dimensions": 3}
    if not stored:
        return taken
    if window is None:
        voxels = [read_image(case).reshape(-1) for case in splits.train]
        spread = np.concatenate([values[:: max(1, len(values) // 10_000)] for values in voxels])
        window = tuple(float(value) for value in np.percentile(spread, (0.5, 99.5)))
    low, high = window
    return taken | {"low": round(low, 6), "high": round(high, 6) if high > low else round(low, 6) + 1.0}


def _statistics(usual: Statistics | None, train: CaseDataset) -> Statistics:
    if usual is not None and len(usual[0]) == train.preprocessing.channels:
        return usual
    return statistics([train.fitted(index) for index in range(len(train))])


def _warnings(collection: Collection, splits: Splits, scan: _Scan) -> list[str]:
    warnings = [problem.line() for problem in collection.notes]
    warnings += told_shared(scan.outlines, collection)
    for name, cases in splits.by_name().items():
        present = {label for case in cases for label in case.shown}
        absent = [label for at, label in enumerate(collection.classes) if at not in present]
        if absent:
            warnings.append(f"no case of class {', '.join(absent)} in the {name} split: metrics there leave it out")
    return warnings
