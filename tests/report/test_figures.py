"""The figures say what the arrays say, also where the arrays are awkward."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from acnorm.report import figures
from acnorm.report.records import Metric


def words(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return ["".join(node.itertext()).strip() for node in root.iter() if node.tag.endswith("}text")]


def shares(labels: list[int], classes: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    scores = random.random((len(labels), classes)) + 0.8 * np.eye(classes)[labels]
    return scores / scores.sum(axis=1, keepdims=True)


def test_class_counts_are_written_beside_the_bars() -> None:
    told = words(figures.class_counts({"train": [3, 41], "test": [0, 0]}, ["no", "yes"]))
    assert {"train: 44 cases", "test: 0 cases", "3", "41", "no", "yes"} <= set(told)


def test_learning_curves_mark_the_epoch_that_was_kept() -> None:
    history = pd.DataFrame(
        {"epoch": [1, 2, 3], "train_loss": [1.0, 0.5, np.inf], "val_loss": [1.0, np.nan, 0.6], "val_macro_auc": 0.7}
    )
    told = words(figures.learning_curves(history, best_epoch=2))
    assert {"training", "validation", "macro AUC", "epoch kept: 2"} <= set(told)
    assert "epoch kept: 2" not in words(figures.learning_curves(history, best_epoch=None))


def test_one_epoch_is_enough() -> None:
    assert "training" in words(figures.learning_curves(pd.DataFrame({"epoch": [1], "train_loss": [0.5]}), 1))


def test_intervals_leave_out_what_is_undefined() -> None:
    rows = {"val": {"A": Metric(0.5, 0.4, 0.6), "B": Metric(None)}, "test": {"A": Metric(0.5)}}
    assert {"val", "test", "A", "B"} <= set(words(figures.intervals(rows, ["A", "B"])))


@pytest.mark.parametrize("metrics", [1, 4, 5, 9])
def test_intervals_take_any_number_of_metrics(metrics: int) -> None:
    names = [f"metric {index}" for index in range(metrics)]
    told = words(figures.intervals({"test": dict.fromkeys(names, Metric(0.5, 0.4, 0.6))}, names))
    assert set(names) <= set(told)


def test_confusion_counts_cases_and_shares_of_rows() -> None:
    told = words(figures.confusion(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), ["no", "yes", "never"]))
    assert {"Share of the true class (%)", "2", "67", "33", "100"} <= set(told)
    assert told.count("0") == 12  # six in each matrix, three of them in the row of the class without cases


def test_confusion_of_many_classes_has_no_numbers() -> None:
    labels = np.arange(30)
    assert "100" not in words(figures.confusion(labels, labels, [f"c{index}" for index in range(30)]))


def shown(labels: list[int], classes: int) -> np.ndarray:
    return np.array(labels)[:, None] == np.arange(classes)


def test_discrimination_names_area_and_precision() -> None:
    labels = np.array([0, 0, 1, 1])
    perfect = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    assert "yes: AUC 1.000, AP 1.000" in words(figures.discrimination(labels[:, None] == 1, perfect[:, 1:], ["yes"]))


def test_a_class_without_cases_has_no_curve() -> None:
    labels = [0, 1, 0, 1, 0, 1]
    told = words(figures.discrimination(shown(labels, 3), shares(labels, 3), ["no", "yes", "never"]))
    assert sum("AUC" in word for word in told) == 2
    assert not any("never" in word for word in told)


def test_one_class_alone_has_no_curve_at_all() -> None:
    told = words(figures.discrimination(shown([0] * 4, 2), shares([0] * 4, 2), ["no", "yes"]))
    assert not any("AUC" in word for word in told)


@pytest.mark.parametrize("labels", [[0, 1, 2, 1], [0, 0], [1]])
def test_calibration_of_any_number_of_cases(labels: list[int]) -> None:
    given = shares(labels, 3)
    right, confidence = given.argmax(axis=1) == labels, given.max(axis=1)
    assert {"Reliability (ECE 0.250)", "right", "wrong"} <= set(words(figures.calibration(right, confidence, 0.25)))
    found = words(figures.calibration(right, confidence, None, ("there", "not there")))
    assert {"Reliability", "there", "not there"} <= set(found)


def test_calibration_bears_rounding_and_answers_all_right_or_all_wrong() -> None:
    for right in (True, False):
        assert "cases" in words(figures.calibration(np.array([right] * 2), np.array([1 + 1e-9, 1.0]), None))
