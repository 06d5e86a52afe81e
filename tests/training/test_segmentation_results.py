from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from acnorm.data.case import Case
from acnorm.errors import UserError
from acnorm.training.segmentation_metrics import centreline_dice, ejection_fraction, lesions, region_scores
from acnorm.training.segmentation_results import case_scores, measures_by_region, regions_of, summary_of

LIVER = ["background", "liver", "tumour"]


def label_maps(count: int, classes: int = 3, shape: tuple[int, ...] = (12, 11)) -> list[tuple[np.ndarray, np.ndarray]]:
    draw = np.random.default_rng(0)
    return [(draw.integers(classes, size=shape), draw.integers(classes, size=shape)) for _ in range(count)]


def test_nested_regions_hold_the_labels_above_them():
    assert regions_of(LIVER, nested=False) == {"liver": (1,), "tumour": (2,)}
    ((truth, found),) = label_maps(1)
    scores = case_scores(truth, found, regions_of(LIVER, nested=True))
    for name, region in (("liver", lambda labels: labels > 0), ("tumour", lambda labels: labels == 2)):
        alone = region_scores(region(truth), region(found))
        assert {key: scores[f"{key}_{name}"] for key in alone} == pytest.approx(alone)
    assert scores["dice"] == pytest.approx((scores["dice_liver"] + scores["dice_tumour"]) / 2)


def test_further_measures_are_those_of_their_functions_inside_the_field_of_view():
    ((truth, found),) = label_maps(1, classes=2)
    within = np.zeros_like(truth, dtype=bool)
    within[2:10, 3:9] = True
    share = np.random.default_rng(1).random(truth.shape).astype(np.float32)
    further = measures_by_region("auc,cldice,lesions", {"vessel": (1,)})
    scores = case_scores(
        truth, found, {"vessel": (1,)}, further=further, probabilities=np.stack((1 - share, share)), within=within
    )
    assert scores["auc_vessel"] == pytest.approx(roc_auc_score(truth[within], share[within]))
    inside = [(labels == 1) & within for labels in (truth, found)]
    assert scores["cldice_vessel"] == centreline_dice(*inside)
    count = lesions(*inside)
    assert [scores[f"lesions{part}_vessel"] for part in ("", "_detected", "_false")] == [
        count.true, count.detected, count.false,
    ]  # fmt: skip
    assert "auc_vessel" not in case_scores(truth, found, {"vessel": (1,)}, further=further)


def test_measures_over_cases_are_pooled_and_not_averaged():
    regions = regions_of(LIVER, nested=True)
    further = measures_by_region("global_dice,lesions:TUMOUR", regions)
    maps = label_maps(6)
    maps[2][0][:], maps[2][1][:] = 1, 1  # a case without tumour, rightly left alone
    table = pd.DataFrame([case_scores(*pair, regions, further=further) for pair in maps])
    cases = [Case(str(at), Path(f"{at}.png"), 0) for at in range(6)]
    found = summary_of(table, cases, regions, further, resamples=50, seed=0)
    tumours = [(truth == 2, mask == 2) for truth, mask in maps]
    common = sum((truth & mask).sum() for truth, mask in tumours)
    sizes = sum(truth.sum() + mask.sum() for truth, mask in tumours)
    assert found["metrics"]["global_dice_tumour"]["value"] == pytest.approx(2 * common / sizes)
    counts = [lesions(*pair) for pair in tumours]
    recall = sum(count.detected for count in counts) / sum(count.true for count in counts)
    assert found["metrics"]["lesion_recall_tumour"]["value"] == pytest.approx(recall)
    assert found["metrics"]["lesion_f1_tumour"]["value"] == pytest.approx(sum(counts[1:], counts[0]).f1)
    assert found["metrics"]["false_lesions_tumour"]["value"] == np.mean([count.false for count in counts])
    assert "lesion_recall_liver" not in found["metrics"]
    assert found["absent"] == {"liver": 0, "tumour": 1}
    assert (found["cases"], found["patients"]) == (6, None)


