from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from acnorm.bench import cells
from acnorm.bench.grid import Grid
from acnorm.bench.parts import still_of
from acnorm.bench.store import Store
from bench_tools import base, grid, result
from tiny_runs import eyes

ABOUT = {"compare": "method", "baseline": "vanilla"}


def run_part(store: Store, whole: Grid, *only: str) -> list[tuple[Any, ...]]:
    """Run a part of a grid, and return what the report is then of."""
    part = whole.selected(only)
    asked = part.cells()
    store.plan(asked, ABOUT, keep=still_of(part))
    for cell in asked:
        store.finish(cell.address, result(0.7), seconds=1.0, memory=1)
    table = store.table()
    return list(zip(table["label_method"], table["label_seed"], strict=True))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "bench")


def test_parts_of_one_grid_are_reported_together(tmp_path: Path, store: Store):
    whole = grid(tmp_path, seeds=(0, 1))
    assert run_part(store, whole, "method=vanilla") == [("vanilla", 0), ("vanilla", 1)]
    both = [("vanilla", 0), ("vanilla", 1), ("bn-only", 0), ("bn-only", 1)]
    assert run_part(store, whole, "method=bn-only") == both
    assert run_part(store, grid(tmp_path, seeds=(0, 1, 2), base=base(tmp_path, workers=2)), "seed=2")[:4] == both


@pytest.mark.parametrize("changes", [{"epochs": 3}, {"image_size": 20}])
def test_runs_of_other_settings_are_left_out(tmp_path: Path, store: Store, changes: dict[str, Any]):
    run_part(store, grid(tmp_path), "method=vanilla")
    assert run_part(store, grid(tmp_path, base=base(tmp_path, **changes)), "method=bn-only") == [("bn-only", 0)]


def test_runs_of_other_data_or_divisions_are_left_out(tmp_path: Path, store: Store):
    run_part(store, grid(tmp_path), "method=vanilla")
    assert run_part(store, grid(tmp_path, folds=2), "method=bn-only") == [("bn-only", 0)] * 2
    run_part(store, grid(tmp_path), "method=vanilla")
    moved = tmp_path / "other"
    moved.mkdir()
    eyes(moved / "eyes.npz", seed=1)
    changed = grid(tmp_path, base=base(tmp_path, data=str(moved / "eyes.npz")))
    assert run_part(store, changed, "method=bn-only") == [("bn-only", 0)]


def test_runs_of_another_network_are_left_out(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    (folder / "mine.py").write_text("width = 4\n")
    own = grid(tmp_path, base=base(tmp_path, model="mine:net"))
    run_part(store, own, "method=vanilla")
    assert run_part(store, own, "method=vanilla") == [("vanilla", 0)]
    assert run_part(store, own, "method=bn-only") == [("vanilla", 0), ("bn-only", 0)]
    (folder / "mine.py").write_text("width = 8\n")
    assert run_part(store, own, "method=bn-only") == [("bn-only", 0)]


def test_places_that_the_grid_no_longer_has_are_left_out(tmp_path: Path, store: Store):
    run_part(store, grid(tmp_path, axes={"method": ["vanilla", "l2"]}), "method=vanilla,l2")
    assert run_part(store, grid(tmp_path), "method=bn-only") == [("vanilla", 0), ("bn-only", 0)]


def test_where_data_are_gone_settings_decide(tmp_path: Path, store: Store):
    tasks = {"near": {}, "far": {"data": str(tmp_path / "far.npz")}}
    settings = {name: value for name, value in base(tmp_path).items() if name != "data"}
    tasks["near"] = {"data": str(tmp_path / "eyes.npz")}
    eyes(tmp_path / "far.npz", seed=1)
    run_part(store, grid(tmp_path, base=settings, tasks=tasks), "task=far")
    (tmp_path / "far.npz").unlink()
    cells._read_data.cache_clear()
    assert len(run_part(store, grid(tmp_path, base=settings, tasks=tasks), "task=near")) == 4
    changed = grid(tmp_path, base=settings | {"epochs": 3}, tasks=tasks)
    assert len(run_part(store, changed, "task=near")) == 2
