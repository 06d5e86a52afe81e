from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import roc_auc_score

from acnorm.bench.resampled import read_test_cases, resampled_macro_auc, resampled_metric
from acnorm.data.case import Case
from acnorm.training.evaluate import Predictions, write_per_case
from acnorm.training.metrics import classification_metrics, multilabel_metrics

CASES, SAMPLES = 24, 6


def draw_weights(draw: np.random.Generator) -> np.ndarray:
    return draw.multinomial(CASES, np.full(CASES, 1 / CASES), size=SAMPLES)


@given(
    arrays.arrays(np.float64, (CASES, 2), elements=st.sampled_from([0.1, 0.2, 0.5, 0.9])),
    arrays.arrays(bool, (CASES, 2)),
    st.integers(0, 2**31),
)
def test_the_area_of_each_sample_is_scikit_learns(scores: np.ndarray, truth: np.ndarray, seed: int):
    weights = draw_weights(np.random.default_rng(seed))
    found = resampled_macro_auc(truth, scores, weights)
    for value, row in zip(found, weights, strict=True):
        rows = np.repeat(np.arange(CASES), row)
        kinds = [at for at in range(2) if 0 < truth[rows, at].sum() < len(rows)]
        areas = [roc_auc_score(truth[rows, at], scores[rows, at]) for at in kinds]
        assert value == pytest.approx(np.mean(areas) if areas else np.nan, nan_ok=True)


def single(classes: int = 3) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(3)
    labels, probabilities = np.arange(CASES) % classes, draw.dirichlet(np.ones(classes), size=CASES)
    table = pd.DataFrame({"label": labels.astype(str), "prediction": probabilities.argmax(axis=1).astype(str)})
    return table.join(pd.DataFrame(probabilities).add_prefix("probability_")), labels, probabilities


@pytest.mark.parametrize("metric", ["macro_auc", "accuracy", "quadratic_kappa", "brier", "balanced_accuracy"])
def test_metrics_of_one_class_a_case(metric: str):
    table, labels, probabilities = single()
    weights = draw_weights(np.random.default_rng(0))
    rows = [np.repeat(np.arange(CASES), row) for row in weights]
    expected = [classification_metrics(labels[at], probabilities[at])[metric] for at in rows]
    assert resampled_metric(table, metric, weights) == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["macro_auc", "exact_match", "macro_average_precision"])
def test_metrics_of_several_classes_a_case(metric: str):
    draw = np.random.default_rng(5)
    truth, probabilities = draw.random((CASES, 3)) < 0.4, draw.random((CASES, 3))
    labels = ["|".join(str(at) for at in range(3) if row[at]) or "none" for row in truth]
    table = pd.DataFrame({"label": labels, "prediction": "0"})
    table = table.join(pd.DataFrame(probabilities).add_prefix("probability_"))
    weights = draw_weights(draw)
    rows = [np.repeat(np.arange(CASES), row) for row in weights]
    expected = [multilabel_metrics(truth[at], probabilities[at])[metric] for at in rows]
    assert resampled_metric(table, metric, weights) == pytest.approx(expected)


def test_scores_of_label_maps_are_means_over_cases():
    table = pd.DataFrame({"dice_LV": [0.5, np.nan, 1.0], "volume_LV": [1.0, 2.0, 3.0]})
    weights = np.array([[1, 1, 1], [2, 1, 0], [0, 3, 0]])
    assert resampled_metric(table, "dice_LV", weights) == pytest.approx([0.75, 0.5, np.nan], nan_ok=True)
    assert resampled_metric(table, "lesion_f1_LV", weights) is None


def test_a_metric_that_is_none_is_told():
    table, _, _ = single()
    assert resampled_metric(table, "dice", draw_weights(np.random.default_rng(0))) is None


@pytest.mark.parametrize("name", ["NA", "None", "nan", "null", "N/A"])
def test_a_patient_or_case_of_any_name_is_one(tmp_path: Path, name: str):
    rows = f"split,id,patient,label,prediction,hd95\ntest,01,{name},0,0,\ntest,{name},{name},1,1,2.5\n"
    (tmp_path / "per_case.csv").write_text(rows)
    table = read_test_cases(tmp_path)
    assert table["patient"].tolist() == [name, name]
    assert set(table.index) == {"01", name}
    assert table["hd95"].isna().tolist() == [index == "01" for index in table.index]  # of numbers, none is none


def test_test_cases_are_read_by_id(tmp_path: Path):
    rows = "split,id,patient,label,prediction\nval,x,P,0,0\ntest,02,,1|2,1\ntest,01,007,none,1\n"
    (tmp_path / "per_case.csv").write_text(rows)
    table = read_test_cases(tmp_path)
    assert table is not None
    assert table.index.tolist() == ["01", "02"]
    assert table["patient"].tolist() == ["007", "02"]
    assert table["label"].tolist() == ["none", "1|2"]


def test_the_area_of_a_sure_network_is_that_of_its_metrics(tmp_path: Path):
    draw = np.random.default_rng(0)
    rest = 10.0 ** -draw.uniform(8, 12, CASES)
    rest[::3] *= 100
    probabilities = np.stack([1 - rest, rest], axis=1)
    cases = tuple(Case(str(at), Path("eyes.npz"), label=at % 2) for at in range(CASES))
    found = Predictions(cases, probabilities)
    write_per_case(tmp_path / "per_case.csv", {"test": found})
    table = read_test_cases(tmp_path)
    assert table is not None
    table = table.loc[[case.id for case in cases]]
    area = resampled_metric(table, "macro_auc", np.ones((1, CASES), dtype=np.int64))
    assert area == pytest.approx(classification_metrics(found.labels, probabilities)["macro_auc"], abs=1e-12)
