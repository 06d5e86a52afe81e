"""The cells of a grid, a few at a time on this machine; what fails does not stop the rest."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from acnorm.bench.engine import Launch, Outcome, Running
from acnorm.bench.processes import free_memory, is_alive, process_name
from acnorm.bench.store import Job, Store

PAUSE = 0.05  # seconds between two looks at what runs, when nothing has happened for some time


def threads_for(jobs: int) -> int:
    """Return the threads of each of several processes that share this machine.

    Examples:
        >>> threads_for(10_000)
        1
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // jobs)


class Runner:
    """Runs what a store's grid still lacks.

    A finished cell is left alone, an interrupted one goes on, a failed one is tried once more from its beginning and
    then given up. A further process is started only while there is memory for the largest that was seen. On an
    interrupt the processes are ended, and the same command goes on later.

    Args:
        store: of the bench folder; other runners may share it.
        launch: starts a cell.
        jobs: cells at a time.
        told: called after every change, with the address of the cell.
        free: bytes of memory left; None where it is not known.
        idle: called now and then while nothing changes.

    Examples:
        >>> import tempfile
        >>> from acnorm.bench.forks import local
        >>> with local(threads=1) as launch:
        ...     Runner(Store(Path(tempfile.mkdtemp())), launch).run()
    """

    def __init__(
        self,
        store: Store,
        launch: Launch,
        *,
        jobs: int = 1,
        told: Callable[[str], None] = lambda _: None,
        free: Callable[[], int | None] = free_memory,
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        self.store, self.launch, self.jobs, self.told, self.free, self.idle = store, launch, jobs, told, free, idle
        self._name = process_name(os.getpid())
        self._running: dict[str, tuple[Job, Running, float]] = {}

    def run(self) -> None:
        """Run until no cell is left that nobody else runs."""
        pause = 0.0
        try:
            while True:
                ended, more = self._settle_ended(), self._start_more()
                if not self._running and not more and not self.store.orphaned(is_alive):
                    return
                if ended or more:
                    pause = 0.0
                    continue
                self.idle()
                pause = min(PAUSE, 2 * pause + 0.001)
                time.sleep(pause)
        finally:
            self._give_up()

    def _start_more(self) -> bool:
        """Start one cell, if there is room and one to start; whether there was."""
        if len(self._running) >= self.jobs or not self._has_memory():
            return False
        job = self.store.claim(self._name, is_alive)
        if job is None:
            return False
        if self._finished(job.run):
            self._finish(job, self._metrics(job.run), None, None)
            return True
        resume = not job.again and (job.run / "config.yaml").is_file()
        if not resume and job.run.exists():
            shutil.rmtree(job.run)
        try:
            process = self.launch(job, resume)
        except BaseException:
            self.store.release(job.address)
            raise
        self._running[job.address] = (job, process, time.perf_counter())
        self.store.started(job.address, process.name)
        self.told(job.address)
        return True

    def _has_memory(self) -> bool:
        """Whether another cell fits, once those that run have grown as large as the largest that was seen."""
        free = self.free() if self._running else None
        if free is None:
            return True
        largest = self.store.largest_memory()
        growth = sum(max(0, largest - process.memory()) for _, process, _ in self._running.values())
        return free - growth >= largest

    def _settle_ended(self) -> bool:
        """Note those that have ended; whether there were any."""
        before = len(self._running)
        for address, (job, process, start) in list(self._running.items()):
            outcome = process.poll()
            if outcome is not None:
                del self._running[address]
                self._settle(job, outcome, time.perf_counter() - start)
        return len(self._running) < before

    def _settle(self, job: Job, outcome: Outcome, seconds: float) -> None:
        metrics = outcome.metrics
        if outcome.code == 0 and metrics is None and self._finished(job.run):
            metrics = self._metrics(job.run)
        if outcome.code != 0 or metrics is None:
            self.store.fail(job.address, outcome.words, memory=outcome.memory)
            self.told(job.address)
        else:
            self._finish(job, metrics, seconds if outcome.seconds is None else outcome.seconds, outcome.memory)

    def _finish(self, job: Job, metrics: Mapping[str, Any], seconds: float | None, memory: int | None) -> None:
        self.store.finish(job.address, metrics, seconds=seconds, memory=memory)
        self.told(job.address)

    @staticmethod
    def _metrics(run: Path) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        return content

    @staticmethod
    def _finished(run: Path) -> bool:
        return (run / "metrics.json").is_file()

    def _give_up(self) -> None:
        for _, process, _ in self._running.values():
            process.ask_to_end()
        for address, (_, process, _) in self._running.items():
            process.wait()
            self.store.release(address)
        self._running.clear()
