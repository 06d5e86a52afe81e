"""DIR/bench.sqlite: the cells of a grid, who runs them, and their metrics.

Every change is one transaction, so that several runners share a folder, and a report can be made while they run.
"""

from __future__ import annotations

import functools
import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from acnorm.bench.cells import Cell, code_version
from acnorm.bench.made_of import line_of
from acnorm.data.atomic import replacing
from acnorm.data.split_file import write_assignment
from acnorm.errors import UserError
from acnorm.training.config import FinetuneConfig

FILE = "bench.sqlite"
ATTEMPTS = 2
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast as the one in Python
STATES = ("waiting", "running", "done", "failed")
_TABLES = """
CREATE TABLE IF NOT EXISTS cells (
    address TEXT PRIMARY KEY, state TEXT NOT NULL DEFAULT 'waiting', attempts INTEGER NOT NULL DEFAULT 0,
    owner TEXT, process TEXT, error TEXT, monitor TEXT, training_seconds REAL, seconds REAL, memory INTEGER,
    computed_on TEXT
);
CREATE TABLE IF NOT EXISTS grid (
    position INTEGER PRIMARY KEY, address TEXT NOT NULL, labels TEXT NOT NULL, ratio REAL NOT NULL,
    released_test INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS metrics (
    address TEXT NOT NULL, split TEXT NOT NULL, metric TEXT NOT NULL, value REAL,
    PRIMARY KEY (address, split, metric)
);
CREATE TABLE IF NOT EXISTS provenance (
    address TEXT PRIMARY KEY, data_sha256 TEXT, weights_sha256 TEXT, splits_sha256 TEXT, code TEXT
);
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS cells_by_state ON cells (state);
CREATE INDEX IF NOT EXISTS cells_by_memory ON cells (memory);
CREATE INDEX IF NOT EXISTS grid_by_address ON grid (address);
"""


@dataclass(frozen=True)
class Job:
    """A claimed cell: where its settings and its run are, and whether it was tried before."""

    address: str
    config: Path
    run: Path
    log: Path
    again: bool


@dataclass(frozen=True)
class Finished:
    """A finished or failed cell: its place in the grid, hashes of what it was made of, and the file of its settings."""

    labels: Mapping[str, Any]
    data: str
    weights: str | None
    splits: str
    settings: Path


