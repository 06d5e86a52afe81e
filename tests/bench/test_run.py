from __future__ import annotations

import os
from pathlib import Path

import pytest

from acnorm.bench.processes import process_name
from acnorm.bench.run import run_bench
from acnorm.bench.store import Job, Store
from acnorm.errors import UserError
from bench_tools import FakeProcess, grid, planned, succeed

DEAD = "1:never"


def launch(job: Job, _: bool) -> FakeProcess:
    return FakeProcess(lambda: succeed(job))


def test_the_cells_of_a_command_at_work_are_not_taken_away(tmp_path: Path):
    planned(tmp_path, seeds=(0, 1)).claim(process_name(os.getppid()), lambda _: True)
    with pytest.raises(UserError) as error:
        run_bench(grid(tmp_path), tmp_path / "bench", launch=launch)
    assert str(error.value) == (
        f"--out {tmp_path}/bench: another command is at work there, of which this one would leave out 2 cells; wait for "
        "its end, or give another folder."
    )
    assert sum(Store(tmp_path / "bench").counts().values()) == 4


def test_commands_of_one_grid_share_the_work(tmp_path: Path):
    planned(tmp_path).claim(process_name(os.getppid()), lambda _: True)
    store = run_bench(grid(tmp_path, seeds=(0, 1)), tmp_path / "bench", launch=launch)  # which has grown
    assert store.counts() == {"waiting": 0, "running": 1, "done": 3, "failed": 0}


def test_what_a_dead_command_left_over_may_be_left_out(tmp_path: Path):
    planned(tmp_path, seeds=(0, 1)).claim(DEAD, lambda _: True)
    store = run_bench(grid(tmp_path, seeds=(1,)), tmp_path / "bench", launch=launch)
    assert store.counts() == {"waiting": 0, "running": 0, "done": 2, "failed": 0}
