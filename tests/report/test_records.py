"""Metrics as text, and the rows of a split."""

from __future__ import annotations

from pathlib import Path

import pytest

import run_folders
from acnorm.report.read import read_run
from acnorm.report.records import Metric


@pytest.mark.parametrize(
    ("metric", "interval"),
    [
        (Metric(0.5), ""),
        (Metric(0.5, 0.25, 0.75), "[0.250, 0.750]"),
        (Metric(None, 0.25, 0.75), ""),
    ],
)
def test_an_interval_needs_a_value_and_both_ends(metric: Metric, interval: str) -> None:
    assert metric.interval == interval


def test_a_split_without_cases_is_none(tmp_path: Path) -> None:
    run = read_run(run_folders.write_run(tmp_path, cases=10))
    assert run.split_cases("train") is None


def test_class_names_come_from_the_data_where_there_are_no_results(tmp_path: Path) -> None:
    assert read_run(run_folders.write_run(tmp_path, cases=10, skip=["metrics.json"])).classes == run_folders.GRADES
