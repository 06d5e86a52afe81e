"""What ``acnorm bench`` and ``acnorm compare`` share: their flags, a look ahead, the table of states, and the end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acnorm.bench.durations import in_words
from acnorm.cli.tables import table
from acnorm.errors import RunError, UserError, counted

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
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the runs, and the time and memory that they are expected to take; keep nothing",
    )


def run(grid: Grid, options: Any, command: str) -> int:
    """Run a grid, or say what would be run, and print what came out.

    Raises:
        RunError: cells failed; the report tells which, and why.
    """
    from acnorm.bench.run import refuse_counts, refuse_other_files, run_bench
    from acnorm.cli.progress import Progress

    refuse_counts(options.jobs, options.threads)
    engine, jobs = _engine(options), 1 if options.jobs is None else options.jobs
    if options.dry_run:
        refuse_other_files(options.out)
        print(_look_ahead(grid, options, jobs))
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
        running = counted(counts["running"], "cell is", "cells are")
        print(f"{running} being run by another process: acnorm bench status {options.out}")
    if counts["failed"]:
        raise RunError(
            f"{counts['failed']} of {counted(sum(counts.values()), 'cell')} failed twice; "
            f"{options.out / 'report.html'} tells which, {options.out / 'logs'} what they said. "
            "The command that asked for them tries them again."
        )
    return 0


def _look_ahead(grid: Grid, options: Any, jobs: int) -> str:
    """What would be run and what it would take, by what is finished or by pilot runs."""
    from contextlib import closing
    from tempfile import TemporaryDirectory

    import pandas as pd

    from acnorm.bench.foresight import finished, foreseen
    from acnorm.bench.forks import local
    from acnorm.bench.pilot import PATIENCE, pilots_for, run_pilots
    from acnorm.bench.run import terminated_as_interrupted
    from acnorm.bench.runner import threads_for
    from acnorm.bench.search import check_search
    from acnorm.bench.store import Store
    from acnorm.cli.progress import Progress

    if grid.search is not None:
        check_search()
    cells, known = grid.cells(), finished(options.out)
    pilots = pilots_for(cells, known) if options.engine == "local" else []
    if not pilots:
        return ahead(foreseen(cells, known), jobs, grid.search or 1)
    sys.stderr.write(
        f"acnorm: {len(pilots)} pilot runs of one epoch, to know what the grid will take; nothing of them is kept. "
        f"Ctrl-C ends them, and so do {in_words(PATIENCE)}.\n"
    )
    with (
        terminated_as_interrupted(),
        TemporaryDirectory(prefix="acnorm-pilots-") as folder,
        closing(Store(Path(folder))) as store,
        Progress() as progress,
        local(options.threads or threads_for(jobs)) as launch,
    ):
        found = run_pilots(pilots, store, launch, jobs=jobs, told=progress.show)
    rows = foreseen(cells, pd.concat([known, found.known], ignore_index=True))
    told = f"Told by {len(found.known)} of {found.planned} pilot runs of one epoch."
    if len(found.known) + len(found.failed) < found.planned:
        told += " The others had not finished; what they would have told is taken to be as in these."
    failed = [f"A pilot run failed: {words}" for words in found.failed]
    return "\n".join([ahead(rows, jobs, grid.search or 1), told, *failed])


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
        1 cell, 1 to run: about 2 min, up to 1.0 GiB of memory.
    """
    labels = [name for name in cells.columns if name not in _OWN]
    rows = [[*labels, "state", "time", "memory"]]
    for _, cell in cells.iterrows():
        place = [_shown(cell[name]) for name in labels]
        rows.append([*place, cell["state"], _time(cell["seconds"]), _memory(cell["memory"])])
    left = cells[cells["state"] != "done"].drop_duplicates("address")
    told = f"{counted(len(cells), 'cell')}, {len(left)} to run"
    if trials > 1:
        told = f"{counted(len(cells), 'cell')}, each the best of {trials} trials: {trials * len(cells)} runs in all"
        left = cells
    seconds, memory = trials * left["seconds"].sum() / jobs, left["memory"].max() * jobs
    if not len(left):
        return f"{table(rows)}\n\n{told}."
    if left["seconds"].isna().all():
        return f"{table(rows)}\n\n{told}; time and memory are not known before the first is finished."
    about = in_words(60 * max(1, round(seconds / 60)))
    return f"{table(rows)}\n\n{told}: about {about}, up to {_memory(memory)} of memory."


def _time(seconds: float) -> str:
    return "?" if seconds != seconds else f"{seconds:.0f} s"


def _memory(size: float) -> str:
    return "?" if size != size else f"{size / 2**30:.1f} GiB"


def status(store: Store) -> str:
    """Return the table of what has been run so far: a row for each place of the grid, seeds and folds together."""
    rows = status_rows(store)
    return table(rows) if len(rows) > 1 else "no cells"


def status_rows(store: Store, most: int | None = None) -> list[list[str]]:
    """Return the rows of the table of what has been run so far, its head first.

    Args:
        store: of the bench.
        most: rows below the head; those with running cells come first where there are more.
    """
    places = store.progress()
    compared = store.about().get("compare")
    values = {name: {str(place.get(name)) for place, _, _ in places} for name in (places[0][0] if places else ())}
    labels = [name for name in values if name == compared or len(values[name]) > 1]
    left_out = 0
    if most is not None and len(places) > most:
        left_out = len(places) - most
        places = sorted(places, key=lambda place: not place[1]["running"])[:most]
    rows = [[*labels, "done", "running", "waiting", "failed", "time a run"]]
    for place, states, seconds in places:
        numbers = [str(states[state]) for state in ("done", "running", "waiting", "failed")]
        shown = [_shown(place.get(name)) for name in labels]
        rows.append([*shown, *numbers, _time(float("nan") if seconds is None else seconds)])
    if left_out:
        rows.append([f"… and {left_out} more"] + [""] * (len(rows[0]) - 1))
    return rows


def _shown(value: Any) -> str:
    from acnorm.bench.words import in_digits

    return "none" if value is None else in_digits(value) if isinstance(value, float) else str(value)
