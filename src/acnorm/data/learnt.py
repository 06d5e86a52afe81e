"""What labelled training cases tell: how intensities are brought to the network, the spacing, and absent classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from acnorm.data.case import Case, Collection
from acnorm.data.intensities import IntensityPreprocessing
from acnorm.data.problems import Problem, faults
from acnorm.data.volumes import read_labelled
from acnorm.errors import UserError

_CLIP = (0.5, 99.5)  # percentiles of the labelled voxels, nnU-Net's


@dataclass(frozen=True)
class Learnt:
    """Of labelled cases: channels, axes, moments by case, labelled voxels, spacings, and who has a label.

    Examples:
        >>> learnt = Learnt(1, 3, np.zeros((1, 1, 2)), np.zeros((1, 1), np.float32), ((1.0, 1.0, 5.0),), {})
        >>> learnt.spacing("median", sides=2)
        (1.0, 1.0, 0.0)
    """

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

    def spacing(self, asked: tuple[float, ...] | Literal["median"] | None, sides: int) -> tuple[float, ...] | None:
        """Millimetres an axis to which every case is brought, 0 for an axis that stays; None where all stay.

        Args:
            asked: one number, one an axis, or "median".
            sides: axes of the patches, one less than those of the cases where volumes are taken slice by slice.
        """
        if asked is None or (not self.spacings and asked == "median"):
            return None
        if not self.spacings:
            raise UserError("--spacing is for volumes, whose files tell theirs; leave it out for 2D images.")
        if asked == "median":
            wanted = tuple(float(value) for value in np.median(np.array(self.spacings), axis=0))
        elif len(asked) in (1, self.axes):
            wanted = asked * self.axes if len(asked) == 1 else asked
        else:
            raise UserError(f"--spacing has {len(asked)} numbers; give one, or one for each of {self.axes} axes.")
        return (*wanted[:2], 0.0) if sides < self.axes else wanted


def learn(cases: Sequence[Case], classes: int) -> Learnt:
    """Read the training cases once; `classes` counts the background.

    Raises `DataError` where one cannot be read.

    Examples:
        >>> from pathlib import Path
        >>> learn([Case("a", Path("a.png"), 0)], 2)
        Traceback (most recent call last):
            ...
        acnorm.data.problems.DataError: a.png: has no label map; add one, or leave the case out
    """
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
    return Learnt(
        len(values),
        values.ndim - 1,
        np.stack(moments),
        np.concatenate(labelled, axis=1),
        tuple(spacings),
        {label: tuple(holders) for label, holders in held.items()},
    )


def _rounded(values: NDArray[np.floating[Any]]) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
