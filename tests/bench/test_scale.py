"""A thousand cells cost a thousand times what one costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from acnorm.bench.runner import Runner
from acnorm.bench.store import Job, Store
from bench_tools import FakeProcess, grid, succeed

METHODS, FOLDS = 2, 5


class Counted:
    """Runs a grid of cells that do nothing, and counts the steps of SQLite's machine while they run."""

    def __init__(self, folder: Path, seeds: int) -> None:
        folder.mkdir()
        self.store = Store(folder / "bench")
        self.cells = grid(folder, seeds=tuple(range(seeds)), folds=FOLDS).cells()
        self.store.plan(self.cells, {"compare": "method", "baseline": "vanilla", "metric": None})
        self.started: list[str] = []
        self.steps = 0
        self.store._database.set_progress_handler(self._step, 10)
        Runner(self.store, self._launch).run()
        self.store._database.set_progress_handler(None, 10)

    def _step(self) -> None:
        self.steps += 1

    def _launch(self, job: Job, resume: bool) -> FakeProcess:
        assert not resume
        self.started.append(job.address)
        return FakeProcess(lambda: succeed(job))


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    return Counted(tmp_path_factory.mktemp("scale") / "many", seeds=100)


def test_a_thousand_cells_run_once_each_in_their_order(thousand: Counted):
    assert len(thousand.started) == 100 * METHODS * FOLDS == 1000
    assert thousand.started == [cell.address for cell in thousand.cells]
    assert thousand.store.counts() == {"waiting": 0, "running": 0, "done": 1000, "failed": 0}
    table = thousand.store.table()
    assert table["metric_macro_auc"].tolist() == [0.8] * 1000
    assert table["label_seed"].tolist() == [cell.labels["seed"] for cell in thousand.cells]


def test_the_bookkeeping_of_a_cell_does_not_grow_with_the_grid(thousand: Counted, tmp_path: Path):
    few = Counted(tmp_path / "few", seeds=10)
    assert thousand.steps / 1000 < 1.5 * few.steps / 100


def test_progress_is_what_the_table_tells(thousand: Counted):
    table = thousand.store.table()
    told = {place["method"]: (states, seconds) for place, states, seconds in thousand.store.progress()}
    for method, rows in table.groupby("label_method", sort=False):
        states, seconds = told.pop(method)
        assert states == {"waiting": 0, "running": 0, "done": len(rows), "failed": 0}
        assert seconds == pytest.approx(rows["seconds"].mean())
    assert not told
