"""Data, weights and finished runs that the tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest

from acnorm.training.finetune import run_finetune
from tiny_runs import checkpoint, config, eyes


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the phantoms eyes.npz and the checkpoint weights.pth."""
    folder = tmp_path_factory.mktemp("training")
    eyes(folder / "eyes.npz")
    checkpoint(folder / "weights.pth")
    return folder


@pytest.fixture(scope="session")
def vanilla(folder: Path) -> Path:
    """A finished vanilla run of three epochs from the checkpoint."""
    return run_finetune(config(folder, out=folder / "vanilla", weights=folder / "weights.pth")).path


@pytest.fixture(scope="session")
def acnorm(folder: Path) -> Path:
    """A finished run with AC-Norm, else as the vanilla one."""
    settings = {"out": folder / "acnorm", "weights": folder / "weights.pth", "method": "acnorm"}
    return run_finetune(config(folder, **settings)).path
