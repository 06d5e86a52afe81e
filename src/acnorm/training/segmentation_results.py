"""What a segmentation network is worth on whole cases: scores case by case, and their means with intervals.

A region is a class of the label map or, where labels are nested, a class with those of higher labels in it. Further
measures (``FinetuneConfig.measures``) are one entry of ``MEASURED_BY_CASE`` or ``SUMMARISED`` each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from acnorm.data.case import Case
from acnorm.errors import UserError
from acnorm.training.config import measures_of
from acnorm.training.metrics import Interval, area_under_curve
from acnorm.training.segmentation_metrics import (
    UNDEFINED,
    centreline_dice,
    ejection_fraction_error,
    lesions,
    mean_with_interval,
    ratio_with_interval,
    region_masks,
    region_scores,
)

ALWAYS = ("dice", "iou", "hd95", "sensitivity", "specificity", "volume_error")
Scores = dict[str, float]
Regions = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Found:
    """One region of one case: where it is, where it was found, its probability, and what counts (None: all)."""

    truth: Bool[NDArray[np.bool_], "*space"]
    found: Bool[NDArray[np.bool_], "*space"]
    probability: Float[NDArray[np.float32], "*space"] | None
    within: Bool[NDArray[np.bool_], "*space"] | None


def regions_of(classes: Sequence[str], *, nested: bool) -> Regions:
    """Return the labels of each region; ``classes`` begin with the background.

    Examples:
        >>> regions_of(["background", "liver", "tumour"], nested=True)
        {'liver': (1, 2), 'tumour': (2,)}
    """
    labels = range(1, len(classes))
    return {classes[label]: tuple(range(label, len(classes))) if nested else (label,) for label in labels}


def measures_by_region(setting: str | None, regions: Regions) -> dict[str, list[str]]:
    """Return the regions that each further measure is for.

    Raises:
        UserError: a measure is asked for of a class that is none.

    Examples:
        >>> measures_by_region("auc,lesions:2", {"liver": (1, 2), "tumour": (2,)})
        {'auc': ['liver', 'tumour'], 'lesions': ['tumour']}
    """
    names = list(regions)
    chosen: dict[str, list[str]] = {}
    for measure, asked in measures_of(setting):
        labels = {name.lower(): name for name in names} | {str(at): name for at, name in enumerate(names, start=1)}
        if asked is not None and asked.lower() not in labels:
            raise UserError(
                f"--measures {measure}:{asked}: the data have no class {asked!r}; there are {', '.join(names)}. "
                "Give --measures with one of them."
            )
        wanted = names if asked is None else [labels[asked.lower()]]
        chosen[measure] = [*chosen.get(measure, []), *wanted]
    return chosen


def case_scores(
    truth: NDArray[np.integer[Any]],
    found: NDArray[np.integer[Any]],
    regions: Regions,
    *,
    further: Mapping[str, Sequence[str]] | None = None,
    probabilities: Float[NDArray[np.float32], " class *space"] | None = None,
    spacing: Sequence[float] | None = None,
    within: Bool[NDArray[np.bool_], "*space"] | None = None,
) -> Scores:
    """Return all scores of one case, named measure_region, and "dice", the mean over regions.

    Args:
        truth: label map.
        found: label map that was predicted.
        regions: labels of each.
        further: regions of each further measure.
        probabilities: of every class, which "auc" needs.
        spacing: millimetres an axis.
        within: what counts; nothing outside does.

    Examples:
        >>> truth = np.zeros((8, 8), int)
        >>> truth[2:6, 2:6] = 1
        >>> scores = case_scores(truth, truth, {"vessel": (1,)}, further={"cldice": ["vessel"]})
        >>> scores["dice"], scores["cldice_vessel"]
        (1.0, 1.0)
    """
    true_masks, found_masks = region_masks(truth, regions), region_masks(found, regions)
    row: Scores = {}
    for name, labels in regions.items():
        scores = region_scores(true_masks[name], found_masks[name], spacing=spacing, within=within)
        row |= {f"{measure}_{name}": scores[measure] for measure in (*ALWAYS, "volume", "volume_found")}
        probability = None if probabilities is None else probabilities[list(labels)].sum(axis=0)
        region = Found(true_masks[name], found_masks[name], probability, within)
        for measure, measured in MEASURED_BY_CASE.items():
            if name in (further or {}).get(measure, ()):
                row |= {f"{key}_{name}": value for key, value in measured(region).items()}
    row["dice"] = float(np.mean([row[f"dice_{name}"] for name in regions]))
    return row


def _auc(region: Found) -> Scores:
    counted = np.ones_like(region.truth) if region.within is None else region.within
    if region.probability is None:
        return {}
    return {"auc": area_under_curve(region.truth[counted], region.probability[counted])}


def _cldice(region: Found) -> Scores:
    counted = True if region.within is None else region.within
    return {"cldice": centreline_dice(region.truth & counted, region.found & counted)}


def _lesions(region: Found) -> Scores:
    counted = True if region.within is None else region.within
    count = lesions(region.truth & counted, region.found & counted)
    return {"lesions": count.true, "lesions_detected": count.detected, "lesions_false": count.false}


MEASURED_BY_CASE: dict[str, Callable[[Found], Scores]] = {"auc": _auc, "cldice": _cldice, "lesions": _lesions}


def summary_of(
    table: pd.DataFrame,
    cases: Sequence[Case],
    regions: Regions,
    further: Mapping[str, Sequence[str]],
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Return what metrics.json holds of a split: cases, patients, means with intervals, and what these leave out.

    "absent" counts the cases without a region. "undefined" counts, for each mean that leaves some out, the cases in
    which it is not defined (HD95 of a region that is absent or was missed), or the patients (ejection fraction).

    Args:
        table: one row of ``case_scores`` a case.
        cases: in the order of the rows.
        regions: labels of each.
        further: regions of each further measure.
        resamples: bootstrap samples.
        seed: of the resampling.

    Examples:
        >>> from pathlib import Path
        >>> truth = np.eye(4, dtype=int)
        >>> table = pd.DataFrame([case_scores(truth, truth, {"vessel": (1,)})])
        >>> found = summary_of(table, [Case("a", Path("a.png"), 0)], {"vessel": (1,)}, {}, resamples=9, seed=0)
        >>> found["metrics"]["dice_vessel"]["value"], found["absent"], found["undefined"]
        (1.0, {'vessel': 0}, {})
    """
    known = all(case.patient is not None for case in cases)
    groups = [str(case.patient) if known else case.id for case in cases]
    chance = {"resamples": resamples, "seed": seed}
    by_case = [f"{measure}_{name}" for name in regions for measure in ALWAYS]
    by_case += [f"{measure}_{name}" for measure in ("auc", "cldice") for name in further.get(measure, ())]
    intervals = {
        column: mean_with_interval(table[column].to_numpy(dtype=float), groups, **chance)
        for column in (by_case if len(regions) == 1 else ["dice", *by_case])
    }
    for measure, summarised in SUMMARISED.items():
        for name in further.get(measure, ()):
            intervals |= summarised(table, name, cases, groups, chance)
    metrics: dict[str, Any] = {name: interval.to_dict() for name, interval in intervals.items()}
    for values in metrics.values():
        if values["value"] is None:
            values["reason"] = "not defined: there is no case in which it can be measured"
    absent = {name: int((table[f"volume_{name}"] == 0).sum()) for name in regions}
    patients = len(set(groups)) if known else None
    undefined = {name: interval.undefined for name, interval in intervals.items() if interval.undefined}
    return {"cases": len(cases), "patients": patients, "metrics": metrics, "absent": absent, "undefined": undefined}


