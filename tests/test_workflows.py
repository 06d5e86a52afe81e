"""Training and report together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acnorm import workflows
from acnorm.errors import UserError
from acnorm.training.finetune import Result
from acnorm.workflows import finetune
from tiny_runs import eyes, settings


def test_a_run_is_finished_and_reported(tmp_path: Path):
    eyes(tmp_path / "eyes.npz")
    result = finetune(**settings(tmp_path, epochs=1))
    assert result == Result(tmp_path / "run", json.loads((tmp_path / "run/metrics.json").read_text()))
    assert "<html" in (tmp_path / "run/report.html").read_text()


def test_unknown_settings_are_told_and_nothing_is_written(tmp_path: Path):
    with pytest.raises(UserError, match=r"^unknown settings: epoch \(did you mean epochs\?\)\.$"):
        finetune(**settings(tmp_path, epoch=1))
    assert list(tmp_path.iterdir()) == []


def test_only_the_process_that_has_metrics_writes_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workflows, "run_finetune", lambda config: Result(Path(config.out), {}))
    monkeypatch.setattr(workflows, "write_report", lambda _: pytest.fail("a second process wrote the report"))
    assert finetune(**settings(tmp_path)).metrics == {}
