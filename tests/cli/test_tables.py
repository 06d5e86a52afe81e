"""Tables for the terminal: every metric of every run, in columns."""

from __future__ import annotations

from typing import Any

import pytest

from acnorm.cli.tables import TITLES, metrics_table, table
from acnorm.training.metrics import METRICS


def run(shift: float = 0.0, resampled: str = "patients", names: tuple[str, ...] = METRICS) -> dict[str, Any]:
    def metrics(start: float) -> dict[str, Any]:
        values = {name: start + at / 100 + shift for at, name in enumerate(names)}
        return {name: {"value": value, "low": value - 0.1, "high": value + 0.1} for name, value in values.items()}

    splits = {"test": {"metrics": metrics(0.5)}, "val": {"metrics": metrics(0.7)}}
    return {"resampled": resampled, "splits": splits}


def test_every_metric_has_a_title():
    assert list(TITLES) == list(METRICS)


def test_each_metric_is_a_row_and_each_run_a_column():
    lines = metrics_table({"first": run(), "second": run(0.2)}).splitlines()
    assert len(lines) == 1 + len(METRICS)
    assert lines[0].split()[-2:] == ["first", "second"]
    for at, (line, title) in enumerate(zip(lines[1:], TITLES.values(), strict=True)):
        first, second = 0.5 + at / 100, 0.7 + at / 100
        assert line.startswith(title)
        assert f"{first:.3f} [{first - 0.1:.3f}, {first + 0.1:.3f}]  " in line
        assert line.endswith(f"{second:.3f} [{second - 0.1:.3f}, {second + 0.1:.3f}]")


def test_the_split_asked_for_is_shown():
    assert "0.700 [0.600, 0.800]" in metrics_table({"run": run()}, "val")
    assert "0.700 [0.600, 0.800]" not in metrics_table({"run": run()})


@pytest.mark.parametrize(
    ("resampled", "told"), [("patients", "over patients)"), ("cases", "over cases, patients unknown)")]
)
def test_the_header_says_what_was_resampled(resampled: str, told: str):
    header = metrics_table({"run": run(resampled=resampled)}).splitlines()[0]
    assert header.split("  ")[0] == f"test (95 % intervals {told}"


def test_a_metric_that_is_not_defined_is_said_and_one_that_no_run_has_is_left_out():
    odd = run(names=("macro_auc", "accuracy"))
    odd["splits"]["test"]["metrics"]["macro_auc"] = {"value": None, "low": None, "high": None}
    lines = metrics_table({"odd": odd, "other": run(names=("accuracy", "brier"))}).splitlines()
    cells = {line.split("  ")[0]: line for line in lines[1:]}
    assert list(cells) == ["macro AUC", "accuracy", "Brier"]
    assert cells["macro AUC"].count("not defined") == 2
    assert "not defined" not in cells["accuracy"]
    assert cells["Brier"].split()[1:3] == ["not", "defined"]
    assert cells["Brier"].endswith("0.510 [0.410, 0.610]")


def test_columns_begin_at_the_same_place_and_lines_end_without_blanks():
    rows = [["name", "a", "value"], ["long name", "", "1"], ["x", "yy", ""]]
    lines = table(rows).splitlines()
    assert all(line == line.rstrip() for line in lines)
    starts = [len("long name") + 2, len("long name") + 2 + 2 + 2]
    for row, line in zip(rows, lines, strict=True):
        assert [line.ljust(40)[start:].startswith(cell) for start, cell in zip(starts, row[1:], strict=True)] == [
            True,
            True,
        ]