class Store:
    """The file of one bench folder.

    Args:
        folder: made where it does not exist.

    Raises:
        UserError: the folder cannot be made, or holds another kind of file under that name.

    Examples:
        >>> import tempfile
        >>> store = Store(Path(tempfile.mkdtemp()))
        >>> store.counts()
        {'waiting': 0, 'running': 0, 'done': 0, 'failed': 0}
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._next: deque[tuple[Any, ...]] = deque()  # cells that could be claimed when they were last looked for
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.folder / FILE, timeout=60, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_TABLES)
            self._add_what_older_benches_lack()
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"--out {folder}: cannot be used ({error}); give another folder.") from None

    def _add_what_older_benches_lack(self) -> None:
        if self._tells_devices():
            return
        with self._change() as database:
            if not self._tells_devices():  # another process may have been faster
                database.execute("ALTER TABLE cells ADD COLUMN computed_on TEXT")

    def _tells_devices(self) -> bool:
        return "computed_on" in {row[1] for row in self._database.execute("PRAGMA table_info(cells)")}

    @classmethod
    def existing(cls, folder: Path) -> Store:
        """Open the store of a folder that has one.

        Raises:
            UserError: it has none.
        """
        if not (folder / FILE).is_file():
            raise UserError(f"{folder}: holds no bench (no {FILE}); give the --out of acnorm bench or acnorm compare.")
        return cls(folder)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def run_folder(self, address: str) -> Path:
        """The run folder of a cell."""
        return self.folder / "cells" / address[:16]

    def log_file(self, address: str) -> Path:
        """What the process of a cell printed."""
        return self.folder / "logs" / f"{address[:16]}.txt"

    def plan(
        self,
        cells: Sequence[Cell],
        about: Mapping[str, Any],
        *,
        keep: Callable[[Finished], bool] | None = None,
        again: bool = True,
    ) -> None:
        """Make these cells the grid: finished ones stay so, those that have failed are to be tried again.

        Args:
            cells: of the grid, in their order.
            about: what the report is to know, as plain values.
            keep: which finished and failed cells of other places stay in the grid, before these: it is run in parts.
            again: whether those of these cells that have failed are tried again.
        """
        self._next.clear()
        (self.folder / "configs").mkdir(exist_ok=True)
        for cell in sorted(cells, key=lambda cell: id(cell.config)):  # what cells of one configuration share is kept
            self._write_settings(cell, cell.address)
        addresses = [cell.address for cell in cells]
        with self._change() as database:
            database.executemany("INSERT OR IGNORE INTO cells (address) VALUES (?)", [(name,) for name in addresses])
            database.executemany(
                "INSERT OR REPLACE INTO provenance VALUES (?, ?, ?, ?, ?)",
                [
                    (address, cell.inputs.data, cell.inputs.weights, cell.division.sha256, code_version())
                    for cell, address in zip(cells, addresses, strict=True)
                ],
            )
            rows = [
                (address, json.dumps(dict(cell.labels)), cell.division.ratio, cell.division.released_test)
                for cell, address in zip(cells, addresses, strict=True)
            ]
            before = self._kept(database, keep, {_sorted(labels) for _, labels, _, _ in rows}) if keep else []
            database.execute("DELETE FROM grid")
            database.executemany(
                "INSERT INTO grid VALUES (?, ?, ?, ?, ?)", [(at, *row) for at, row in enumerate([*before, *rows])]
            )
            if again:
                database.executemany(
                    "UPDATE cells SET state = 'waiting', attempts = 0 WHERE state = 'failed' AND address = ?",
                    [(name,) for name in addresses],
                )
            database.executemany(
                "INSERT OR REPLACE INTO about VALUES (?, ?)",
                [(name, json.dumps(value)) for name, value in about.items()],
            )

    def _write_settings(self, cell: Cell, address: str) -> None:
        splits = self.folder / "splits" / f"{cell.division.sha256[:16]}.json"
        if not splits.is_file():
            write_assignment(splits, cell.division.assigned, cell.division.origin)
        own = {"splits": str(splits), "out": str(self.run_folder(address))}
        text, file = (
            f"{line_of(cell.inputs)}\n"
            + yaml.dump(own, Dumper=_DUMPER, allow_unicode=True)
            + _settings_text(cell.config, Path.cwd()),
            self.config_file(address),
        )
        if not file.is_file():
            file.write_text(text, encoding="utf-8")  # nobody reads it before the cell is in the table
        elif file.read_text(encoding="utf-8") != text:
            with replacing(file) as draft:
                draft.write_text(text, encoding="utf-8")

    def _kept(
        self, database: sqlite3.Connection, keep: Callable[[Finished], bool], other_than: set[str]
    ) -> list[tuple[Any, ...]]:
        rows = database.execute(
            "SELECT address, labels, ratio, released_test, data_sha256, weights_sha256, splits_sha256 "
            "FROM grid NATURAL JOIN cells NATURAL JOIN provenance WHERE state IN ('done', 'failed') ORDER BY position"
        ).fetchall()
        return [
            (address, labels, *figures)
            for address, labels, *figures, data, weights, splits in rows
            if _sorted(labels) not in other_than
            and keep(Finished(json.loads(labels), data, weights, splits, self.config_file(address)))
        ]

    def config_file(self, address: str) -> Path:
        """The settings of a cell."""
        return self.folder / "configs" / f"{address[:16]}.yaml"

    def claim(self, owner: str, alive: Callable[[str], bool]) -> Job | None:
        """Take the next cell of the grid that nobody runs, for this runner alone; None where there is none.

        Cells that were never tried come first. A cell of a runner that has died is free once its process has ended.

        Args:
            owner: name of this runner.
            alive: whether a runner or a process of that name still lives.
        """
        with self._change() as database:
            while self._next or self._look_for_free(alive):
                address, attempts, *seen = self._next.popleft()
                taken = database.execute(  # unless another runner has been faster
                    "UPDATE cells SET state = 'running', owner = ?, process = NULL WHERE address = ? AND attempts = ? "
                    "AND state = ? AND owner IS ? AND process IS ? AND address IN (SELECT address FROM grid)",
                    (owner, address, attempts, *seen),
                )
                if taken.rowcount:
                    files = self.config_file(address), self.run_folder(address), self.log_file(address)
                    return Job(address, *files, again=attempts > 0)
        return None

    def _look_for_free(self, alive: Callable[[str], bool]) -> bool:
        """Find the cells that may be claimed, all at once; whether there are any."""
        rows = self._database.execute(
            "SELECT address, attempts, state, owner, process FROM cells NATURAL JOIN grid "
            "WHERE state IN ('waiting', 'running') GROUP BY address ORDER BY attempts, min(position)"
        )
        self._next.extend(
            row for row in rows if row[2] == "waiting" or not any(name is not None and alive(name) for name in row[3:])
        )
        return bool(self._next)

    def orphaned(self, alive: Callable[[str], bool]) -> bool:
        """Whether a cell's process goes on after its runner has died."""
        rows = self._database.execute("SELECT owner, process FROM cells NATURAL JOIN grid WHERE state = 'running'")
        return any(
            process is not None and alive(process) and (owner is None or not alive(owner)) for owner, process in rows
        )

    def left_to_others(self, alive: Callable[[str], bool]) -> set[str]:
        """Addresses of the cells that are not finished, where another runner is at them; none where nobody runs any.

        Args:
            alive: whether a runner of that name still lives.
        """
        rows = self._database.execute(
            "SELECT address, state, owner FROM cells NATURAL JOIN grid WHERE state IN ('waiting', 'running')"
        ).fetchall()
        busy = any(state == "running" and owner is not None and alive(owner) for _, state, owner in rows)
        return {address for address, _, _ in rows} if busy else set()

    def started(self, address: str, process: str) -> None:
        """Note the process of a claimed cell."""
        with self._change() as database:
            database.execute("UPDATE cells SET process = ? WHERE address = ?", (process, address))

    def finish(self, address: str, metrics: Mapping[str, Any], *, seconds: float | None, memory: int | None) -> None:
        """Note a finished cell.

        Args:
            address: of the cell.
            metrics: the content of its metrics.json.
            seconds: that its process took; None where it had finished before.
            memory: largest resident memory of its process, bytes.
        """
        found = [
            (address, split, name, value["value"])
            for split, result in metrics["splits"].items()
            for name, value in result["metrics"].items()
        ]
        with self._change() as database:
            database.execute(
                "UPDATE cells SET state = 'done', owner = NULL, process = NULL, error = NULL, monitor = ?, "
                "training_seconds = ?, computed_on = ?, seconds = coalesce(?, seconds), memory = coalesce(?, memory) "
                "WHERE address = ?",
                (metrics["monitor"], metrics["seconds"], metrics.get("computed_on"), seconds, memory, address),
            )
            database.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?)", found)

    def fail(self, address: str, error: str, *, memory: int | None) -> bool:
        """Note a failed attempt, and return whether the cell is to be tried again."""
        with self._change() as database:
            database.execute(
                "UPDATE cells SET attempts = attempts + 1, owner = NULL, process = NULL, error = ?, "
                "memory = coalesce(?, memory), state = CASE WHEN attempts + 1 < ? THEN 'waiting' ELSE 'failed' END "
                "WHERE address = ?",
                (error, memory, ATTEMPTS, address),
            )
            (state,) = database.execute("SELECT state FROM cells WHERE address = ?", (address,)).fetchone()
        return bool(state == "waiting")

    def release(self, address: str) -> None:
        """Give a claimed cell back, as one that was interrupted."""
        self._next.clear()  # it may come before those
        with self._change() as database:
            database.execute(
                "UPDATE cells SET state = 'waiting', owner = NULL, process = NULL "
                "WHERE address = ? AND state = 'running'",
                (address,),
            )

    def counts(self) -> dict[str, int]:
        """The number of the grid's cells in each state; two places of the grid may share a cell."""
        rows = self._database.execute("SELECT state, count(*) FROM cells NATURAL JOIN grid GROUP BY state")
        return dict.fromkeys(STATES, 0) | dict(rows.fetchall())

    def largest_memory(self) -> int:
        """The largest memory that a cell of the grid has taken so far, bytes; 0 where none has run."""
        row = self._database.execute(
            "SELECT memory FROM cells WHERE memory IS NOT NULL AND address IN (SELECT address FROM grid) "
            "ORDER BY memory DESC LIMIT 1"
        ).fetchone()
        return 0 if row is None else int(row[0])

    def progress(self) -> list[tuple[dict[str, Any], dict[str, int], float | None]]:
        """The grid, seeds, folds and trials put together: labels, cells in each state, and mean seconds of a cell."""
        rows = self._database.execute(
            "SELECT json_remove(labels, '$.seed', '$.fold', '$.trial') AS place, state, count(*), sum(seconds), "
            "count(seconds) "
            "FROM grid NATURAL JOIN cells GROUP BY place, state ORDER BY min(position)"
        )
        places: dict[str, tuple[dict[str, int], list[float]]] = {}
        for place, state, count, seconds, timed in rows:
            states, sums = places.setdefault(place, (dict.fromkeys(STATES, 0), [0.0, 0.0]))
            states[state] = count
            sums[:] = sums[0] + (seconds or 0), sums[1] + timed
        return [
            (json.loads(place), states, sums[0] / sums[1] if sums[1] else None)
            for place, (states, sums) in places.items()
        ]

    def about(self) -> dict[str, Any]:
        """What ``plan`` was told of the grid."""
        return {name: json.loads(value) for name, value in self._database.execute("SELECT name, value FROM about")}

    def table(self, split: str = "test") -> pd.DataFrame:
        """One row a place of the grid, in order: its labels, its state, its costs and the metrics of one split.

        Labels have the prefix "label_", metrics "metric_".
        """
        cells = pd.read_sql_query(
            "SELECT position, address, labels, ratio, released_test, state, attempts, error, monitor, "
            "training_seconds, seconds, memory, computed_on, data_sha256, weights_sha256, splits_sha256, code "
            "FROM grid NATURAL JOIN cells NATURAL LEFT JOIN provenance ORDER BY position",
            self._database,
        )
        metrics = pd.read_sql_query(
            "SELECT DISTINCT address, metric, value FROM metrics NATURAL JOIN grid WHERE split = ?",
            self._database,
            params=(split,),
        )
        labels = pd.DataFrame([json.loads(text) for text in cells.pop("labels")], index=cells.index)
        cells = cells.join(labels.add_prefix("label_"))
        if metrics.empty:
            return cells
        wide = metrics.pivot(index="address", columns="metric", values="value").add_prefix("metric_")
        return cells.join(wide, on="address")


def _sorted(labels: str) -> str:
    return json.dumps(json.loads(labels), sort_keys=True)


@functools.lru_cache(maxsize=8)  # folds and fractions share their configuration
def _settings_text(config: FinetuneConfig, here: Path) -> str:
    settings = config.to_dict()
    for name in ("data", "weights"):
        if settings[name] is not None and Path(settings[name]).exists():
            settings[name] = str(here / settings[name])
    shared = {name: value for name, value in settings.items() if name not in ("splits", "out")}
    return str(yaml.dump(shared, Dumper=_DUMPER, sort_keys=False, allow_unicode=True))
