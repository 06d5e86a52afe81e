"""Cells as processes that split off from one that has imported everything: short runs take half the time."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from acnorm.bench.engine import Launch, Outcome, Running
from acnorm.bench.last_words import last_words
from acnorm.bench.processes import (
    Process,
    is_alive,
    process_name,
    resident_memory,
    thread_variables,
    wait_or_force,
)
from acnorm.bench.store import Job
from acnorm.errors import RunError

COMMAND = (sys.executable, "-m", "acnorm.bench.template")
AT_THE_START = 300.0  # seconds that the template may take to import everything


@contextmanager
def local(threads: int) -> Iterator[Launch]:
    """Give what starts a cell on this machine, for as long as the block lasts.

    Linux alone splits processes off safely once libraries are loaded; elsewhere each cell starts from nothing.

    Args:
        threads: that each cell may compute with.

    Examples:
        >>> with local(threads=1) as launch:
        ...     callable(launch)
        True
    """
    if not sys.platform.startswith("linux"):
        yield lambda job, resume: Process(job, resume=resume, threads=threads)
        return
    template = Template(threads)
    try:
        yield template.launch
    finally:
        template.close()


class Template:
    """The process from which cells split off; it is started for the first of them.

    Args:
        threads: that each cell may compute with.

    Examples:
        >>> template = Template(threads=1)
        >>> template.close()
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._ended: dict[int, dict[str, Any]] = {}

    def launch(self, job: Job, resume: bool) -> Running:
        """Start a cell.

        Raises:
            RunError: the template cannot be started, or has ended.
        """
        if self._process is None or self._process.poll() is not None:
            self._process = self._start()
        job.log.parent.mkdir(parents=True, exist_ok=True)
        arguments = [str(job.config), *(["--resume"] if resume else [])]
        self._write({"arguments": arguments, "log": str(job.log)})
        pid = self._next_pid()
        return Fork(self, job, pid, self._process)

    def ended(self, pid: int) -> dict[str, Any] | None:
        """How a cell ended, with its exit code and memory; None where nothing was told of it."""
        self._read(0.0)
        return self._ended.pop(pid, None)

    def close(self) -> None:
        """Let it end, once its cells have."""
        if self._process is None:
            return
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        self.close()
        self._unread = b""
        self._ended.clear()
        return subprocess.Popen(
            COMMAND,
            env=os.environ | thread_variables(self._threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def _write(self, request: dict[str, Any]) -> None:
        pipe = None if self._process is None else self._process.stdin
        if pipe is not None:
            with suppress(BrokenPipeError):  # told when the answer does not come
                pipe.write(json.dumps(request).encode() + b"\n")
                pipe.flush()

    def _next_pid(self) -> int:
        deadline = time.monotonic() + AT_THE_START
        while time.monotonic() < deadline:
            for answer in self._read(1.0):
                return int(answer["pid"])
            if self._process is None or self._process.poll() is not None:
                break
        raise RunError(
            "the process from which cells split off did not start, or has ended; its words are above. Cells that were "
            "begun are kept: the same command goes on."
        )

    def _read(self, patience: float) -> list[dict[str, Any]]:
        """Take what the template has said: note what ended, return what began."""
        pipe = None if self._process is None else self._process.stdout
        if pipe is None or pipe.closed:
            return []
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            if not selector.select(patience):
                return []
        *lines, self._unread = (self._unread + os.read(pipe.fileno(), 65536)).split(b"\n")
        answers = [json.loads(line) for line in lines]
        self._ended |= {answer["pid"]: answer for answer in answers if "code" in answer}
        return [answer for answer in answers if "code" not in answer]


class Fork:
    """A cell that has split off.

    Args:
        template: from which.
        job: the cell.
        pid: its process.
        parent: that of the template from which it has split off, which tells how it ended.

    Examples:
        >>> Fork.__name__
        'Fork'
    """

    def __init__(self, template: Template, job: Job, pid: int, parent: subprocess.Popen[bytes]) -> None:
        self._template, self._job, self._pid, self._parent = template, job, pid, parent
        self.name = process_name(pid)

    def poll(self) -> Outcome | None:
        """How it ended; None while it runs."""
        told = self._template.ended(self._pid)
        if told is None:
            if self._parent.poll() is None or is_alive(self.name):
                return None
            told = self._template.ended(self._pid)  # both may have ended between the two looks
        if told is None:  # no word from a template that is gone: the run folder tells whether the cell has finished
            finished = (self._job.run / "metrics.json").is_file()
            told = {"code": 0 if finished else 1, "memory": None}
        return Outcome(told["code"], told["memory"], last_words(self._job.log, told["code"]))

    def memory(self) -> int:
        """Bytes that it holds now, those included that it shares with the template."""
        return resident_memory(self._pid)

    def ask_to_end(self) -> None:
        """Ask it to end: what it had finished is kept and can be resumed."""
        self._signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait for its end, and force it where that takes too long."""
        wait_or_force(self, lambda: self._signal(signal.SIGKILL))

    def _signal(self, which: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, which)
