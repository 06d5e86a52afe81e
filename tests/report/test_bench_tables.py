from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from acnorm.bench.over_tasks import Against, OverTasks
from acnorm.bench.results import Block, Comparison, Level, Results
from acnorm.bench.statistics import Difference
from acnorm.report.bench_tables import block_table, ranks_table, tables_of

MEAN = Difference(0.8, 0.75, 0.85)
LEVELS = (Level("vanilla", 5, MEAN, 10.0, 2**30), Level("bss", 4, MEAN, 12.34, None))
ITEM = Comparison("bss", 4, Difference(0.03, -0.01, 0.07, 0.02), None, 0.04, (3, 0, 1), 34, 1.2)


def block(item: Comparison = ITEM, metric: str = "dice") -> Block:
    return Block("eyes", "eyes", 1.0, metric, False, LEVELS, (item,), task="eyes")


def over(**changes: object) -> OverTasks:
    against = (Against("bss", 4, Difference(0.02, 0.01, 0.03), None, None, (3, 0, 1)),)
    made = OverTasks(("vanilla", "bss"), ("a", "b", "c"), ("d",), ("dice",), ranks=(1.75, 1.25), against=against)
    return replace(made, **changes)


def test_a_row_for_each_with_all_that_is_known():
    table = block_table(block(), "method")
    assert table.head == (
        "method", "runs", "Mean Dice", "difference", "p (Holm)", "better / equal / worse", "runs needed", "seconds",
    )  # fmt: skip
    assert table.rows == (
        ("vanilla", "5", "0.800 [0.750, 0.850]", "baseline", "", "", "", "10.0"),
        ("bss", "4", "0.800 [0.750, 0.850]", "+0.030 [-0.010, +0.070]", "0.040", "3 / 0 / 1", "34", "12.3"),
    )


@pytest.mark.parametrize(
    ("needed", "metric", "told"), [(None, "dice", "none"), (0, "dice", "–"), (12, "dice", "12"), (12, "hd95", "–")]
)
def test_runs_needed(needed: int | None, metric: str, told: str):
    assert block_table(block(replace(ITEM, needed=needed), metric), "method").rows[1][6] == told


def test_what_has_no_pair_says_nothing():
    row = block_table(block(replace(ITEM, runs=0)), "method").rows[1]
    assert row[3:7] == ("–", "–", "–", "–")


def test_what_columns_mean_is_told_once():
    results = Results((block(), block()), pd.DataFrame({"state": []}), {}, "vanilla", {"compare": "method"})
    first, second = tables_of(results, None)["blocks"]
    assert (
        "Better / equal / worse: runs that were better, equal and worse than the same run of the baseline" in first.note
    )
    assert second.note == "Means over runs with 95 % intervals."
    assert block_table(block(metric="hd95"), "method").note.endswith("Less is better.")


def test_ranks_are_sorted_and_say_of_how_many_tasks():
    table = ranks_table(over(), "method", "vanilla")
    assert table.rows == (
        ("bss", "1.25", "+0.020 [+0.010, +0.030]", "3 / 0 / 1", "–", "–"),
        ("vanilla", "1.75", "baseline", "", "", ""),
    )
    assert table.note.startswith("Ranks over 3 of 4 tasks, 1 is best; differences from vanilla")


def test_pairs_are_told_also_where_no_task_has_ranks():
    unranked = over(tasks=(), ranks=(), left_out=("a", "b", "c", "d"))
    results = Results((), pd.DataFrame({"state": []}), {}, "vanilla", {})
    (table,) = tables_of(results, unranked)["ranks"]
    assert [row[1] for row in table.rows] == ["–", "–"]
    assert tables_of(results, replace(unranked, against=()))["ranks"] == []
