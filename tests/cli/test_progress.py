from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from acnorm.bench.store import Store
from acnorm.cli import progress
from acnorm.cli.benching import status, status_rows
from acnorm.cli.progress import Progress, time_left
from bench_tools import planned, result


class Terminal(io.StringIO):
    """A terminal that remembers all that was written to it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return planned(tmp_path, seeds=(0, 1))


def finish_one(store: Store) -> None:
    job = store.claim("me", lambda _: True)
    assert job is not None
    store.finish(job.address, result(0.8), seconds=7.0, memory=1)


def test_elsewhere_than_in_a_terminal_there_is_a_line_now_and_then(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    with Progress() as shown:
        shown.show(store)
        for _ in range(3):
            finish_one(store)
            shown.show(store)  # too soon
    assert capsys.readouterr().err.splitlines() == ["acnorm: 4 waiting", "acnorm: 1 waiting, 3 done"]
    monkeypatch.setattr(progress, "_BEAT", {True: 0.0, False: 0.0})
    monkeypatch.setattr(progress, "_SHARE", 0)
    with Progress() as shown:
        shown.show(store)
        shown.show(store)  # nothing has changed
        finish_one(store)
        shown.show(store)
    assert capsys.readouterr().err.splitlines() == ["acnorm: 1 waiting, 3 done", "acnorm: 4 done"]


def test_a_terminal_shows_the_table(store: Store, monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm")
    with Progress() as shown:
        shown.show(store)
        finish_one(store)
    last = terminal.getvalue().rpartition("method")[2]
    assert "vanilla" in last
    assert "bn-only" in last
    assert "3 waiting, 1 done; 0 s so far, about 0 s left" in last


def test_nothing_is_told_where_nothing_was_begun(capsys: pytest.CaptureFixture[str]):
    with Progress():
        pass
    assert capsys.readouterr().err == ""


def test_the_rows_that_run_come_first_where_there_are_too_many(tmp_path: Path):
    store = planned(
        tmp_path, axes={"method": ["vanilla", "bn-only"], "epochs": [1, 2, 3], "learning_rate": [0.5, 0.25]}
    )
    jobs = [store.claim("me", lambda _: True) for _ in range(2)]
    store.release(jobs[0].address)
    whole = status_rows(store)
    assert whole[0] == ["method", "epochs", "learning_rate", "done", "running", "waiting", "failed", "time a run"]
    assert len(whole) == 13
    assert whole[1] == ["vanilla", "1", "0.5", "0", "0", "1", "0", "?"]
    head, first, second, rest = status_rows(store, most=2)
    assert (head, first, second) == (whole[0], whole[2], whole[1])
    assert rest == ["… and 10 more", *[""] * 7]
    assert status(store).count("\n") == 12


def test_rates_that_differ_in_a_late_digit_are_told_apart(tmp_path: Path):
    store = planned(tmp_path, axes={"learning_rate": [0.001, 0.0010000001, 1e-5, 5.0]}, fractions=(0.3,))
    assert [row[0] for row in status_rows(store)] == ["learning_rate", "0.001", "0.0010000001", "1e-05", "5"]


def test_a_store_without_a_grid(tmp_path: Path):
    assert status(Store(tmp_path)) == "no cells"


@pytest.mark.parametrize(
    ("counts", "finished", "seconds", "told"),
    [
        ({"waiting": 2, "running": 1, "done": 0}, 0, 50, "50 s so far"),
        ({"waiting": 2, "running": 1, "done": 3}, 3, 60, "1 min so far, about 1 min left"),
        ({"waiting": 97, "running": 3, "done": 7}, 2, 600, "10 min so far, about 8 h 20 min left"),
        ({"waiting": 0, "running": 0, "done": 7}, 7, 600, "10 min so far"),
    ],
)
def test_time_left(counts: dict[str, int], finished: int, seconds: float, told: str):
    assert time_left(counts, finished, seconds) == told
