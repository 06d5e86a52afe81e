from __future__ import annotations

import logging
import warnings

import pytest

from acnorm.training.quiet import quiet


def test_what_is_meant_is_not_told_and_the_rest_is():
    with quiet():
        warnings.warn("The 'train_dataloader' does not have many workers which may be a bottleneck.", stacklevel=1)
    with quiet(), pytest.raises(UserWarning, match="^something else$"):
        warnings.warn("something else", UserWarning, stacklevel=1)


@pytest.mark.parametrize("name", ["lightning.pytorch", "lightning.fabric", "mlflow", "alembic"])
def test_loggers_are_as_before_afterwards(name: str):
    logger = logging.getLogger(name)
    before = logger.level
    with quiet():
        assert not logger.isEnabledFor(logging.WARNING)
        assert logger.isEnabledFor(logging.ERROR)
    assert logger.level == before
