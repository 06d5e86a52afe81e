"""Cells as tasks of a Ray cluster of two workers on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import acnorm
from acnorm.bench.engine_ray import RayCell, RayCluster
from acnorm.bench.run import run_bench
from acnorm.bench.store import Store
from acnorm.errors import UserError
from bench_tools import grid
from ray_work import FAILING, KILLED, SECONDS_OF_SLEEP, SLEEPING
from tiny_runs import TESTS

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """Two workers, whose cells train nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray warns that this will be its default
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS, Path(acnorm.__file__).parents[1]))))
        ray.init(
            address="local",
            num_cpus=2,
            num_gpus=0,
            include_dashboard=False,
            object_store_memory=80 * 2**20,
            log_to_driver=False,
            logging_level="error",
        )
        yield RayCluster(work="ray_work", jobs=8)
        ray.shutdown()


def attempts_of(bench: Path) -> list[list[str]]:
    """Cell, process, whether it was resumed, and threads of each time that a cell was run."""
    return [line.split() for line in (bench / "attempts.txt").read_text().splitlines()]


def test_a_killed_worker_loses_nothing_and_nothing_runs_twice(cluster: RayCluster, tmp_path: Path):
    made = grid(tmp_path, axes={"batch_size": [7, 8, FAILING, KILLED]})
    run_bench(made, tmp_path / "bench", engine=cluster.open).close()
    attempts = attempts_of(tmp_path / "bench")
    store = run_bench(grid(tmp_path, axes={"batch_size": [7, 8, KILLED]}), tmp_path / "bench", engine=cluster.open)
    assert attempts_of(tmp_path / "bench") == attempts  # what is finished is not run again
    assert store.counts() == {"waiting": 0, "running": 0, "done": 3, "failed": 0}
    store.plan(made.cells(), {})
    table = store.table().set_index("label_batch_size")
    assert table["state"].to_dict() == {7: "done", 8: "done", KILLED: "done", FAILING: "waiting"}  # to be tried again
    assert table.loc[FAILING, "error"] == "the loss is not finite."
    assert table.loc[[7, 8, KILLED], "metric_macro_auc"].tolist() == [0.8] * 3
    assert table.loc[[7, 8, KILLED], "attempts"].tolist() == [0] * 3
    assert table["memory"].min() > 2**20
    assert table["seconds"].max() < 60

    times = Counter(cell for cell, *_ in attempts)
    assert {size: times[address[:16]] for size, address in table["address"].items()} == {
        7: 1,
        8: 1,
        FAILING: 2,
        KILLED: 2,
    }
    resumed = [cell for cell, _, again, _ in attempts if again == "True"]
    assert resumed == [table.loc[KILLED, "address"][:16]]  # the second worker went on where the first was killed
    assert len({process for _, process, *_ in attempts}) == len(attempts)  # a process for each
    assert {threads for *_, threads in attempts} == {"1"}


def test_an_interrupted_bench_gives_its_cells_back(cluster: RayCluster, tmp_path: Path):
    attempts = tmp_path / "bench/attempts.txt"

    def interrupt(store: Store) -> None:
        if store.counts()["running"]:
            while not attempts.is_file():
                time.sleep(0.05)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_bench(
            grid(tmp_path, axes={"batch_size": [SLEEPING, 8]}), tmp_path / "bench", engine=cluster.open, told=interrupt
        )
    assert Store(tmp_path / "bench").counts() == {"waiting": 2, "running": 0, "done": 0, "failed": 0}
    [[_, process, *_]] = attempts_of(tmp_path / "bench")
    deadline = time.monotonic() + SECONDS_OF_SLEEP / 2  # long before it would have ended by itself
    while Path(f"/proc/{process}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{process}").exists()


def test_a_cell_too_large_for_every_node(cluster: RayCluster, tmp_path: Path):
    with pytest.raises(UserError) as error, RayCluster(cpus=99).open(tmp_path, []):
        pass
    assert str(error.value) == (
        "--engine ray: no node has room for a cell of 99 CPUs and 0 GPUs (the largest has 2 and 0); lower --threads or "
        "--gpus-per-cell, or give --jobs where nodes are made on demand."
    )
    with pytest.raises(UserError, match="of 1 CPUs and 0.5 GPUs"), RayCluster(gpus=0.5).open(tmp_path, []):
        pass