def test_the_ejection_fraction_is_that_of_two_frames_of_a_patient():
    regions = {"LV": (3,)}
    volumes = {"p1_frame01": (100, 90), "p1_frame12": (40, 45), "p2_frame01": (80, 80), "p2_frame09": (40, 20)}
    volumes["p3_frame01"] = (70, 70)  # one frame tells nothing
    rows, cases = [], []
    for name, sizes in volumes.items():
        truth, found = np.zeros((2, 10, 12), int)
        for labels, size in zip((truth, found), sizes, strict=True):
            labels.reshape(-1)[:size] = 3
        rows.append(case_scores(truth, found, regions))
        cases.append(Case(name, Path(f"{name}.nii"), 0, patient=name[:2]))
    order = [3, 0, 4, 1, 2]
    table, shuffled = pd.DataFrame([rows[at] for at in order]), [cases[at] for at in order]
    further = measures_by_region("ejection_fraction:1", regions)
    found = summary_of(table, shuffled, regions, further, resamples=50, seed=0)
    errors = [
        abs(ejection_fraction(100, 40) - ejection_fraction(90, 45)),
        abs(ejection_fraction(80, 40) - ejection_fraction(80, 20)),
    ]
    metric = found["metrics"]["ejection_fraction_error_LV"]
    assert metric["value"] == pytest.approx(np.mean(errors))
    assert min(errors) <= metric["low"] <= metric["high"] <= max(errors)
    assert found["patients"] == 3
    assert found["undefined"] == {"ejection_fraction_error_LV": 1}


def test_the_end_of_diastole_is_the_frame_that_the_data_call_so():
    regions = {"LV": (1,)}
    rows, cases = [], []
    for frame, phase, sizes in (("frame04", "ES", (20, 30)), ("frame11", "ED", (50, 50))):
        truth, found = np.zeros((2, 10, 12), int)
        truth.reshape(-1)[: sizes[0]] = found.reshape(-1)[: sizes[1]] = 1
        rows.append(case_scores(truth, found, regions))
        cases.append(Case(f"p90_{frame}", Path(f"p90_{frame}.nii"), 0, patient="p90", phase=phase))
    metrics = summary_of(pd.DataFrame(rows), cases, regions, {"ejection_fraction": ["LV"]}, resamples=9, seed=0)[
        "metrics"
    ]
    assert metrics["ejection_fraction_error_LV"]["value"] == pytest.approx(0.6 - 0.4)


def test_a_heart_that_was_missed_is_counted_and_not_left_out_in_silence():
    regions = {"LV": (1,)}
    rows, cases = [], []
    for patient, factor in (("p1", 1), ("p2", 0)):  # found perfectly, and not at all
        for frame, size in (("frame01", 50), ("frame12", 20)):
            truth = np.zeros((10, 12), int)
            truth.reshape(-1)[:size] = 1
            rows.append(case_scores(truth, truth * factor, regions))
            cases.append(Case(f"{patient}_{frame}", Path(f"{patient}_{frame}.nii"), 0, patient=patient))
    further = measures_by_region("ejection_fraction", regions)
    found = summary_of(pd.DataFrame(rows), cases, regions, further, resamples=50, seed=0)
    assert found["metrics"]["ejection_fraction_error_LV"]["value"] == pytest.approx((0 + 0.6) / 2)
    assert found["metrics"]["hd95_LV"]["value"] == 0
    assert found["undefined"] == {"hd95_LV": 2}


def test_what_cannot_be_measured_is_none_with_the_reason():
    regions = {"LV": (1,)}
    table = pd.DataFrame([case_scores(np.zeros((4, 4), int), np.zeros((4, 4), int), regions)])
    further = {"ejection_fraction": ["LV"], "lesions": []}
    found = summary_of(table, [Case("a", Path("a.png"), 0)], regions, further, resamples=9, seed=0)["metrics"]
    for name in ("hd95_LV", "ejection_fraction_error_LV"):
        assert found[name] == {
            "value": None, "low": None, "high": None,
            "reason": "not defined: there is no case in which it can be measured",
        }  # fmt: skip
    assert found["dice_LV"]["value"] == 1.0


def test_a_class_that_is_none_is_told():
    with pytest.raises(UserError) as refused:
        measures_by_region("lesions:spleen", regions_of(LIVER, nested=False))
    assert str(refused.value) == (
        "--measures lesions:spleen: the data have no class 'spleen'; there are liver, tumour. "
        "Give --measures with one of them."
    )
