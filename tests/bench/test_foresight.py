from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acnorm.bench.foresight import effects, finished, foreseen
from bench_tools import grid

COSTS = st.lists(st.floats(0.1, 100), min_size=3, max_size=3)


@given(tasks=COSTS, methods=COSTS, fractions=COSTS)
def test_costs_that_multiply_are_found_from_one_change_at_a_time(
    tasks: list[float], methods: list[float], fractions: list[float]
):
    every = [(t, m, f) for t in range(3) for m in range(3) for f in range(3)]
    seen = [place for place in every if sum(value > 0 for value in place) < 2]
    costs = {(t, m, f): tasks[t] * methods[m] * fractions[f] for t, m, f in every}
    found = effects(labels(seen), pd.Series([costs[place] for place in seen]), labels(every))
    np.testing.assert_allclose(found, list(costs.values()), rtol=1e-6)


def labels(places: list[tuple[int, int, int]]) -> pd.DataFrame:
    return pd.DataFrame(places, columns=["task", "method", "fraction"]).map(str)


def test_a_value_that_was_not_measured_changes_nothing():
    seen = pd.DataFrame({"task": ["a", "b"], "source": ["x", "x"]})
    asked = pd.DataFrame({"task": ["a", "a", "c"], "source": ["x", "y", "x"]})
    assert effects(seen, pd.Series([1.0, 100.0]), asked).tolist() == pytest.approx([1, 1, 10])
    assert effects(seen[:0], pd.Series([], dtype=float), asked).isna().all()


def test_like_cells_take_the_mean_and_others_are_fitted(tmp_path: Path):
    cells = grid(tmp_path, seeds=(0, 1, 2)).cells()
    known = pd.DataFrame(
        [
            {"address": cell.address, "state": "done", "seconds": seconds, "memory": 2.0}
            | {f"label_{name}": value for name, value in cell.labels.items()}
            for cell, seconds in zip(
                [cell for cell in cells if cell.labels["method"] == "vanilla"], (10, 30), strict=False
            )
        ]
    )
    rows = foreseen(cells, known)
    vanilla = rows["method"] == "vanilla"
    assert rows.loc[vanilla, "seconds"].tolist() == [20, 20, 20]
    assert rows.loc[~vanilla, "seconds"].tolist() == pytest.approx([300**0.5] * 3)  # nothing is known of the method
    assert rows["state"].tolist().count("done") == 2
    assert rows["memory"].tolist() == pytest.approx([2] * 6)


def test_looking_writes_nothing(tmp_path: Path):
    assert finished(tmp_path).empty
    assert os.listdir(tmp_path) == []
