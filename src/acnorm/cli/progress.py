"""How far a grid is, while it runs: a live table in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from acnorm.bench.durations import in_words
from acnorm.cli.benching import status_rows

if TYPE_CHECKING:
    from acnorm.bench.store import Store

_BEAT = {True: 0.5, False: 5.0}  # seconds between two looks, in a terminal and elsewhere
_SHARE = 20  # looking takes no more than this part of the time


class Progress:
    """Shows a store as it changes, to people at a terminal or in a log.

    Looking at a grid of many cells takes time, so that not every change is shown; the last one is.

    Examples:
        >>> Progress.__name__
        'Progress'
    """

    def __init__(self) -> None:
        self._live: Any = None
        self._store: Store | None = None
        self._before: dict[str, int] = {}
        self._next = 0.0
        self._start = time.monotonic()
        self._done_before: int | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._store is not None:
            self._look(self._store)
        if self._live is not None:
            self._live.stop()

    def show(self, store: Store) -> None:
        """Show how far the store is, unless that was done a moment ago."""
        self._store = store
        start = time.monotonic()
        if start >= self._next:
            self._look(store)
            now = time.monotonic()
            self._next = now + max(_BEAT[self._live is not None], _SHARE * (now - start))

    def _look(self, store: Store) -> None:
        counts = store.counts()
        if self._done_before is None:
            self._done_before = counts["done"]
        if self._live is not None:
            self._live.update(self._table(store, counts), refresh=True)
        elif counts != self._before:
            sys.stderr.write(f"acnorm: {self._line(counts)}\n")
        self._before = counts

    def _line(self, counts: dict[str, int]) -> str:
        return ", ".join(f"{count} {state}" for state, count in counts.items() if count)

    def _table(self, store: Store, counts: dict[str, int]) -> Any:
        from rich.table import Table

        head, *rows = status_rows(store, most=max(3, self._live.console.height - 6))
        seconds = time.monotonic() - self._start
        left = time_left(counts, counts["done"] - (self._done_before or 0), seconds)
        shown = Table(box=None, caption=f"{self._line(counts)}; {left}", caption_justify="left")
        numbers = len(head) - 5  # done, running, waiting, failed, time a run
        for place, name in enumerate(head):
            shown.add_column(name, justify="right" if place >= numbers else "left", no_wrap=True)
        for row in rows:
            shown.add_row(*row)
        return shown


def time_left(counts: dict[str, int], finished: int, seconds: float) -> str:
    """Return how long a grid will still take, in words, if it goes on as it has gone.

    Args:
        counts: of the cells in each state.
        finished: cells since the start.
        seconds: since the start.

    Examples:
        >>> time_left({"waiting": 5, "running": 1, "done": 4}, finished=3, seconds=360)
        '6 min so far, about 12 min left'
    """
    left = counts.get("waiting", 0) + counts.get("running", 0)
    told = f"{in_words(seconds)} so far"
    return told if not finished or not left else f"{told}, about {in_words(left * seconds / finished)} left"
