"""What ``acnorm bench`` and ``acnorm compare`` share: the table while cells run, a look ahead, and the end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acnorm.cli.tables import table
from acnorm.errors import RunError, UserError

if TYPE_CHECKING:
    import pandas as pd

    from acnorm.bench.grid import Grid
    from acnorm.bench.run import Opens
    from acnorm.bench.store import Store

ENGINES = ("local", "ray")
_OWN = ("address", "state", "seconds", "memory")


def add_flags(parser: Any) -> None:
    """Add the flags of both verbs."""
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="folder of the bench; gone on with")
    parser.add_argument("--jobs", type=int, help="runs at a time (1; with Ray, twice what the cluster has room for)")
    parser.add_argument("--threads", type=int, help="of each run (the cores, shared out; with Ray, 1)")
    parser.add_argument(
        "--engine", choices=ENGINES, default="local", help="this machine (local), or a Ray cluster (ray)"
    )
    parser.add_argument("--address", help="of the Ray cluster (auto: the one that this machine is part of)")
    parser.add_argument("--gpus-per-cell", type=float, help="with Ray: of each run, such as 0.25 (0)")
    parser.add_argument("--dry-run", action="store_true", help="print the runs, their time and memory; run nothing")


def run(grid: Grid, options: Any, command: str) -> int:
    """Run a grid, or say what would be run, and print what came out.

    Raises:
        RunError: cells failed; the report tells which, and why.
    """
    from acnorm.bench.run import foreseen, run_bench

    engine, jobs = _engine(options), 1 if options.jobs is None else options.jobs
    if options.dry_run:
        print(ahead(foreseen(grid.cells(), options.out), jobs, grid.search or 1))
        return 0
    with Progress() as progress:
        store = run_bench(
            grid,
            options.out,
            jobs=jobs,
            threads=options.threads,
            command=command,
            told=progress.show,
            engine=engine,
        )
    counts = store.counts()
    store.close()
    finish(options.out)
    if counts["running"]:
        print(f"{counts['running']} cells are being run by another process: acnorm bench status {options.out}")
    if counts["failed"]:
        raise RunError(
            f"{counts['failed']} of {sum(counts.values())} cells failed twice; {options.out / 'report.html'} tells "
            f"which, {options.out / 'logs'} what they said. The same command tries them again."
        )
    return 0


def _engine(options: Any) -> Opens | None:
    """The engine that the flags ask for; None for this machine."""
    if options.engine == "local":
        for name in ("address", "gpus_per_cell"):
            if getattr(options, name) is not None:
                raise UserError(f"--{name.replace('_', '-')}: is for --engine ray; give that too, or leave it out.")
        return None
    from acnorm.bench.engine_ray import RayCluster

    return RayCluster(
        address=options.address or "auto",
        cpus=options.threads or 1,
        gpus=options.gpus_per_cell or 0.0,
        jobs=options.jobs,
    ).open


def finish(out: Path) -> None:
    """Write the report and print the tables."""
    from acnorm.report.bench import write_bench_report

    page = write_bench_report(out)
    print((out / "results.md").read_text(encoding="utf-8"))
    print(f"report: {page}")
    sys.stdout.flush()


def ahead(cells: pd.DataFrame, jobs: int, trials: int = 1) -> str:
    """Return the table of ``--dry-run``; with several trials of settings, each cell stands for as many runs.

    Examples:
        >>> import pandas as pd
        >>> row = {"method": "vanilla", "seed": 0, "address": "ab" * 32, "state": "waiting", "seconds": 90.0}
        >>> print(ahead(pd.DataFrame([row | {"memory": 2.0**30}]), jobs=1))
        method   seed  state    time  memory
        vanilla  0     waiting  90 s  1.0 GiB
        <BLANKLINE>
        1 cells, 1 to run: about 2 min, up to 1.0 GiB of memory.
    """
    labels = [name for name in cells.columns if name not in _OWN]
    rows = [[*labels, "state", "time", "memory"]]
    for _, cell in cells.iterrows():
        place = ["none" if cell[name] is None else str(cell[name]) for name in labels]
        rows.append([*place, cell["state"], _time(cell["seconds"]), _memory(cell["memory"])])
    left = cells[cells["state"] != "done"].drop_duplicates("address")
    told = f"{len(cells)} cells, {len(left)} to run"
    if trials > 1:
        told = f"{len(cells)} cells, each the best of {trials} trials: {trials * len(cells)} runs in all"
        left = cells
    seconds, memory = trials * left["seconds"].sum() / jobs, left["memory"].max() * jobs
    if not len(left):
        return f"{table(rows)}\n\n{told}."
    if left["seconds"].isna().all():
        return f"{table(rows)}\n\n{told}; time and memory are not known before the first is finished."
    return f"{table(rows)}\n\n{told}: about {max(1, round(seconds / 60))} min, up to {_memory(memory)} of memory."


def _time(seconds: float) -> str:
    return "?" if seconds != seconds else f"{seconds:.0f} s"


def _memory(size: float) -> str:
    return "?" if size != size else f"{size / 2**30:.1f} GiB"


def status(store: Store) -> str:
    """Return the table of what has been run so far: a row for each place of the grid, seeds and folds together."""
    cells = store.table()
    if cells.empty:
        return "no cells"
    labels = [
        name
        for name in cells.columns
        if name.startswith("label_")
        and name not in ("label_seed", "label_fold", "label_trial")
        and (name == f"label_{store.about().get('compare')}" or cells[name].map(str).nunique() > 1)
    ]
    rows = [[*(name.removeprefix("label_") for name in labels), "done", "running", "waiting", "failed", "time a run"]]
    for _, group in cells.groupby([cells[name].map(str) for name in labels], sort=False):
        counts = group["state"].value_counts()
        place = [str(group[name].iloc[0]) for name in labels]
        numbers = [str(counts.get(state, 0)) for state in ("done", "running", "waiting", "failed")]
        rows.append([*place, *numbers, _time(float(group["seconds"].astype(float).mean()))])
    return table(rows)


class Progress:
    """The table while cells run: live in a terminal, a line for each change elsewhere."""

    def __init__(self) -> None:
        self._live: Any = None
        self._before: dict[str, int] = {}

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, store: Store) -> None:
        """Show what has changed."""
        counts = store.counts()
        if counts == self._before:
            return
        self._before = counts
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text(status(store)))
            return
        told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        sys.stderr.write(f"acnorm: {told}\n")
