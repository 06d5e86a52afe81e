"""What several runs share, and what sets them apart."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import run_folders
from acnorm.report import comparison
from acnorm.report.read import read_run
from acnorm.report.records import Metric, Run


def runs(folder: Path, *names: str) -> list[Run]:
    return [read_run(run_folders.write_run(folder / name, cases=10, seed=seed)) for seed, name in enumerate(names)]


def test_names_are_as_long_as_it_takes(tmp_path: Path) -> None:
    assert comparison.run_names(runs(tmp_path, "x/a", "x/b")) == ["a", "b"]
    assert comparison.run_names(runs(tmp_path, "x/a", "y/a")) == ["x/a", "y/a"]


def test_one_folder_twice_has_no_two_names(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, "a")
    with pytest.raises(ValueError, match="two runs are the same folder"):
        comparison.run_names([run, run])


def test_settings_that_differ(tmp_path: Path) -> None:
    assert comparison.differing_settings(runs(tmp_path, "a", "b")) == {"seed": [0, 1]}


def test_the_best_is_the_lowest_where_less_is_better() -> None:
    values = [Metric(0.2), Metric(0.1), Metric(None), None]
    assert comparison.best_rows("accuracy", values) == [True, False, False, False]
    assert comparison.best_rows("expected_calibration_error", values) == [False, True, False, False]
    assert comparison.best_rows("accuracy", values[1:]) == [False] * 3


def test_runs_tested_on_other_cases_are_told_apart(tmp_path: Path) -> None:
    same = runs(tmp_path, "a", "b")
    other = read_run(run_folders.write_run(tmp_path / "c", cases=12))
    unknown = read_run(run_folders.write_run(tmp_path / "d", skip=["per_case.csv"]))
    assert comparison.same_test_cases(same) is True
    assert comparison.same_test_cases([*same, other]) is False
    assert comparison.same_test_cases([*same, unknown]) is None
    assert comparison.same_test_cases([*same, unknown, other]) is False
    told = comparison.cautions([same[0], other], ["a", "c"])
    assert told[0] == "The runs were not tested on the same cases: their test figures cannot be compared."


def test_what_holds_for_all_runs_is_said_once(tmp_path: Path) -> None:
    first = read_run(run_folders.write_run(tmp_path / "a", patients=False))
    second = read_run(run_folders.write_run(tmp_path / "b", patients=False))
    run_folders.change_json(tmp_path / "b/load_report.json", norm_share=0.5)
    second = read_run(tmp_path / "b")
    assert comparison.cautions([first, second], ["a", "b"]) == [
        "Patients are unknown: intervals are over cases, and too narrow if patients have several images.",
        "b: Only 50% of the norm layers came from the checkpoint.",
    ]


def test_all_runs_are_named_under_the_curves() -> None:
    histories = {f"run {index}": pd.DataFrame({"epoch": [1, 2], "val_loss": [1, 0.5]}) for index in range(9)}
    svg = comparison.overlaid_curves(histories)
    assert all(name in svg for name in histories)
