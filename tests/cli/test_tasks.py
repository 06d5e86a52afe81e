from __future__ import annotations

import pytest

from acnorm.cli.main import main
from acnorm.data.tasks import TASKS


def test_every_task_is_listed_with_its_settings(capsys: pytest.CaptureFixture[str]):
    assert main(["tasks"]) == 0
    told = capsys.readouterr().out
    for name, task in TASKS.items():
        assert any(line.startswith(name) and line.endswith(task.about) for line in told.splitlines())
    assert "vessel-segmentation: --epochs 40 --batch-size 16 --patch-size 96" in told


def test_flags_that_are_none_are_told(capsys: pytest.CaptureFixture[str]):
    assert main(["tasks", "--zoo"]) == 2
    assert capsys.readouterr().err == "acnorm: no flag --zoo; see acnorm tasks --help.\n"
