"""Why a cell ended, from what it printed. Imports nothing large: workers of a cluster do so for every cell."""

from __future__ import annotations

import signal
from pathlib import Path


def last_words(log: Path, code: int) -> str:
    """Return the last line that a cell printed, or the signal that ended it.

    Args:
        log: what it printed.
        code: with which it ended; negative: a signal.

    Examples:
        >>> last_words(Path("log.txt"), -9)
        'ended by SIGKILL, as where memory runs out'
    """
    if code < 0:
        name = signal.Signals(-code).name
        return f"ended by {name}" + (", as where memory runs out" if name == "SIGKILL" else "")
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else f"ended with code {code} and said nothing"
