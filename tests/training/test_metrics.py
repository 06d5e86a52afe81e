"""Metrics against independent libraries, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from torch.nn import functional
from torchmetrics import MeanSquaredError
from torchmetrics.classification import MulticlassCalibrationError

from acnorm.training.metrics import BINS, OF_TWO_CLASSES, classification_metrics, multilabel_metrics, with_intervals


@pytest.mark.parametrize("seed", range(5))
def test_values_are_those_of_scikit_learn(seed: int):
    draw = np.random.default_rng(seed)
    labels, probabilities = draw.integers(5, size=200), draw.dirichlet(np.ones(5), 200)
    predicted = probabilities.argmax(axis=1)
    found = classification_metrics(labels, probabilities)
    expected = {
        "macro_auc": sklearn_metrics.roc_auc_score(labels, probabilities, multi_class="ovr"),
        "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(labels, predicted),
        "quadratic_kappa": sklearn_metrics.cohen_kappa_score(labels, predicted, weights="quadratic"),
        "macro_f1": sklearn_metrics.f1_score(labels, predicted, average="macro"),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12)


def test_resampling_patients_widens_the_interval_of_repeated_cases():
    draw = np.random.default_rng(0)
    labels, probabilities = (
        np.repeat(draw.integers(2, size=30), 4),
        np.repeat(draw.dirichlet(np.ones(2), 30), 4, axis=0),
    )
    cases = with_intervals(labels, probabilities, [str(at) for at in range(120)], resamples=300)["accuracy"]
    patients = with_intervals(labels, probabilities, [str(at // 4) for at in range(120)], resamples=300)["accuracy"]
    assert cases.value == patients.value
    assert patients.high - patients.low > 1.5 * (cases.high - cases.low)


@pytest.mark.parametrize("classes", [2, 5])
def test_calibration_and_brier_are_those_of_torchmetrics(classes: int):
    draw = np.random.default_rng(classes)
    labels, probabilities = draw.integers(classes, size=300), draw.dirichlet(np.full(classes, 0.5), 300)
    found = classification_metrics(labels, probabilities)
    scores, truth = torch.tensor(probabilities), torch.tensor(labels)
    calibration = MulticlassCalibrationError(classes, n_bins=BINS, norm="l1")(scores, truth)
    assert found["expected_calibration_error"] == pytest.approx(float(calibration), abs=1e-6)
    brier = classes * MeanSquaredError()(scores, functional.one_hot(truth, classes).double())
    assert found["brier"] == pytest.approx(float(brier), abs=1e-6)


@pytest.mark.parametrize(("answer", "brier", "error"), [([0, 1, 2], 0, 0), ([1, 2, 0], 2, 1)])
def test_one_who_is_sure_is_calibrated_only_if_right(answer: list[int], brier: float, error: float):
    found = classification_metrics(np.array([0, 1, 2]), np.eye(3)[answer])
    assert (found["brier"], found["expected_calibration_error"]) == (brier, error)


def test_one_who_is_right_as_often_as_he_says_is_calibrated():
    labels = np.array([0, 0, 0, 1])
    found = classification_metrics(labels, np.tile([0.75, 0.25], (4, 1)))
    assert found["expected_calibration_error"] == pytest.approx(0)
    assert found["brier"] == pytest.approx(2 * 0.75 * 0.25)


@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_the_order_of_cases_does_not_matter_and_that_of_classes_only_to_grades(seed: int, classes: int):
    draw = np.random.default_rng(seed)
    labels, probabilities = draw.integers(classes, size=40), draw.dirichlet(np.ones(classes), 40)
    found = classification_metrics(labels, probabilities)
    order, names = draw.permutation(40), draw.permutation(classes)
    shuffled = classification_metrics(labels[order], probabilities[order])
    assert shuffled == pytest.approx(found, abs=1e-12, nan_ok=True)
    renamed = classification_metrics(np.argsort(names)[labels], probabilities[:, names])
    for metric in ("quadratic_kappa", *OF_TWO_CLASSES):
        found.pop(metric, None), renamed.pop(metric, None)
    assert renamed == pytest.approx(found, abs=1e-12, nan_ok=True)


def test_what_one_class_alone_cannot_tell_is_not_defined():
    labels, probabilities = np.zeros(4, dtype=int), np.tile([0.9, 0.1], (4, 1))
    found = classification_metrics(labels, probabilities)
    assert {name for name, value in found.items() if np.isnan(value)} == {
        "macro_auc",
        "quadratic_kappa",
        *OF_TWO_CLASSES,
    }
    intervals = with_intervals(labels, probabilities, list("abcd"), resamples=10)
    assert intervals["macro_auc"].to_dict() == {"value": None, "low": None, "high": None}
    assert intervals["accuracy"].to_dict() == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_no_cases_are_refused():
    with pytest.raises(ValueError, match=r"^there are no cases to measure\.$"):
        classification_metrics(np.zeros(0, dtype=int), np.zeros((0, 3)))


def test_intervals_follow_the_seed_and_hold_95_percent_of_the_resamples():
    draw = np.random.default_rng(0)
    labels, probabilities = draw.integers(2, size=50), draw.dirichlet(np.ones(2), 50)
    groups = [str(at) for at in range(50)]
    first, again, other = (with_intervals(labels, probabilities, groups, resamples=400, seed=s) for s in (0, 0, 1))
    assert first == again != other
    deviation = np.sqrt((rate := first["accuracy"].value) * (1 - rate) / 50)
    assert first["accuracy"].high - first["accuracy"].low == pytest.approx(2 * 1.96 * deviation, rel=0.15)


@given(seed=st.integers(0, 10**6), cases=st.integers(20, 60), confidence=st.floats(0.5, 0.99))
@settings(max_examples=20, deadline=None)
def test_the_interval_of_the_calibration_error_holds_it(seed: int, cases: int, confidence: float):
    draw = np.random.default_rng(seed)
    top = draw.uniform(0.5, confidence, cases) if confidence > 0.5 else np.full(cases, 0.5)
    labels = (draw.uniform(size=cases) > top).astype(np.int64)  # as often right as it says
    groups = [str(at) for at in range(cases)]
    error = with_intervals(labels, np.stack((top, 1 - top), axis=1), groups, resamples=200)[
        "expected_calibration_error"
    ]
    assert 0 <= error.low <= error.value <= error.high <= 1


@pytest.mark.parametrize("rounded", [1, 6], ids=["ties", "no ties"])
def test_metrics_of_several_classes_are_scikit_learns(rounded: int):
    draw = np.random.default_rng(rounded)
    truth = draw.random((60, 4)) < (0.5, 0.2, 0.05, 0.4)
    probabilities = (0.6 * draw.random((60, 4)) + 0.4 * truth * draw.random((60, 4))).round(rounded)
    found = multilabel_metrics(truth, probabilities)
    answers = probabilities >= 0.5
    expected = {
        "macro_auc": sklearn_metrics.roc_auc_score(truth, probabilities, average="macro"),
        "macro_average_precision": sklearn_metrics.average_precision_score(truth, probabilities, average="macro"),
        "macro_f1": sklearn_metrics.f1_score(truth, answers, average="macro", zero_division=0),
        "label_accuracy": 1 - sklearn_metrics.hamming_loss(truth, answers),
        "exact_match": sklearn_metrics.accuracy_score(truth, answers),
        "brier": np.mean([sklearn_metrics.brier_score_loss(truth[:, at], probabilities[:, at]) for at in range(4)]),
    }
    assert found == pytest.approx(expected)


def test_a_class_that_no_case_shows_is_left_out():
    truth = np.array([[True, False], [False, False]])
    found = multilabel_metrics(truth, np.array([[0.9, 0.2], [0.1, 0.6]]))
    assert (found["macro_auc"], found["macro_average_precision"], found["macro_f1"]) == (1.0, 1.0, 1.0)
    nothing = multilabel_metrics(np.zeros((2, 2), bool), np.full((2, 2), 0.1))
    assert np.isnan([nothing["macro_auc"], nothing["macro_average_precision"], nothing["macro_f1"]]).all()
    with pytest.raises(ValueError, match="no cases"):
        multilabel_metrics(np.zeros((0, 2), bool), np.zeros((0, 2)))
