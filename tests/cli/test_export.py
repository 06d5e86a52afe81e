"""`acnorm export` on the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acnorm.cli.main import main
from acnorm.data.preprocessing import Preprocessing
from acnorm.models.sources import build_network
from acnorm.training import export
from acnorm.training.run_folder import RunFolder
from acnorm.training.shipping import ship
from tiny_runs import NETWORK


@pytest.fixture
def run(tmp_path: Path) -> Path:
    network = build_network(NETWORK, classes=2, channels=3)
    prepare = Preprocessing(size=16, channels=3, mean=(0.5,) * 3, deviation=(0.2,) * 3)
    ship(RunFolder(tmp_path), network, network.module, ("healthy", "ill"), prepare, "classification")
    return tmp_path


def arguments(run: Path, *more: str) -> list[str]:
    return ["export", str(run), "--format", "torch-export", "--model", NETWORK, *more]


def test_the_file_and_its_difference_are_printed(run: Path, capsys: pytest.CaptureFixture[str]):
    assert main(arguments(run)) == 0
    told = rf"{run}/model/model\.pt2 \(logits differ from the run's by at most \d\.\de[+-]\d\d\)\n"
    assert re.fullmatch(told, capsys.readouterr().out)
    assert main(arguments(run, "--out", str(run / "mine.pt2"))) == 0
    assert (run / "mine.pt2").is_file()
    assert main(arguments(run)) == 2
    assert main(arguments(run, "--overwrite")) == 0


def test_a_format_that_is_not_known_is_exit_code_2(run: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["export", str(run), "--format", "caffe"]) == 2
    assert capsys.readouterr().err == "acnorm: --format 'caffe' is not known; there are onnx, torch-export.\n"


def test_an_export_that_fails_is_exit_code_1(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    assert main(arguments(run)) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(r"acnorm: the exported torch-export file computes something else: .*\n", told.err)
