"""Keeping libraries quiet about what is meant."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back Lightning's advertisements and its advice on settings that are chosen here on purpose.

    Examples:
        >>> with quiet():
        ...     warnings.warn("The dataloader does not have many workers", stacklevel=1)
    """
    with errors_alone(*_LOUD), warnings.catch_warnings():
        for text in _EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=text)
        yield


@contextmanager
def errors_alone(*names: str) -> Iterator[None]:
    """Let loggers tell of nothing but errors.

    Examples:
        >>> with errors_alone("loud"):
        ...     logging.getLogger("loud").isEnabledFor(logging.WARNING)
        False
    """
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


_LOUD = ("lightning.pytorch", "lightning.fabric", "mlflow", "alembic")
_EXPECTED_WARNINGS: tuple[str, ...] = (
    r".*`noload`. loader strategy is deprecated.*",  # SQLAlchemy, of MLflow
    r".*does not have many workers.*",
    r".*suggested max number of worker.*",
    r".*number of training batches.*smaller than the logging interval.*",
    r".*Checkpoint directory.*exists and is not empty.*",
    r".*GPU available but not used.*",
    r".*module\(s\) in eval mode at the start of training.*",
    r".*lr_scheduler\.step\(\).*before.*optimizer\.step\(\).*",
    r".*srun.*command is available.*",
    r".*torch\.distributed\.nn\.functional\.all_gather is deprecated.*",
    r".*isinstance\(treespec, LeafSpec\).*deprecated.*",
)
