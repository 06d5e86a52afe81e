"""Two processes on a CPU do what one does with batches twice as large, and stop together."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from acnorm.training.finetune import run_finetune
from tiny_runs import TESTS, TinyNet, cli, config, flags, settings, weights_of

TWO = {"devices": "2", "strategy": "ddp", "epochs": 2, "batch_size": 4, "augment": "none"}


class OneGoesWrong(TinyNet):
    """Its loss is NaN in the second step of the second process only."""

    steps = 0

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        self.steps += self.training
        wrong = self.training and self.steps == 2 and os.environ.get("LOCAL_RANK") == "1"
        return logits * float("nan") if wrong else logits


def one_goes_wrong(num_classes: int, in_channels: int) -> nn.Module:
    return OneGoesWrong(num_classes, in_channels)


def start(folder: Path, out: Path, **changes: object):
    """`acnorm finetune` in a process of its own, which starts the second."""
    paths = f"{TESTS}{os.pathsep}{Path(__file__).parent}"
    values = settings(folder, out=out, **TWO | changes)
    return cli("finetune", *flags(values), cwd=out.parent, environment={"PYTHONPATH": paths})


@pytest.fixture(scope="module")
def two(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("two") / "run"
    done = start(folder, out, model="tiny_runs:without_norm", optimizer="sgd")  # Adam makes steps of what is rounded
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert done.stdout.count("macro AUC") == 1
    assert done.stdout.endswith(f"report: {out / 'report.html'}\n")
    return out


def test_two_processes_leave_one_complete_run(two: Path, vanilla: Path):
    without = {"load_report.json", "affine.safetensors"}  # the network has no norm layer, and no checkpoint
    usual = {path.name for path in vanilla.iterdir()} - without
    assert {path.name for path in two.iterdir()} == usual | {"report.html"}
    assert len(pd.read_csv(two / "metrics.csv")) == 2
    assert (two / "log.txt").read_text().count("cases to train on") == 1


def test_two_processes_count_every_held_out_case_once(two: Path):
    table = pd.read_csv(two / "per_case.csv")
    splits = json.loads((two / "splits.json").read_text())["cases"]
    assert sorted(table["id"]) == sorted(name for name, split in splits.items() if split != "train")
    metrics = json.loads((two / "metrics.json").read_text())
    for split in metrics["splits"].values():
        assert split["cases"] == 8
        assert all(np.isfinite(value["value"]) for value in split["metrics"].values())


def test_two_processes_train_as_one_with_batches_twice_as_large(two: Path, folder: Path, tmp_path: Path):
    changes = {"model": "tiny_runs:without_norm", "optimizer": "sgd", "epochs": 2, "augment": "none", "batch_size": 8}
    one = run_finetune(config(folder, out=tmp_path / "one", **changes)).path
    first, second = weights_of(two), weights_of(one)
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-4, atol=1e-6)
    rows = [pd.read_csv(run / "metrics.csv").drop(columns=["seconds", "waiting"]) for run in (two, one)]
    pd.testing.assert_frame_equal(*rows, rtol=1e-4)
    other = run_finetune(config(folder, out=tmp_path / "other", **changes | {"batch_size": 4})).path
    assert not torch.allclose(weights_of(other)["network.fc.weight"], first["network.fc.weight"], rtol=1e-4)


def test_a_loss_that_is_not_finite_in_one_process_stops_both_with_the_cases_of_both(folder: Path, tmp_path: Path):
    done = start(folder, tmp_path / "run", model="test_distributed:one_goes_wrong")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (message,) = {line for line in done.stderr.splitlines() if line.startswith("acnorm:")}
    assert message.startswith("acnorm: epoch 0, step 1: the loss is not finite; the weights are as before this step.")
    assert message.count("train_") == 8
    assert not (tmp_path / "run/metrics.json").exists()
    assert message.removeprefix("acnorm: ") in (tmp_path / "run/log.txt").read_text()
