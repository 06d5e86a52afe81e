"""What a worker of a Ray cluster does for one cell. Imports nothing large before the cell is to run.

The worker runs the cell in its own process, so that what ends the worker ends the cell. Ray gives a cell whose worker
was lost to another one, which goes on where the lost one was.
"""

from __future__ import annotations

import errno
import fcntl
import importlib
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acnorm.bench.last_words import last_words

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Task:
    """One cell, as it is sent to a worker.

    Args:
        config: its settings.
        run: its run folder.
        log: what it prints.
        resume: go on with the run that is there.
        work: the module whose ``main`` runs it.
        more: further arguments of ``main``.
    """

    config: str
    run: str
    log: str
    resume: bool
    work: str
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a worker gives back: all that the driver writes, which need not see the worker's files."""

    code: int
    memory: int
    words: str
    seconds: float
    metrics: dict[str, Any] | None


def run_cell(task: Task) -> Report:
    """Run a cell in this process, unless an earlier worker had finished it.

    Examples:
        >>> run_cell(Task("nowhere.yaml", "run", "log.txt", resume=False, work="acnorm.bench.work")).code
        2
    """
    start = time.perf_counter()
    config, run, log = Path(task.config), Path(task.run), Path(task.log)
    if not config.is_file():
        told = f"{config}: not seen on {os.uname().nodename}; put --out on a file system that all nodes share."
        return Report(2, 0, told, 0.0, None)
    log.parent.mkdir(parents=True, exist_ok=True)
    with _alone(log.with_suffix(".lock")):
        code, words = 0, ""
        if not (run / "metrics.json").is_file():
            # the driver has made the folder free, so that what is in it is of a worker that was lost
            resume = task.resume or (run / "config.yaml").is_file()
            with _printing_to(log, append=resume):
                code = _exit_code(task.work, [str(config), *task.more, *(["--resume"] if resume else [])])
            words = last_words(log, code)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Report(code, memory, words, time.perf_counter() - start, _metrics(run) if code == 0 else None)


def unseen(paths: Sequence[str]) -> list[str]:
    """Return those of the paths that do not exist here.

    Examples:
        >>> unseen([os.curdir, "nowhere"])
        ['nowhere']
    """
    return [path for path in paths if not Path(path).exists()]


def _metrics(run: Path) -> dict[str, Any] | None:
    file = run / "metrics.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _exit_code(work: str, arguments: Sequence[str]) -> int:
    try:
        return int(importlib.import_module(work).main(arguments))
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt:  # the driver has given the cell up
        return 130
    except BaseException:
        traceback.print_exc()
        return 1


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Wait until no other process runs this cell: a worker that was lost may live on until its node sees that."""
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:  # some file systems have none
                raise
        yield


@contextmanager
def _printing_to(log: Path, *, append: bool) -> Iterator[None]:
    """Send all that this process prints, from whatever language, to a file."""
    kept = [os.dup(number) for number in (1, 2)]
    with log.open("a" if append else "w", encoding="utf-8", buffering=1) as file:
        try:
            for number in (1, 2):
                os.dup2(file.fileno(), number)
            with redirect_stdout(file), redirect_stderr(file):
                yield
        finally:
            for number, before in zip((1, 2), kept, strict=True):
                os.dup2(before, number)
                os.close(before)
