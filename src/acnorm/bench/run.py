"""A grid from plan to finished cells, as ``acnorm bench`` and ``acnorm compare`` run it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType

from acnorm.bench.cells import Cell, code_version
from acnorm.bench.engine import Engine, Launch
from acnorm.bench.forks import local
from acnorm.bench.grid import Grid
from acnorm.bench.parts import still_of
from acnorm.bench.processes import free_memory, is_alive
from acnorm.bench.runner import Runner, threads_for
from acnorm.bench.search import as_plain, check_search, search
from acnorm.bench.store import FILE, Store
from acnorm.errors import UserError, counted

Told = Callable[[Store], None]
Opens = Callable[[Path, Sequence[Cell]], AbstractContextManager[Engine]]


def run_bench(
    grid: Grid,
    out: Path,
    *,
    jobs: int = 1,
    threads: int | None = None,
    command: str = "",
    told: Told = lambda _: None,
    launch: Launch | None = None,
    engine: Opens | None = None,
) -> Store:
    """Run what is not finished of a grid and return the store, which holds what failed as well.

    Args:
        grid: of runs.
        out: folder of the bench; that of an earlier one is gone on with.
        jobs: cells at a time.
        threads: of each; the cores of the machine shared out where not given.
        command: that makes the bench again, for the report.
        told: called after each change, and now and then between.
        launch: starts a cell; a process on this machine where not given.
        engine: gives another engine for the folder and its cells, such as ``RayCluster(…).open``, which then decides on
            jobs, threads and launch.

    Raises:
        UserError: the grid cannot be run as it is, or the folder cannot be used.

    Examples:
        >>> run_bench(Grid(base={}, axes={"method": ["vanilla", "acnorm"]}), Path("nowhere"), jobs=0)
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: --jobs is 0, must be 1 or more.
    """
    refuse_counts(jobs, threads)
    if grid.search is not None:
        check_search()
    cells = grid.cells()
    refuse_other_files(out)
    here = _here(launch, jobs, threads or threads_for(jobs))
    with here if engine is None else engine(out, cells) as where, terminated_as_interrupted():
        store = Store(out)
        if grid.search is None:
            _refuse_to_take_away(store, cells, out)
        about = {"compare": grid.compare, "baseline": grid.baseline, "metric": grid.metric, "search": None}
        about |= {"command": command, "code": code_version(), "searching": grid.search is not None}

        def run(chosen: Sequence[Cell], again: bool = True) -> None:
            store.plan(chosen, about, keep=still_of(grid) if grid.only else None, again=again)
            told(store)
            Runner(
                store,
                where.launch,
                jobs=where.jobs,
                told=lambda _: told(store),
                free=where.free,
                idle=lambda: told(store),
            ).run()

        if grid.search is not None:
            about["search"] = as_plain(grid.search, [])
            cells, choices = search(cells, grid.search, grid.metric, store, run)
            about |= {"search": as_plain(grid.search, choices), "searching": False}
        run(cells, again=grid.search is None)
    return store


def refuse_counts(jobs: int | None, threads: int | None) -> None:
    """Refuse numbers of cells at a time, and of their threads, that cannot be.

    Examples:
        >>> refuse_counts(jobs=2, threads=None)
    """
    for name, value in (("jobs", jobs), ("threads", threads)):
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}, must be 1 or more.")


@contextmanager
def _here(launch: Launch | None, jobs: int, threads: int) -> Iterator[Engine]:
    """Cells on this machine."""
    with local(threads) if launch is None else nullcontext(launch) as start:
        yield Engine(start, jobs, free_memory)


def refuse_other_files(out: Path) -> None:
    """Refuse a folder that holds something, but no bench.

    Examples:
        >>> refuse_other_files(Path("nowhere"))
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; give a folder.")
    if out.is_dir() and any(out.iterdir()) and not (out / FILE).is_file():
        raise UserError(f"--out {out}: holds files but no bench (no {FILE}); give another folder.")


def _refuse_to_take_away(store: Store, cells: Sequence[Cell], out: Path) -> None:
    """Refuse to make cells the grid while another command runs a grid that has others."""
    left_out = store.left_to_others(is_alive) - {cell.address for cell in cells}
    if left_out:
        store.close()
        raise UserError(
            f"--out {out}: another command is at work there, of which this one would leave out "
            f"{counted(len(left_out), 'cell')}; wait for its end, or give another folder."
        )


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Take being asked to terminate for an interrupt, which ends the cells.

    Examples:
        >>> with terminated_as_interrupted():
        ...     pass
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
