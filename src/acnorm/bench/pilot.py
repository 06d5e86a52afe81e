"""Pilot runs: a few cells of a grid, each cut to one epoch, that tell what the whole grid will take.

One cell is the reference; for each value of each axis that may change the cost there is one more, as like the reference
as can be. A grid of six tasks, nine methods and two fractions so takes 15 pilots for 108 kinds of runs.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from acnorm.bench.cells import Cell, deciding
from acnorm.bench.engine import Launch
from acnorm.bench.foresight import REPEATED
from acnorm.bench.runner import Runner
from acnorm.bench.store import Store
from acnorm.training.config import FinetuneConfig
from acnorm.training.run_folder import RunFolder

FREE = ("seed", "optimizer", "learning_rate", "weight_decay", "momentum", "epochs")  # of the cost of an epoch
PATIENCE = 300.0  # seconds after which no more is waited for


@dataclass(frozen=True)
class Pilots:
    """What pilot runs came to.

    Args:
        known: rows for ``foreseen``: the labels of each, and the seconds and bytes of the whole run as expected.
        planned: how many there were to be.
        failed: what those said that failed.
    """

    known: pd.DataFrame
    planned: int
    failed: tuple[str, ...]


class _EnoughError(Exception):
    """The time is over."""


def pilots_for(cells: Sequence[Cell], known: pd.DataFrame) -> list[Cell]:
    """Return the cells that a look ahead lacks: one for each value of an axis that nothing known has.

    Args:
        cells: of a grid.
        known: rows of ``Store.table`` of what has finished; may be empty.

    Examples:
        >>> pilots_for([], pd.DataFrame())
        []
    """
    if not cells:
        return []
    axes = [name for name in cells[0].labels if name not in REPEATED]
    measured = known[known["seconds"].notna()] if "seconds" in known else known
    seen = {(name, str(value)) for name in axes for value in measured.get(f"label_{name}", ())}
    done = set(measured.get("address", ()))
    costs = {_cost(cell) for cell in {str(cell.config): cell for cell in cells if cell.address in done}.values()}
    reference, chosen = cells[0].labels, list[Cell]()
    values = [[(name, value) for value in dict.fromkeys(str(cell.labels.get(name)) for cell in cells)] for name in axes]
    # one of each axis in turn: those that come last may not have finished in time
    for name, value in filter(None, chain.from_iterable(zip_longest(*values))):
        if (name, value) in seen:
            continue
        having = [cell for cell in cells if str(cell.labels.get(name)) == value]
        best = max(having, key=lambda cell: sum(cell.labels.get(axis) == reference.get(axis) for axis in axes))
        cost = _cost(best)
        if cost not in costs:
            seen |= {(axis, str(best.labels.get(axis))) for axis in axes} if not costs else set()
            costs.add(cost)
            chosen.append(best)
    return chosen


def _cost(cell: Cell) -> str:
    """What decides how long an epoch takes: neither rates nor weights, but whether a method has source weights."""
    settings = {name: value for name, value in deciding(cell.config).items() if name not in FREE}
    sizes = sorted(cell.division.assigned.values())
    return json.dumps([settings, cell.inputs.data, cell.inputs.weights is None, sizes], sort_keys=True)


def run_pilots(
    pilots: Sequence[Cell],
    store: Store,
    launch: Launch,
    *,
    jobs: int,
    told: Callable[[Store], None] = lambda _: None,
    patience: float = PATIENCE,
) -> Pilots:
    """Run pilots, as many at a time as the grid would; an interrupt ends them.

    The seconds of a whole run are those of the pilot and of as many further epochs as it lacks. Where it would stop
    early, it takes less.

    Args:
        pilots: cells of a grid.
        store: of a folder that is theirs alone.
        launch: starts one.
        jobs: at a time.
        told: called with the store, now and then.
        patience: seconds after which those that are not finished are given up.

    Examples:
        >>> import tempfile
        >>> from acnorm.bench.forks import local
        >>> with local(threads=1) as launch:
        ...     run_pilots([], Store(Path(tempfile.mkdtemp())), launch, jobs=1).planned
        0
    """
    cut = [_cut(cell) for cell in pilots]
    store.plan(cut, {})
    end = time.monotonic() + patience

    def look(_: Any = None) -> None:
        told(store)
        if time.monotonic() > end:
            raise _EnoughError

    with suppress(_EnoughError, KeyboardInterrupt):
        Runner(store, launch, jobs=jobs, told=look, idle=look).run()
    table = store.table()
    failed = tuple(map(str, table.loc[table["state"] == "failed", "error"]))
    done = table[table["state"] == "done"].drop_duplicates("address")
    if len(done):
        lacking = done["address"].map(
            {one.address: cell.config.epochs - 1 for one, cell in zip(cut, pilots, strict=True)}
        )
        epoch = done["address"].map(lambda address: _epoch_seconds(store.run_folder(address)))
        done = done.assign(seconds=done["seconds"] + lacking * epoch, address="pilot")  # none of them is a cell's run
    return Pilots(done, len(pilots), failed)


def _cut(cell: Cell) -> Cell:
    """The cell for one epoch, where methods that change from epoch to epoch cost what plain fine-tuning does."""
    changing = cell.config.make_method().one_process
    method = "vanilla" if changing else cell.config.method
    return replace(cell, config=replace(cell.config, epochs=1, method=method, tracker=FinetuneConfig.tracker))


def _epoch_seconds(run: Path) -> float:
    with RunFolder(run).history.open(newline="", encoding="utf-8") as content:
        return float(next(csv.DictReader(content))["seconds"])
