from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from acnorm.cli.main import main
from acnorm.models.sources import build_network


@pytest.fixture
def file(tmp_path: Path) -> Path:
    module = build_network("cifar/resnet20", classes=10, channels=3).module
    nn.init.normal_(module.get_parameter("bn1.bias"))
    state = {f"module.{name}": value for name, value in module.state_dict().items()}
    torch.save({"state_dict": state, "best_prec1": 91.7}, tmp_path / "resnet20.th")
    return tmp_path / "resnet20.th"


def test_the_facts_one_a_line(file: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["checkpoint", str(file)]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line[0] != " ")
    assert "PyTorch, state dict under state_dict, beside best_prec1)" in lines["file"]
    assert lines["layout"] == "CIFAR ResNet: --model cifar/resnet…"
    assert lines["convolutions"] == "2D, the first takes 3 channels"
    assert "19 with weight and bias, 19 of them with running statistics (BatchNorm)" in lines["norm"]
    assert "18 the same in all channels" in lines["norm"]
    assert "--model cifar/resnet20 in 2D: the file holds 100.0% of it without its head" in lines["may"]


def test_what_would_load(file: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["checkpoint", str(file), "--model", "cifar/resnet20", "--channels", "1"]) == 0
    told = capsys.readouterr().out
    assert "would load    96 tensors loaded" not in told  # statistics of batches are not counted
    assert "1 adapted (conv1.weight) by sum over channels (3 to 1)" in told
    assert "100.0% of the other parameters and 100.0% of the other norm layers come from the checkpoint" in told


def test_why_it_would_not_load_is_told_and_is_no_success(file: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["checkpoint", str(file), "--model", "cifar/resnet110"]) == 1
    told = capsys.readouterr().out
    assert "missing " in told
    assert "more" in told
    assert "refused " in told


def test_json(file: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["checkpoint", str(file), "--model", "cifar/resnet20", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["layout"], told["channels"], told["load"]["parameter_share"]) == ("CIFAR ResNet", 3, 1.0)
    assert told["refused"] is None


def test_a_file_without_norm_layers_or_a_known_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "a.pth")
    assert main(["checkpoint", str(tmp_path / "a.pth")]) == 0
    told = capsys.readouterr().out
    assert "none that is known" in told
    assert "none with weight and bias: AC-Norm has nothing to work on" in told


def test_a_network_that_was_never_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    torch.save(build_network("cifar/resnet20", classes=2, channels=1).module.state_dict(), tmp_path / "a.pth")
    assert main(["checkpoint", str(tmp_path / "a.pth")]) == 0
    assert "none looks trained: AC-Norm would have nothing to borrow from" in capsys.readouterr().out


def test_a_licence_that_binds_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    torch.save({"module.down_tr64.ops.0.conv1.weight": torch.zeros(2, 1, 3, 3, 3)}, tmp_path / "a.pth")
    assert main(["checkpoint", str(tmp_path / "a.pth")]) == 0
    assert "licence       for non-commercial use" in capsys.readouterr().out


def test_a_missing_file_is_one_line(capsys: pytest.CaptureFixture[str]):
    assert main(["checkpoint", "nowhere.pth"]) == 2
    told = "acnorm: nowhere.pth: no such file; give the path of a checkpoint (.pth, .pt, .th, .ckpt, .safetensors).\n"
    assert capsys.readouterr().err == told


def test_names_of_a_file_are_nothing_that_a_terminal_obeys(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = ("a\nb\x1b[31m.weight", "\ud800.bias")
    torch.save({name: torch.ones(2, 3) for name in names}, tmp_path / "a.pth")
    assert main(["checkpoint", str(tmp_path / "a.pth"), "--model", "cifar/resnet20"]) == 1
    told = capsys.readouterr().out
    assert "a?b?[31m.weight, ?.bias" in told
    assert "\x1b" not in told
    assert main(["checkpoint", str(tmp_path / "a\x1b[31m.pth")]) == 2
    assert "a?[31m.pth: no such file" in capsys.readouterr().err
