"""What a worker does for a cell, in this process."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest
import yaml

from acnorm.bench import ray_cell
from acnorm.bench.ray_cell import Report, Task, run_cell
from ray_work import FAILING, KILLED, RAISING


def task(folder: Path, size: int = 8, *, resume: bool = False) -> Task:
    run = folder / "cells/one"
    (folder / "one.yaml").write_text(yaml.safe_dump({"batch_size": size, "out": str(run)}))
    return Task(str(folder / "one.yaml"), str(run), str(folder / "logs/one.txt"), resume, "ray_work", ("--code", "x"))


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def attempts(folder: Path) -> list[str]:
    return [line.split()[2] for line in (folder / "attempts.txt").read_text().splitlines()]


def test_what_a_worker_gives_back(tmp_path: Path):
    report = run_cell(task(tmp_path))
    assert report.code == 0
    assert report.metrics is not None
    assert report.metrics["splits"]["test"]["metrics"]["macro_auc"]["value"] == 0.8
    assert report.memory > 2**20
    assert attempts(tmp_path) == ["False"]


def test_a_cell_that_a_lost_worker_had_finished_is_not_run_again(tmp_path: Path):
    first = run_cell(task(tmp_path))
    again = run_cell(task(tmp_path))
    assert (again.code, again.metrics) == (0, first.metrics)
    assert attempts(tmp_path) == ["False"]


def test_a_cell_that_a_lost_worker_had_begun_goes_on(tmp_path: Path):
    (tmp_path / "cells/one").mkdir(parents=True)
    (tmp_path / "cells/one/config.yaml").write_text("")
    assert run_cell(task(tmp_path, KILLED)).code == 0
    assert attempts(tmp_path) == ["True"]


@pytest.mark.parametrize(
    ("size", "words"), [(FAILING, "the loss is not finite."), (RAISING, "ValueError: nobody foresaw this")]
)
def test_last_words(tmp_path: Path, size: int, words: str, capfd: pytest.CaptureFixture[str]):
    report = run_cell(task(tmp_path, size))
    assert (report.code, report.words, report.metrics) == (1, words, None)
    print("and this process goes on printing where it did")
    told = capfd.readouterr()
    assert told.out == "and this process goes on printing where it did\n"
    assert told.err == ""


def test_a_file_system_that_is_not_shared(tmp_path: Path):
    gone = Task(str(tmp_path / "one.yaml"), "", "", resume=False, work="ray_work")
    assert run_cell(gone) == Report(
        2,
        0,
        f"{tmp_path}/one.yaml: not seen on {os.uname().nodename}; put --out on a file system that all nodes share.",
        0.0,
        None,
    )


def test_a_second_worker_waits_for_the_first(tmp_path: Path):
    made = task(tmp_path)
    (tmp_path / "logs").mkdir()
    with (tmp_path / "logs/one.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(target=run_cell, args=(made,))
        second.start()
        time.sleep(0.2)
        assert not (tmp_path / "attempts.txt").exists()
    second.join(timeout=10)
    assert attempts(tmp_path) == ["False"]


def test_file_systems_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(ray_cell.fcntl, "flock", refuse)
    number = ray_cell.errno.ENOLCK
    assert run_cell(task(tmp_path)).code == 0
    number = ray_cell.errno.EIO
    with pytest.raises(OSError, match="no"):
        run_cell(task(tmp_path))
