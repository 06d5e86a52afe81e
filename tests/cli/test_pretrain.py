from __future__ import annotations

from pathlib import Path

import pytest

from acnorm.cli.main import main
from acnorm.pretraining.pretext import PRETEXTS
from tiny_runs import eyes

GIVEN = ["--data", "eyes.npz", "--method", "byol", "--model", "cifar/resnet20", "--out", "run"]


def test_a_run_says_where_the_checkpoint_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    eyes(tmp_path / "eyes.npz")
    flags = ["--data", str(tmp_path / "eyes.npz"), "--method", "rotation", "--model", "tiny_runs:tiny"]
    flags += ["--out", str(tmp_path / "run"), "--epochs", "1", "--batch-size", "8", "--accelerator", "cpu"]
    assert main(["pretrain", *flags]) == 0
    told = capsys.readouterr().out
    assert "val_knn_accuracy: 0." in told
    assert f"checkpoint: {tmp_path / 'run/model/encoder.safetensors'}" in told
    assert f"report: {tmp_path / 'run/report.html'}" in told
    assert main(["checkpoint", str(tmp_path / "run/model/encoder.safetensors")]) == 0
    assert "rotation pretraining of tiny_runs:tiny on" in capsys.readouterr().out


def test_the_tasks_are_listed(capsys: pytest.CaptureFixture[str]):
    assert main(["pretrain", "--list"]) == 0
    told = capsys.readouterr().out
    assert all(name in told and task.paper in told for name, task in PRETEXTS.items())
    assert "least_area 0.3, temperature 0.5, hidden 256, outputs 128" in told
    assert "parts by dimension, orders 64" in told
    assert told.endswith("The settings of a task: such as --simclr.temperature 0.2.\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "acnorm: missing: --data, --model, --out, --method; see acnorm pretrain --help.\n"),
        (["--epochs", "many"], "acnorm: epochs is 'many', must be a whole number.\n"),
        (
            [*GIVEN, "--epochs", "0", "--batch-size", "0"],
            "acnorm: epochs is 0, must be 1 or more; batch_size is 0, must be 1 or more.\n",
        ),
        (["--methods", "byol"], "acnorm: unknown settings: methods (did you mean method?).\n"),
        (
            [*GIVEN, "--byol.momentum", "1.5"],
            "acnorm: byol.momentum is 1.5, must be between 0 and 1.\n",
        ),
        (
            [*GIVEN, "--byol.temperature", "1.5"],
            "acnorm: unknown settings: byol.temperature (did you mean pcrl.temperature?).\n",
        ),
    ],
)
def test_wrong_flags_are_one_line(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["pretrain", *flags]) == 2
    assert capsys.readouterr().err == message
