"""``python -m acnorm.bench.template``: a process that has imported all that a cell needs, and splits off one for each.

Importing takes longer than a short run. Requests come as lines of JSON, {"arguments": [...], "log": "..."}; each is
answered with {"pid": ...}, and once the cell has ended with {"pid": ..., "code": ..., "memory": ...}. When no more can
come the template waits for its cells and ends. A request whose sender has gone is left: nobody would note the cell, and
another runner takes it.
"""

from __future__ import annotations

import json
import os
import select
import sys
import traceback
from contextlib import suppress
from typing import Any

from acnorm.bench import work

LOOK = 0.02  # seconds between two looks at the cells, while there are any


def main() -> None:
    """Serve requests on stdin, answer on stdout.

    Examples:
        >>> main.__name__
        'main'
    """
    running: set[int] = set()
    open_, unread = True, b""
    while open_ or running:
        if open_ and select.select([0], [], [], LOOK if running else None)[0]:
            content = os.read(0, 65536)
            open_, (*lines, unread) = bool(content), (unread + content).split(b"\n")
            for line in lines if _is_heard() else ():
                running.add(_split_off(json.loads(line)))
        elif running:
            running.discard(_settle(os.WNOHANG if open_ else 0))


def _is_heard() -> bool:
    """Whether the other end of stdin is open, whatever of it is unread."""
    look = select.poll()
    look.register(0, 0)  # a hang-up is always told
    return not look.poll(0)


def _settle(how: int) -> int:
    """Tell of a cell that has ended; its process, or 0 where none has."""
    pid, status, usage = os.wait4(-1, how)
    if pid:
        _answer({"pid": pid, "code": os.waitstatus_to_exitcode(status), "memory": usage.ru_maxrss * 1024})
    return pid


def _answer(content: dict[str, Any]) -> None:
    # nobody may be left to hear it: the run folder tells as well
    with suppress(BrokenPipeError):
        os.write(1, json.dumps(content).encode() + b"\n")


def _split_off(request: dict[str, Any]) -> int:
    """Start a cell; its process. In that process this never returns: it ends as any Python process does."""
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    pid = os.fork()
    if pid:
        os.close(log)
        _answer({"pid": pid})
        return pid
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(old, new)
    try:
        code = work.main(request["arguments"])
    except Exception:
        traceback.print_exc()
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
