"""What the runner asks of an engine, which is where cells run: this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from acnorm.bench.store import Job


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Args:
        code: exit code (negative: a signal).
        memory: largest resident memory, bytes; None where it is not known.
        words: its last ones.
        seconds: that it ran; since it was started where not given.
        metrics: the content of its metrics.json; read from its folder where not given.
    """

    code: int
    memory: int | None
    words: str
    seconds: float | None = None
    metrics: Mapping[str, Any] | None = None


class Running(Protocol):
    """A cell that has been started."""

    @property
    def name(self) -> str:
        """A name, as ``process_name`` gives it, of the process with which it would end."""
        ...

    def poll(self) -> Outcome | None:
        """How it ended; None while it runs."""
        ...

    def memory(self) -> int:
        """Bytes of this machine's memory that it holds now."""
        ...

    def ask_to_end(self) -> None:
        """Ask it to end."""
        ...

    def wait(self) -> None:
        """Wait for its end."""
        ...


Launch = Callable[[Job, bool], Running]


@dataclass(frozen=True)
class Engine:
    """Where cells run.

    Args:
        launch: starts a cell; whether it goes on with a run that is there.
        jobs: cells at a time.
        free: bytes of memory left for further ones; None where that is not for the runner to look after.
    """

    launch: Launch
    jobs: int
    free: Callable[[], int | None]
