"""Grids of tiny cells, and processes that are none: what a cell leaves behind, without training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from acnorm.bench.engine import Outcome
from acnorm.bench.grid import Grid
from acnorm.bench.store import Job, Store
from tiny_runs import NETWORK, eyes

MEBIBYTE = 2**20


def base(folder: Path, **changes: Any) -> dict[str, Any]:
    """Settings of a tiny run on phantoms in the folder, whose test set comes with the data."""
    if not (folder / "eyes.npz").is_file():
        eyes(folder / "eyes.npz")
    usual = {"data": str(folder / "eyes.npz"), "model": NETWORK, "epochs": 1, "batch_size": 8, "bootstrap": 20}
    return usual | {"accelerator": "cpu", "devices": "1"} | changes


def grid(folder: Path, /, **changes: Any) -> Grid:
    """Two methods, both without a checkpoint."""
    return Grid(**{"base": base(folder), "axes": {"method": ["vanilla", "bn-only"]}} | changes)


def planned(folder: Path, /, **changes: Any) -> Store:
    """A store with the cells of ``grid``."""
    store = Store(folder / "bench")
    made = grid(folder, **changes)
    store.plan(made.cells(), {"compare": made.compare, "baseline": made.baseline, "metric": made.metric})
    return store


def result(value: float, *, seconds: float = 10.0) -> dict[str, Any]:
    """A metrics.json."""
    metrics = {"macro_auc": {"value": value, "low": None, "high": None}, "brier": {"value": None}}
    splits = {split: {"metrics": metrics} for split in ("val", "test")}
    return {"monitor": "val_macro_auc", "seconds": seconds, "splits": splits}


def settings_of(job: Job) -> dict[str, Any]:
    """What the cell was asked to run."""
    return yaml.safe_load(job.config.read_text())


class FakeProcess:
    """Ends at the ``looks``-th look, and has done what ``work`` does by then."""

    name = "1:never"

    def __init__(self, work: Callable[[], Outcome], looks: int = 1, memory: int = 0) -> None:
        self._work, self._looks, self._memory, self.stopped = work, looks, memory, False

    def poll(self) -> Outcome | None:
        self._looks -= 1
        return self._work() if self._looks <= 0 else None

    def memory(self) -> int:
        return self._memory

    def ask_to_end(self) -> None:
        self.stopped = True

    def wait(self) -> None:
        assert self.stopped


def succeed(job: Job, value: float = 0.8, *, memory: int = 100 * MEBIBYTE) -> Outcome:
    """Leave a finished run."""
    job.run.mkdir(parents=True, exist_ok=True)
    (job.run / "metrics.json").write_text(json.dumps(result(value)))
    (job.run / "metrics.csv").write_text("epoch,seconds\n0,60.0\n")
    return Outcome(0, memory, "")


def fail(job: Job, words: str = "it broke") -> Outcome:
    """Leave a run that failed on its way."""
    job.run.mkdir(parents=True, exist_ok=True)
    (job.run / "config.yaml").write_text("half: done\n")
    return Outcome(1, None, words)
