"""Engine ``ray``: each cell a task of a Ray cluster, which places it, and runs it again where its worker is lost."""

from __future__ import annotations

import importlib
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acnorm.bench.cells import Cell, code_version
from acnorm.bench.engine import Engine, Outcome, Running
from acnorm.bench.processes import process_name
from acnorm.bench.ray_cell import Task, run_cell, unseen
from acnorm.bench.store import Job
from acnorm.errors import UserError

RETRIES = 3  # further workers that a cell is given where one after the other is lost
LOOK = 60.0  # seconds that a node may take to say what it sees
PATIENCE = 20.0  # seconds between asking a cell to end and ending it


@dataclass(frozen=True)
class RayCluster:
    """A cluster, and what each cell takes of it.

    Args:
        address: of the cluster: "auto" for the one that this machine is part of, "local" for one of this machine alone
            that ends with the bench, "ray://…" for a client.
        cpus: of a cell, also the threads that it computes with.
        gpus: of a cell; a fraction shares a GPU among cells.
        jobs: cells given to Ray at a time; twice what there is room for where not given, so that a node that becomes
            free has the next at hand.
        work: the module that runs a cell.

    Examples:
        >>> RayCluster(gpus=0.25).cpus
        1
    """

    address: str = "auto"
    cpus: int = 1
    gpus: float = 0.0
    jobs: int | None = None
    work: str = "acnorm.bench.work"

    def __post_init__(self) -> None:
        if not 0 <= self.gpus < float("inf") or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise UserError(f"--gpus-per-cell is {self.gpus:g}, must be 0, a fraction of 1, or a whole number.")

    @contextmanager
    def open(self, out: Path, cells: Sequence[Cell]) -> Iterator[Engine]:
        """Connect, look whether all nodes see what the cells need, and give the engine.

        Raises:
            UserError: Ray is missing, no cluster answers, no node has room for a cell, or a node does not see a file.
        """
        ray = imported_ray()
        with _connected(ray, self.address):
            slots = self._slots(ray)
            self._refuse_unseen(ray, out, cells)
            # a worker runs one cell and ends, as a process on one machine does
            task = ray.remote(
                num_cpus=self.cpus, num_gpus=self.gpus, max_calls=1, max_retries=RETRIES, retry_exceptions=False
            )(run_cell)
            more = ("--code", code_version())

            def launch(job: Job, resume: bool) -> Running:
                files = str(job.config), str(job.run), str(job.log)
                return RayCell(ray, task.remote(Task(*files, resume, self.work, more)))

            yield Engine(launch, jobs=self.jobs or max(2 * slots, 16), free=lambda: None)

    def _slots(self, ray: Any) -> int:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        slots = sum(map(self._room, nodes))
        if not slots and self.jobs is None:
            most = {name: max((node.get(name, 0) for node in nodes), default=0) for name in ("CPU", "GPU")}
            raise UserError(
                f"--engine ray: no node has room for a cell of {self.cpus} CPUs and {self.gpus:g} GPUs (the largest "
                f"has {most['CPU']:g} and {most['GPU']:g}); lower --threads or --gpus-per-cell, or give --jobs where "
                "nodes are made on demand."
            )
        return slots

    def _room(self, node: dict[str, float]) -> int:
        room = node.get("CPU", 0) // self.cpus
        return int(min(room, node.get("GPU", 0) // self.gpus) if self.gpus else room)

    def _refuse_unseen(self, ray: Any, out: Path, cells: Sequence[Cell]) -> None:
        """Refuse a folder of results, data or checkpoints that a node does not have under the same path."""
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out, prefix=".seen-by-all-nodes-") as probe:
            named = {str(Path(path).absolute()): path for cell in cells for path in _files_of(cell)}
            for node, missing in self._looks(ray, [str(Path(probe.name).absolute()), *named]).items():
                path = missing[0] if missing else None
                if path is not None:
                    what = f"{named[path]}: is" if path in named else f"--out {out}: its files are"
                    raise UserError(
                        f"{what} not seen on the node {node}; put it on a file system that all nodes share, "
                        "under the same path."
                    )

    def _looks(self, ray: Any, paths: Sequence[str]) -> dict[str, list[str]]:
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        look = ray.remote(unseen)
        asked = {
            node["NodeManagerHostname"]: look.options(
                num_cpus=0, scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(list(paths))
            for node in ray.nodes()
            if node["Alive"] and self._room(node["Resources"])
        }
        try:
            return dict(zip(asked, ray.get(list(asked.values()), timeout=LOOK), strict=True))
        except ray.exceptions.RayError as error:
            raise UserError(f"--engine ray: a node cannot run acnorm ({_first_line(error)}).") from None


def _files_of(cell: Cell) -> list[str]:
    given = (cell.config.data, cell.config.weights)
    return [path for path in given if path is not None and Path(path).exists()]


class RayCell:
    """A cell that was given to Ray.

    Args:
        ray: the module.
        task: its result to come.

    Examples:
        >>> RayCell.__name__
        'RayCell'
    """

    def __init__(self, ray: Any, task: Any) -> None:
        self._ray, self._task = ray, task
        self.name = process_name(os.getpid())  # Ray ends the tasks of a driver that ends

    def poll(self) -> Outcome | None:
        """How it ended; None while it runs or waits for its turn."""
        if not self._ended(timeout=0):
            return None
        try:
            report = self._ray.get(self._task)
        except self._ray.exceptions.RayError as error:
            return Outcome(1, None, f"Ray gave it up: {_first_line(error)}")
        return Outcome(report.code, report.memory or None, report.words, report.seconds, report.metrics)

    def memory(self) -> int:
        """Ray looks after memory."""
        return 0

    def ask_to_end(self) -> None:
        """Interrupt it, or take it off the queue."""
        self._ray.cancel(self._task)

    def wait(self) -> None:
        """Wait for its end, and force it where that takes too long."""
        if not self._ended(timeout=PATIENCE):
            self._ray.cancel(self._task, force=True)
            self._ended(timeout=PATIENCE)

    def _ended(self, timeout: float) -> bool:
        ready, _ = self._ray.wait([self._task], timeout=timeout, fetch_local=False)
        return bool(ready)


def imported_ray() -> Any:
    """Import Ray.

    Raises:
        UserError: it is not installed.

    Examples:
        >>> imported_ray().__name__
        'ray'
    """
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError:
        raise UserError("--engine ray: needs ray; pip install 'acnorm[ray]'.") from None


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Within a connection, that of the program where there is one."""
    if ray.is_initialized():
        yield
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of what Ray means to change about GPUs for tasks without
            ray.init(address=address, log_to_driver=False, logging_level="error", namespace="acnorm")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"--address {address}: no Ray cluster answers ({_first_line(error)}); start one with ray start --head, or "
            "give its address."
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
