"""How well a label map agrees with another, region by region, as the six tasks are judged.

Overlaps of a region that is empty in both maps count 1, and 0 where it is empty in one; a distance is then not defined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import skeletonize

from acnorm.training.metrics import Interval

UNDEFINED = float("nan")
Mask = Bool[NDArray[np.bool_], "*space"]


def region_masks(
    labels: Int[NDArray[np.integer], "*space"], regions: Mapping[str, Sequence[int]]
) -> dict[str, Bool[NDArray[np.bool_], "*space"]]:
    """Return where each region lies; regions may be nested, as a liver that its tumour is a part of.

    Args:
        labels: label map.
        regions: name of each region and the labels that it is made of.

    Examples:
        >>> masks = region_masks(np.array([0, 1, 2]), {"liver": (1, 2), "tumour": (2,)})
        >>> masks["liver"].tolist(), masks["tumour"].tolist()
        ([False, True, True], [False, False, True])
    """
    return {name: np.isin(labels, list(parts)) for name, parts in regions.items()}


def region_scores(
    truth: Mask, found: Mask, *, spacing: Sequence[float] | None = None, within: Mask | None = None
) -> dict[str, float]:
    """Return how a region that was found agrees with the true one.

    dice, iou, sensitivity and specificity: 1 where nothing is there to be missed (specificity: to be left alone) and
    nothing is wrong. hd95: the larger of the 95th percentiles of the distances from either surface to the other
    (MONAI's definition; medpy pools both), NaN where a region is empty. volume and volume_found; volume_error: found
    less true, as a share of the true volume, NaN where that is 0.

    Args:
        truth: where the region is.
        found: where it was found.
        spacing: millimetres an axis; distances and volumes are then in mm and mm³ (mm² in 2D), else in voxels.
        within: what counts; nothing outside does.

    Examples:
        >>> truth, found = np.zeros((2, 8, 8), bool)
        >>> truth[2:6, 2:6], found[2:6, 2:5] = True, True
        >>> scores = region_scores(truth, found, spacing=(0.5, 0.5))
        >>> round(scores["dice"], 3), scores["hd95"], scores["volume_error"]
        (0.857, 0.5, -0.25)
    """
    if within is not None:
        truth, found = truth & within, found & within
    everywhere = truth.size if within is None else int(within.sum())
    common, true, positive = int((truth & found).sum()), int(truth.sum()), int(found.sum())
    negative, rightly_left = everywhere - true, everywhere - true - positive + common
    unit = float(np.prod(spacing)) if spacing is not None else 1.0
    return {
        "dice": _share(2 * common, true + positive),
        "iou": _share(common, true + positive - common),
        "sensitivity": _share(common, true, empty=float(positive == 0)),
        "specificity": _share(rightly_left, negative),
        "hd95": _hd95(truth, found, spacing) if true and positive else UNDEFINED,
        "volume": true * unit,
        "volume_found": positive * unit,
        "volume_error": (positive - true) / true if true else UNDEFINED,
    }


def centreline_dice(truth: Mask, found: Mask) -> float:
    """Return clDice: how far the centre lines of each map lie inside the other (Shit et al., CVPR 2021).

    The harmonic mean of the share of the found centre line inside the truth and of the true one inside what was found.

    Args:
        truth: where the vessels are, of two or three axes.
        found: where they were found.

    Examples:
        >>> truth = np.zeros((20, 20), bool)
        >>> truth[8:13] = True
        >>> centreline_dice(truth, truth), centreline_dice(truth, np.zeros_like(truth))
        (1.0, 0.0)
    """
    if not truth.any() or not found.any():
        return float(not truth.any() and not found.any())
    precision = _share(int((skeletonize(found) & truth).sum()), int(skeletonize(found).sum()))
    sensitivity = _share(int((skeletonize(truth) & found).sum()), int(skeletonize(truth).sum()))
    return 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0


@dataclass(frozen=True)
class Lesions:
    """Lesions counted one by one: how many there are, of these found, and how many were found where none is.

    Examples:
        >>> Lesions(true=4, detected=3, false=1) + Lesions(true=0, detected=0, false=1)
        Lesions(true=4, detected=3, false=2)
        >>> Lesions(true=4, detected=3, false=1).f1
        0.75
    """

    true: int
    detected: int
    false: int

    def __add__(self, other: Lesions) -> Lesions:
        return Lesions(self.true + other.true, self.detected + other.detected, self.false + other.false)

    @property
    def recall(self) -> float:
        """Share of the true lesions that were detected; NaN where there are none."""
        return self.detected / self.true if self.true else UNDEFINED

    @property
    def f1(self) -> float:
        """2 · detected / (2 · detected + missed + false); 1 where there is nothing and nothing was found."""
        return _share(2 * self.detected, self.detected + self.true + self.false)


def lesions(truth: Mask, found: Mask, *, overlap: float = 0.0) -> Lesions:
    """Count the connected parts of two maps (voxels that touch at a corner belong together).

    A true lesion is detected where more than ``overlap`` of it was found; a found one is false where it touches none.

    Args:
        truth: where lesions are.
        found: where they were found.
        overlap: share of a lesion, at least 0 and below 1; any voxel will do at 0.

    Examples:
        >>> truth, found = np.zeros((2, 9, 9), bool)
        >>> truth[1:3, 1:3], truth[6:8, 6:8], found[1:3, 1:3], found[1, 7] = True, True, True, True
        >>> lesions(truth, found)
        Lesions(true=2, detected=1, false=1)
    """
    corners = np.ones((3,) * truth.ndim)
    true_parts, true = ndimage.label(truth, corners)
    found_parts, count = ndimage.label(found, corners)
    shares = ndimage.mean(found, true_parts, range(1, true + 1)) if true else np.empty(0)
    touched = ndimage.maximum(truth, found_parts, range(1, count + 1)) if count else np.empty(0)
    return Lesions(true, int((np.asarray(shares) > overlap).sum()), int((np.asarray(touched) == 0).sum()))


def ejection_fraction(end_diastolic: float, end_systolic: float) -> float:
    """Return the share of the blood that a ventricle puts out with a beat, from its largest and smallest volume.

    A ratio, so any unit will do; NaN where the largest volume is 0.

    Examples:
        >>> ejection_fraction(120.0, 50.0)
        0.5833333333333334
    """
    return (end_diastolic - end_systolic) / end_diastolic if end_diastolic else UNDEFINED


def ejection_fraction_error(truth: tuple[float, float], found: tuple[float, float]) -> float:
    """Return how far the ejection fraction of the volumes found is from the true one, without sign.

    A ventricle that was missed at the end of diastole counts as one that puts out nothing: its ejection fraction is 0,
    and the error that of a missed heart. NaN where the true end-diastolic volume is 0.

    Args:
        truth: end-diastolic and end-systolic volume, in any unit.
        found: those that were found, in the same unit.

    Examples:
        >>> ejection_fraction_error((100.0, 40.0), (100.0, 50.0))
        0.09999999999999998
        >>> ejection_fraction_error((100.0, 40.0), (0.0, 0.0))
        0.6
    """
    return abs((ejection_fraction(*found) if found[0] else 0.0) - ejection_fraction(*truth))


def mean_with_interval(
    values: Float[NDArray[np.float64], " case"], groups: Sequence[str], *, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Return the mean over cases and its 95 % bootstrap interval over groups (patients, or cases).

    NaN is left out, and how many were is told as ``undefined``.

    Args:
        values: one a case.
        groups: the patient of each case; all cases of a patient are drawn together.
        resamples: bootstrap samples.
        seed: of the resampling.

    Examples:
        >>> interval = mean_with_interval(np.array([0.8, 0.9, np.nan]), ["a", "b", "c"])
        >>> round(interval.value, 2), interval.low, interval.high, interval.undefined
        (0.85, 0.8, 0.9, 1)
    """
    defined = ~np.isnan(values)
    interval = ratio_with_interval(
        np.where(defined, values, 0.0), defined.astype(float), groups, resamples=resamples, seed=seed
    )
    return replace(interval, undefined=int((~defined).sum()))


def ratio_with_interval(
    parts: Float[NDArray[np.float64], " case"],
    wholes: Float[NDArray[np.float64], " case"],
    groups: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return Σ parts / Σ wholes over cases and its 95 % bootstrap interval over groups; None where Σ wholes is 0.

    Args:
        parts: one a case.
        wholes: one a case, 0 or more.
        groups: the patient of each case; all cases of a patient are drawn together.
        resamples: bootstrap samples.
        seed: of the resampling.

    Examples:
        >>> ratio_with_interval(np.array([1.0, 2.0]), np.array([2.0, 2.0]), ["a", "b"]).value  # 3 of 4 lesions
        0.75
    """
    counted = wholes > 0
    if not counted.any():
        return Interval(None, None, None)
    _, member = np.unique(np.asarray(groups, dtype=str)[counted], return_inverse=True)
    sums, sizes = np.bincount(member, parts[counted]), np.bincount(member, wholes[counted])
    drawn = np.random.default_rng(seed).integers(len(sums), size=(resamples, len(sums)))
    ratios = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(ratios, (2.5, 97.5))
    return Interval(float(sums.sum() / sizes.sum()), float(low), float(high))


def _share(part: int, whole: int, *, empty: float = 1.0) -> float:
    return part / whole if whole else empty


def _hd95(truth: Mask, found: Mask, spacing: Sequence[float] | None) -> float:
    # MONAI's own function warns of its own deprecated argument
    box = ndimage.find_objects((truth | found).astype(np.uint8))[0]
    surfaces = [mask[box] & ~ndimage.binary_erosion(mask[box]) for mask in (truth, found)]
    away = [ndimage.distance_transform_edt(~surface, sampling=spacing) for surface in surfaces]
    return float(max(np.percentile(away[at][surfaces[1 - at]], 95) for at in (0, 1)))
