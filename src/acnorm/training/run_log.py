"""log.txt of a run: what happened, with times, also before its folder was there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler

from acnorm.training.run_folder import RunFolder

logger = logging.getLogger("acnorm")


@contextmanager
def log_to(run: RunFolder, *, first: bool) -> Iterator[Callable[[], None]]:
    """Keep the log of the first process, and write it to log.txt from when the function that this gives is called.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> run = RunFolder(Path(tempfile.mkdtemp()))
        >>> with log_to(run, first=True) as start:
        ...     logger.info("looked at the data")
        ...     start()
        >>> run.log.read_text().strip().endswith("looked at the data")
        True
    """
    kept = MemoryHandler(capacity=10_000, flushLevel=logging.CRITICAL + 1, flushOnClose=False)

    def start() -> None:
        if first:
            file = logging.FileHandler(run.log, encoding="utf-8")
            file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            kept.setTarget(file)
            kept.flush()
            kept.flushLevel = logging.NOTSET

    level = logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    try:
        yield start
    except BaseException as error:
        what = str(error) or type(error).__name__
        kept.handle(logger.makeRecord(logger.name, logging.ERROR, "", 0, f"stopped: {what}", (), None))
        raise
    finally:
        logger.removeHandler(kept)
        logger.setLevel(level)
        if kept.target is not None:
            kept.target.close()
        kept.close()
