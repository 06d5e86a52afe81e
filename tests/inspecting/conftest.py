"""Five tiny runs: two domains with two seeds each, and one with AC-Norm."""

from __future__ import annotations

from pathlib import Path

import pytest

from acnorm.training.finetune import run_finetune
from tiny_runs import checkpoint, config, eyes


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Finished runs by name: "<domain> <method> <seed>"; "near" and "far" are the domains."""
    folder = tmp_path_factory.mktemp("inspected")
    checkpoint(folder / "weights.pth")
    for domain, kind in (("near", "target"), ("far", "source")):
        eyes(folder / f"{domain}.npz", cases=20, domain=kind)
    made = {}
    for name in ("near vanilla 0", "near vanilla 1", "near acnorm 0", "far vanilla 0", "far vanilla 1"):
        domain, method, seed = name.split()
        settings = {"data": folder / f"{domain}.npz", "method": method, "seed": int(seed), "epochs": 2, "bootstrap": 2}
        settings |= {"learning_rate": 0.2}
        settings |= {"weights": folder / "weights.pth", "out": folder / name.replace(" ", "-")}
        made[name] = run_finetune(config(folder, **settings)).path
    return made
