"""`acnorm rank --budget` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acnorm.cli.main import main
from tiny_runs import NETWORK, checkpoint, eyes


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("zoo")
    eyes(folder / "eyes.npz")
    checkpoint(folder / "a.pth")
    (folder / "b.pth").write_bytes((folder / "a.pth").read_bytes())  # alike, and so tied
    weights = [str(folder / "a.pth"), str(folder / "b.pth")]
    return ["rank", "--data", str(folder / "eyes.npz"), "--model", NETWORK, "--weights", *weights, "--measures", "knn"]


def test_tied_candidates_are_fine_tuned_shortly(zoo: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    more = ["--budget", "10m", "--runs", str(tmp_path / "runs"), "--epochs", "1", "--method", "bn-only", "--seed", "3"]
    more += ["--stem-rule", "mean", "--depth-rule", "centre"]
    assert main([*zoo, *more]) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    at = next(at for at, line in enumerate(lines) if "By knn we cannot tell " in line)
    assert lines[at + 1] == "Short fine-tunes (bn-only, macro AUC on validation cases, of 1 epoch):"
    assert "are alike after 1 epochs: take either." in lines[-3]
    assert lines[-2].startswith("Cost: ")
    assert lines[-2].endswith(" of 10 min.")
    assert "--seed 3" in lines[-1]
    assert "--stem-rule mean --depth-rule centre" in lines[-1]
    assert lines[-1].endswith(" --resume")
    assert "acnorm: " in told.err
    assert "1 epochs, macro AUC 0." in told.err
    assert main([*zoo, *more, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["short_finetunes"]
    assert [item["epochs"] if "epochs" in item else len(item["values"]) for item in found["tried"]] == [1, 1]
    assert (found["method"], found["budget"]) == ("bn-only", 600.0)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--budget", "soon", "--runs", "r"], "--budget is 'soon', must be a time above 0 such as 90s, 30m or 2h."),
        (["--budget", "2h"], "--budget 2h: give --runs FOLDER, where the short fine-tunes are kept."),
        (["--runs", "r"], "--runs: is for short fine-tunes; give --budget too, such as 2h."),
        (["--epochs", "3"], "--epochs: is for short fine-tunes; give --budget too, such as 2h."),
        (["--method", "bss"], "--method: is for short fine-tunes; give --budget too, such as 2h."),
        (["--budget", "2h", "--runs", "r", "--epochs", "0"], "--epochs is 0, must be 1 or more."),
        (["--budget", "2h", "--runs", "r", "--method", "bs"], "--method 'bs' is not known; did you mean bss? See acnorm methods."),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_before_anything_is_computed(
    zoo: list[str], capsys: pytest.CaptureFixture[str], more: list[str], message: str
):
    assert main([*zoo, *more]) == 2
    assert capsys.readouterr().err == f"acnorm: {message}\n"


def test_another_folder_is_told_before_anything_is_computed(zoo: list[str], tmp_path: Path, capsys):
    (tmp_path / "thesis.doc").write_text("")
    assert main([*zoo[:2], "nowhere", *zoo[3:], "--budget", "2h", "--runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"acnorm: --runs {tmp_path}: holds files but no short fine-tunes (no halving.json); give another folder.\n"
    )
