from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from acnorm.bench.engine import Outcome
from acnorm.bench.processes import is_alive, process_name
from acnorm.bench.runner import Runner
from acnorm.bench.store import Job, Store
from bench_tools import MEBIBYTE, FakeProcess, fail, planned, settings_of, succeed

DEAD = f"{os.getpid()}:0"  # this number, but another start


class Launcher:
    """Remembers what was started, and lets ``work`` decide what comes of it."""

    def __init__(self, work: Callable[[Job], Outcome], looks: int = 1, memory: int = 0) -> None:
        self.work, self.looks, self.memory = work, looks, memory
        self.started: list[tuple[Job, bool]] = []
        self.processes: list[FakeProcess] = []
        self.at_once = 0
        self._open = 0

    def __call__(self, job: Job, resume: bool) -> FakeProcess:
        def work() -> Outcome:
            self._open -= 1
            return self.work(job)

        self.started.append((job, resume))
        self._open += 1
        self.at_once = max(self.at_once, self._open)
        self.processes.append(FakeProcess(work, self.looks, self.memory))
        return self.processes[-1]


def test_every_cell_runs_once_and_a_second_command_runs_none(tmp_path: Path):
    store, launcher = planned(tmp_path, seeds=(0, 1)), Launcher(succeed)
    told: list[str] = []
    Runner(store, launcher, told=told.append).run()
    assert store.counts() == {"waiting": 0, "running": 0, "done": 4, "failed": 0}
    assert len(launcher.started) == 4
    assert told == [job.address for job, _ in launcher.started for _ in range(2)]  # when it starts, and when it ends
    assert not any(resume for _, resume in launcher.started)
    table = store.table()
    assert table["metric_macro_auc"].tolist() == [0.8] * 4
    assert table["memory"].tolist() == [100 * MEBIBYTE] * 4
    Runner(planned(tmp_path, seeds=(0, 1)), launcher).run()
    assert len(launcher.started) == 4


def test_a_failed_cell_is_tried_again_from_its_beginning_and_stops_nothing(tmp_path: Path):
    def work(job: Job) -> Outcome:
        if settings_of(job)["method"] == "vanilla":
            return fail(job, "the loss is not finite at epoch 1.")
        return succeed(job)

    store, launcher = planned(tmp_path, seeds=(0, 1)), Launcher(work)
    Runner(store, launcher).run()
    assert store.counts() == {"waiting": 0, "running": 0, "done": 2, "failed": 2}
    assert len(launcher.started) == 6
    assert not any(resume for _, resume in launcher.started)
    table = store.table()
    assert set(table.loc[table["state"] == "failed", "error"]) == {"the loss is not finite at epoch 1."}
    assert set(table.loc[table["state"] == "failed", "label_method"]) == {"vanilla"}


def test_what_works_the_second_time_is_done(tmp_path: Path):
    tried: set[str] = set()

    def work(job: Job) -> Outcome:
        if job.address in tried:
            assert not (job.run / "config.yaml").exists()  # nothing is left of the first attempt
            return succeed(job)
        tried.add(job.address)
        return fail(job)

    store = planned(tmp_path)
    Runner(store, Launcher(work)).run()
    assert store.counts()["done"] == 2


def test_success_without_metrics_is_a_failure(tmp_path: Path):
    store = planned(tmp_path)
    Runner(store, Launcher(lambda _: Outcome(0, None, "said nothing"))).run()
    assert store.counts()["failed"] == 2


def test_an_interrupt_ends_the_processes_and_the_same_command_goes_on(tmp_path: Path):
    def interrupted(job: Job) -> Outcome:
        fail(job)  # it had begun
        raise KeyboardInterrupt

    store, launcher = planned(tmp_path, seeds=(0, 1)), Launcher(interrupted, looks=3)
    with pytest.raises(KeyboardInterrupt):
        Runner(store, launcher, jobs=2).run()
    assert all(process.stopped for process in launcher.processes[1:])
    assert store.counts()["failed"] == 0
    assert store.counts()["running"] <= 1
    later = Launcher(succeed)
    Runner(planned(tmp_path, seeds=(0, 1)), later).run()
    assert store.counts()["done"] == 4
    resumed = {job.address for job, resume in later.started if resume}
    assert resumed == {launcher.started[0][0].address}


def test_a_run_that_had_finished_is_not_run_again(tmp_path: Path):
    store, launcher = planned(tmp_path), Launcher(succeed)
    job = store.claim(DEAD, lambda _: False)
    succeed(job, 0.7)
    Runner(store, launcher).run()
    assert len(launcher.started) == 1
    assert store.table()["metric_macro_auc"].tolist() == [0.7, 0.8]


def test_jobs_run_at_once(tmp_path: Path):
    store = planned(tmp_path, seeds=(0, 1, 2))
    launcher = Launcher(succeed, looks=4)
    Runner(store, launcher, jobs=3).run()
    assert launcher.at_once == 3
    assert store.counts()["done"] == 6


@pytest.mark.parametrize(
    ("free", "held", "at_once"),
    [
        (250, 100, 2),  # the largest fits beside one that has grown
        (250, 0, 2),  # 100 is still to come of the other, and 150 are left
        (150, 0, 1),  # 50 are left
        (90, 100, 1),
        (None, 0, 2),  # the system does not tell
    ],
)
def test_another_cell_waits_for_memory(tmp_path: Path, free: int | None, held: int, at_once: int):
    store = planned(tmp_path, seeds=(0, 1, 2))
    first = store.claim(DEAD, lambda _: False)
    store.finish(
        first.address,
        {"monitor": "val_macro_auc", "seconds": 1.0, "splits": {}},
        seconds=1.0,
        memory=100 * MEBIBYTE,
    )
    launcher = Launcher(succeed, looks=3, memory=held * MEBIBYTE)
    Runner(store, launcher, jobs=2, free=lambda: None if free is None else free * MEBIBYTE).run()
    assert launcher.at_once == at_once
    assert store.counts()["done"] == 6


def test_cells_of_another_runner_are_left_to_it(tmp_path: Path):
    store = planned(tmp_path)
    other = Store(tmp_path / "bench").claim(process_name(os.getppid()), lambda _: True)
    launcher = Launcher(succeed)
    Runner(store, launcher).run()
    assert [job.address for job, _ in launcher.started] != [other.address]
    assert store.counts() == {"waiting": 0, "running": 1, "done": 1, "failed": 0}


def test_a_process_that_outlived_its_runner_is_waited_for(tmp_path: Path):
    store = planned(tmp_path)
    job = store.claim(DEAD, lambda _: False)
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"])
    name = process_name(orphan.pid)
    store.started(job.address, name)
    threading.Thread(target=orphan.wait).start()  # its end is noticed by somebody, as init does
    launcher = Launcher(succeed)
    Runner(store, launcher).run()
    assert not is_alive(name)
    assert [started.address for started, _ in launcher.started][-1] == job.address
    assert store.counts()["done"] == 2
