"""What a bench of many cells costs beside their work: planning, bookkeeping and reading back, with cells of no work.

    python benchmarks/bench_scale.py --cells 100000 --result benchmarks/results/bench_scale.md

Every cell has its settings file, its claim, its metrics.json and its rows in bench.sqlite, as in a real bench; only the
process that trains is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acnorm.bench.engine import Launch, Outcome
from acnorm.bench.grid import Grid
from acnorm.bench.results import results_of
from acnorm.bench.runner import Runner
from acnorm.bench.store import Job, Store
from acnorm.cli.benching import status
from acnorm.cli.progress import Progress
from acnorm.data.phantoms import fundus_phantoms

METHODS = ("vanilla", "acnorm", "bn-only", "bss", "l2sp")
FOLDS = 5


class Nothing:
    """A cell that has ended as soon as it is looked at."""

    name = "1:never"

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def poll(self) -> Outcome:
        return self._outcome

    def memory(self) -> int:
        return 2**28

    def ask_to_end(self) -> None:
        pass

    def wait(self) -> None:
        pass


def nothing(metrics: Callable[[int], dict[str, Any]]) -> Launch:
    """Starts cells that leave what a run leaves for the runner, and do nothing."""
    started = iter(range(sys.maxsize))

    def launch(job: Job, resume: bool) -> Nothing:  # noqa: ARG001
        job.run.mkdir(parents=True)
        (job.run / "metrics.json").write_text(json.dumps(metrics(next(started))))
        return Nothing(Outcome(0, 2**28, ""))

    return launch


def metrics_of(number: int) -> dict[str, Any]:
    """A metrics.json of two splits with six metrics each."""
    names = ("macro_auc", "accuracy", "f1", "brier", "kappa", "ece")
    values = {name: {"value": ((number * 7919) % 1000) / 1000, "low": None, "high": None} for name in names}
    return {
        "monitor": "val_macro_auc",
        "seconds": 1.0,
        "splits": {split: {"metrics": values} for split in ("val", "test")},
    }


def grid_of(cells: int, folder: Path) -> Grid:
    """About as many cells: methods and learning rates, seeds and folds."""
    data = fundus_phantoms(folder / "eyes.npz", domain="target", cases=200, size=16, seed=0, task="disc_side")
    seeds = 20 if cells >= 100 * FOLDS * len(METHODS) else 2
    rates = max(1, round(cells / (len(METHODS) * FOLDS * seeds)))
    return Grid(
        base={"data": str(data), "model": "cifar/resnet20", "epochs": 1},
        axes={"method": list(METHODS), "learning_rate": [0.001 + 0.001 * number for number in range(rates)]},
        seeds=tuple(range(seeds)),
        folds=FOLDS,
    )


def measured(cells: int, folder: Path) -> tuple[int, dict[str, tuple[float, float]]]:
    """Return the number of cells, and of each part the seconds that passed and those that it computed."""
    parts: dict[str, tuple[float, float]] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        start, worked = time.perf_counter(), time.process_time()
        yield
        parts[name] = time.perf_counter() - start, time.process_time() - worked
        print(f"{name}: {parts[name][0]:.1f} s", file=sys.stderr)

    grid = grid_of(cells, folder)
    with timed("making the cells"):
        made = grid.cells()
    store = Store(folder / "bench")
    with timed("planning"):
        store.plan(made, {"compare": grid.compare, "baseline": grid.baseline, "metric": grid.metric})
    with timed("running"), Progress() as progress:
        Runner(store, nothing(metrics_of), told=lambda _: progress.show(store)).run()
    assert store.counts()["done"] == len(made)
    with timed("planning again"):
        store.plan(made, {"compare": grid.compare, "baseline": grid.baseline, "metric": grid.metric})
    with timed("status"):
        status(store)
    with timed("reading the table"):
        table = store.table()
    assert len(table) == len(made)
    with timed("comparing"):
        results_of(store)
    return len(made), parts


def page_of(cells: int, parts: dict[str, tuple[float, float]]) -> str:
    """The result as a table."""
    rows = [
        f"| {name} | {passed:.1f} | {1000 * passed / cells:.2f} | {1000 * computed / cells:.2f} |"
        for name, (passed, computed) in parts.items()
    ]
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return "\n".join(
        [
            "# What a bench costs beside its work",
            "",
            f"    python benchmarks/bench_scale.py --cells {cells}",
            "",
            f"- {os.cpu_count()} cores of {processor}, one of them used; Python {platform.python_version()}; "
            f"load average at the end {os.getloadavg()[0]:.1f}",
            f"- {cells} cells that do nothing; planning again is what the same command does when it goes on",
            "",
            "| part | seconds | ms a cell | of these, computing |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--result", type=Path, help="Markdown file for the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = page_of(*measured(options.cells, Path(folder)))
    print(page)
    if options.result is not None:
        options.result.write_text(page)


if __name__ == "__main__":
    main()