def _global_dice(table: pd.DataFrame, name: str, _: Any, groups: Sequence[str], chance: Any) -> dict[str, Interval]:
    sizes = (table[f"volume_{name}"] + table[f"volume_found_{name}"]).to_numpy(dtype=float)
    common = table[f"dice_{name}"].to_numpy(dtype=float) * sizes
    return {f"global_dice_{name}": ratio_with_interval(common, sizes, groups, **chance)}


def _lesion_rates(table: pd.DataFrame, name: str, _: Any, groups: Sequence[str], chance: Any) -> dict[str, Interval]:
    names = ("lesions", "lesions_detected", "lesions_false")
    true, detected, false = (table[f"{column}_{name}"].to_numpy(dtype=float) for column in names)
    return {
        f"lesion_recall_{name}": ratio_with_interval(detected, true, groups, **chance),
        f"lesion_f1_{name}": ratio_with_interval(2 * detected, detected + true + false, groups, **chance),
        f"false_lesions_{name}": mean_with_interval(false, groups, **chance),
    }


def _ejection(
    table: pd.DataFrame, name: str, cases: Sequence[Case], groups: Sequence[str], chance: Any
) -> dict[str, Interval]:
    """Mean absolute error over patients of two frames.

    The end of diastole is the frame that the data call so or, where they do not say, the first by name. Patients of
    another number of frames are undefined.
    """
    frames: dict[str, list[tuple[bool, str, int]]] = {}
    for at, (case, group) in enumerate(zip(cases, groups, strict=True)):
        if case.patient is not None:
            frames.setdefault(group, []).append((case.phase == "ES", case.id, at))
    errors, patients = [], []
    for patient, named in frames.items():
        rows = [table.iloc[at] for *_, at in sorted(named)]
        true, found = ([float(row[f"{key}_{name}"]) for row in rows] for key in ("volume", "volume_found"))
        beat = len(rows) == 2
        errors.append(ejection_fraction_error((true[0], true[1]), (found[0], found[1])) if beat else UNDEFINED)
        patients.append(patient)
    return {f"ejection_fraction_error_{name}": mean_with_interval(np.array(errors), patients, **chance)}


Summary = Callable[[pd.DataFrame, str, Sequence[Case], Sequence[str], Any], dict[str, Interval]]
SUMMARISED: dict[str, Summary] = {
    "global_dice": _global_dice,
    "lesions": _lesion_rates,
    "ejection_fraction": _ejection,
}
