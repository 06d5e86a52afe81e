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


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "acnorm: missing: --data, --method, --model, --out; see acnorm pretrain --help.\n"),
        (["--epochs", "many"], "acnorm: --epochs is 'many', must be a whole number; see acnorm pretrain --help.\n"),
        (
            [*GIVEN, "--epochs", "0", "--batch-size", "0"],
            "acnorm: epochs is 0, must be 1 or more; batch_size is 0, must be 1 or more.\n",
        ),
        (["--methods", "byol"], "acnorm: no flag --methods; did you mean --method?\n"),
    ],
)
def test_wrong_flags_are_one_line(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["pretrain", *flags]) == 2
    assert capsys.readouterr().err == message
