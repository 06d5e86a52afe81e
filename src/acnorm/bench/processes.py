"""Processes of this machine: one cell in each, with a fixed number of threads, and what memory is left for more."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from acnorm.bench.engine import Outcome, Running
from acnorm.bench.last_words import last_words
from acnorm.bench.store import Job

COMMAND = (sys.executable, "-m", "acnorm.bench.work")
PATIENCE = 20.0  # seconds between asking a process to end and ending it
_THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB")


class Process:
    """The process of one cell.

    Args:
        job: the cell.
        resume: go on with the run that is there.
        threads: that it may compute with.

    Examples:
        >>> Process.__name__
        'Process'
    """

    def __init__(self, job: Job, *, resume: bool, threads: int) -> None:
        command = [*COMMAND, str(job.config), *(["--resume"] if resume else [])]
        job.log.parent.mkdir(parents=True, exist_ok=True)
        self._log = job.log
        with job.log.open("w", encoding="utf-8") as log:
            # in a session of its own: an interrupt from the terminal is for the runner, which then ends its processes
            self._process = subprocess.Popen(
                command,
                env=os.environ | thread_variables(threads),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.name = process_name(self._process.pid)

    def poll(self) -> Outcome | None:
        """How it ended; None while it runs."""
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if pid == 0:
            return None
        self._process.returncode = code = os.waitstatus_to_exitcode(status)
        memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Outcome(code, memory, last_words(self._log, code))

    def memory(self) -> int:
        """Bytes that it holds now; 0 where the system does not tell."""
        return resident_memory(self._process.pid)

    def ask_to_end(self) -> None:
        """Ask it to end: what it had finished is kept and can be resumed."""
        self._process.terminate()

    def wait(self) -> None:
        """Wait for its end, and force it where that takes too long."""
        wait_or_force(self, self._process.kill)


def wait_or_force(cell: Running, force: Callable[[], None]) -> None:
    """Wait until a cell that was asked to end has ended, and force it where that takes too long.

    Examples:
        >>> wait_or_force.__name__
        'wait_or_force'
    """
    deadline = time.monotonic() + PATIENCE
    while cell.poll() is None:
        if time.monotonic() > deadline:
            force()
            deadline = float("inf")
        time.sleep(0.02)


def thread_variables(threads: int) -> dict[str, str]:
    """Return the variables that keep a process to a number of threads.

    Examples:
        >>> thread_variables(2)["OMP_NUM_THREADS"]
        '2'
    """
    return {f"{name}_NUM_THREADS": str(threads) for name in _THREADS}


def process_name(pid: int) -> str:
    """Return a name for a process that no later process of the same number has.

    Examples:
        >>> is_alive(process_name(os.getpid()))
        True
    """
    known = _known_of(pid)
    return f"{pid}:{known[19] if known else ''}"


def _known_of(pid: int) -> list[str]:
    """The fields of proc(5) after the command, which may hold spaces: the first its state, the 20th when it started."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def is_alive(name: str) -> bool:
    """Whether the process of a name from ``process_name`` runs on this machine; one that has ended does not.

    Examples:
        >>> is_alive(f"{os.getpid()}:0") and Path("/proc").is_dir()
        False
    """
    pid = int(name.partition(":")[0])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    # one that has ended stays known until its parent has looked, which the first process of a container may never do
    return process_name(pid) == name and _known_of(pid)[:1] not in (["Z"], ["X"])


def resident_memory(pid: int) -> int:
    """Return the bytes that a process holds in memory; 0 where the system does not tell.

    Examples:
        >>> resident_memory(os.getpid()) >= 0
        True
    """
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    except (OSError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def free_memory() -> int | None:
    """Return the bytes that further processes may take; None where the system does not tell.

    Examples:
        >>> free_memory() is None or free_memory() > 0
        True
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    kibibytes = next((int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)
    return None if kibibytes is None else 1024 * kibibytes
