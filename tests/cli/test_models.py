from __future__ import annotations

import json

import pytest

from acnorm.cli.main import main


def test_the_networks_of_three_dimensions(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "--dim", "3", "--norm", "batch"]) == 0
    told = capsys.readouterr().out
    assert "genesis/unet3d" in told
    assert "cifar/resnet20" not in told
    assert "acnorm models --source timm" in told


def test_json(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "--json"]) == 0
    told = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert told["cifar/resnet20"]["norms"] == {"batch": 19}


def test_an_extra_that_is_not_installed_is_one_line(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "--source", "timm"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_where_there_is_none_it_is_said(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "--norm", "layer"]) == 0
    assert capsys.readouterr().out.startswith("No network by name is like that.\n\nWith the extras also timm/…")