def test_a_node_that_does_not_see_the_files(cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cells = grid(tmp_path).cells()
    data = str(tmp_path / "eyes.npz")
    for blind, told in (
        (0, f"--out {tmp_path}/bench: its files are not seen on the node far"),
        (1, f"{data}: is not seen on the node far"),
    ):

        def looks(_: RayCluster, __: Any, paths: list[str], place: int = blind) -> dict[str, list[str]]:
            assert Path(paths[0]).exists()
            return {"near": [], "far": [paths[place]]}

        monkeypatch.setattr(RayCluster, "_looks", looks)
        with pytest.raises(UserError) as error, cluster.open(tmp_path / "bench", cells):
            pass
        assert str(error.value) == f"{told}; put it on a file system that all nodes share, under the same path."
        assert list((tmp_path / "bench").iterdir()) == []


def test_a_cell_that_ray_gives_up_is_a_failure():
    class LostError(Exception):
        """As Ray's."""

    def get(_: object) -> None:
        raise LostError("The worker died.\nMore than anybody reads.")

    lost = types.SimpleNamespace(
        wait=lambda tasks, **_: (tasks, []), get=get, exceptions=types.SimpleNamespace(RayError=LostError)
    )
    outcome = RayCell(lost, None).poll()
    assert (outcome.code, outcome.words) == (1, "Ray gave it up: The worker died")


def test_ray_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError) as error, RayCluster().open(tmp_path, []):
        pass
    assert str(error.value) == "--engine ray: needs ray; pip install 'acnorm[ray]'."


def test_no_cluster_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def init(**_: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance. Please specify one.")

    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(init=init, is_initialized=lambda: False))
    with pytest.raises(UserError) as error, RayCluster().open(tmp_path, []):
        pass
    assert str(error.value) == (
        "--address auto: no Ray cluster answers (Could not find any running Ray instance. Please specify one); start "
        "one with ray start --head, or give its address."
    )


@pytest.mark.parametrize("gpus", [-1.0, 1.5, float("inf"), float("nan")])
def test_shares_of_gpus_that_cannot_be(gpus: float):
    with pytest.raises(UserError, match=r"^--gpus-per-cell is .*, must be 0, a fraction of 1, or a whole number\.$"):
        RayCluster(gpus=gpus)


@pytest.mark.slow
def test_a_node_that_dies_loses_nothing(tmp_path: Path):
    """A cluster of a head that computes nothing and two nodes, of which one is killed while both run a cell.

    However slow the machine is, the cells end only when the process of one is gone with its node.
    """
    code = """
import sys
import time
from pathlib import Path
from ray.cluster_utils import Cluster
import ray
from acnorm.bench.engine_ray import RayCluster
from acnorm.bench.processes import is_alive, process_name
from acnorm.bench.run import run_bench
from bench_tools import grid
from ray_work import HELD
folder = Path(sys.argv[1])
small = {"object_store_memory": 80 * 2**20}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
nodes = [cluster.add_node(num_cpus=1, **small) for _ in range(2)]
ray.init(address=cluster.address, log_to_driver=False)
assert ray.get_runtime_context().get_node_id() == cluster.head_node.node_id, "the driver would die with the node"
def processes():
    attempts = folder / "bench/attempts.txt"
    return [line.split()[1] for line in attempts.read_text().splitlines()] if attempts.is_file() else []
def until(found):
    while not found():
        time.sleep(0.05)
def kill(store):
    if len(nodes) == 2 and store.counts()["running"] == 3:
        until(lambda: len(processes()) == 2)
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        until(lambda: not all(is_alive(process_name(int(process))) for process in processes()))
        (folder / "bench/released").touch()
grid = grid(folder, axes={"batch_size": [7, 8, 6]}, base={**grid(folder).base, "learning_rate": HELD})
run_bench(grid, folder / "bench", engine=RayCluster(work="ray_work", jobs=3).open, told=kill)
"""
    sources = os.pathsep.join(map(str, (TESTS, Path(acnorm.__file__).parents[1])))
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": sources, "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert Store(tmp_path / "bench").counts() == {"waiting": 0, "running": 0, "done": 3, "failed": 0}
    times = Counter(cell for cell, *_ in attempts_of(tmp_path / "bench"))
    assert sorted(times.values()) == [1, 1, 2]
