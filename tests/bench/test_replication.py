"""The script that publishes benches: what it adds to runs that are published already."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "replication.py"


@pytest.fixture(scope="module")
def replication() -> ModuleType:
    spec = importlib.util.spec_from_file_location("replication", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runs(method: str, **changes: object) -> pd.DataFrame:
    row = {"task": "eyes", "source": "moco", "fraction": 1.0, "method": method, "fold": 0, "score": 0.7}
    content = {"data_sha256": "0" * 16, "weights_sha256": None, "splits_sha256": "5" * 16}
    return pd.DataFrame([{**row, **content, "seed": seed, **changes} for seed in (0, 1)])


def test_runs_of_several_machines_are_put_together(replication: ModuleType, tmp_path: Path):
    runs("vanilla").to_csv(tmp_path / "cells.csv", index=False)
    found = replication.with_published(runs("acnorm"), tmp_path / "cells.csv")
    assert found["method"].tolist() == ["vanilla"] * 2 + ["acnorm"] * 2
    again = replication.with_published(runs("vanilla", score=0.9), tmp_path / "cells.csv")
    assert again["score"].tolist() == [0.9, 0.9]


@pytest.mark.parametrize("changes", [{"data_sha256": "1" * 16}, {"weights_sha256": "w"}, {"splits_sha256": "6" * 16}])
def test_published_runs_of_something_else_are_not_compared(
    replication: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str]
):
    """Of the seed that was run again; those of other seeds have their own baseline."""
    runs("vanilla").to_csv(tmp_path / "cells.csv", index=False)
    found = replication.with_published(runs("acnorm", **changes).iloc[:1], tmp_path / "cells.csv")
    assert list(zip(found["method"], found["seed"], strict=True)) == [("vanilla", 1), ("acnorm", 0)]
    assert capsys.readouterr().out == (
        "cells.csv: 1 runs of other data, checkpoints or splits than those here are left out\n"
    )
