from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from acnorm.cli.check import main
from acnorm.data.formats import FORMATS


def eyes(path: Path, **changes: object) -> Path:
    rng = np.random.default_rng(0)
    arrays = {
        "train_images": rng.integers(0, 256, (5, 8, 8), dtype=np.uint8),
        "train_labels": np.array([0, 1, 0, 1, 1]),
        "test_images": rng.integers(0, 256, (2, 8, 8), dtype=np.uint8),
        "test_labels": np.array([0, 1]),
    }
    np.savez(path, **(arrays | changes))
    return path


def test_counts_and_no_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = eyes(tmp_path / "a.npz")
    assert main([str(path)]) == 0
    assert capsys.readouterr().out == (
        f"{path}: 7 cases, format medmnist\n"
        "patients: not given; size: 8×8; channels: 1\n"
        "\n"
        "class  train  test  all\n"
        "0          2     1    3\n"
        "1          3     1    4\n"
        "all        5     2    7\n"
        "\n"
        "No problem found.\n"
    )


def test_warnings_end_well_and_fatal_problems_do_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = eyes(tmp_path / "a.npz", test_labels=np.array([1, 1]))
    assert main([str(path)]) == 0
    out = capsys.readouterr().out
    assert f"Warnings (1):\n  {path}: class '0' has no case in test; add cases" in out
    with np.load(path) as file:
        leaked = file["train_images"][:2]
    eyes(path, test_images=leaked)
    assert main([str(path), "--format", "medmnist"]) == 2
    out = capsys.readouterr().out
    assert f"Fatal (2):\n  {path}[train_0000]: the same pixels as {path}[test_0000], in train and test" in out


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "gone"), "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["fatal"] is True
    assert report["problems"] == [
        {
            "file": str(tmp_path / "gone"),
            "what": "no such file or folder",
            "remedy": "check the path",
            "fatal": True,
        }
    ]


def test_notes_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    images = np.random.default_rng(1).integers(0, 256, (2, 9, 9, 3), dtype=np.uint8)
    assert main([str(eyes(tmp_path / "a.npz", test_images=images))]) == 0
    assert "images differ in size: 5 of 8×8, 2 of 9×9\nimages differ in channels: 5 of 1, 2 of 3" in (
        capsys.readouterr().out
    )


def test_a_terminal_gets_a_bar_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main([str(eyes(tmp_path / "a.npz")), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cases"] == 7


def test_the_same_problem_of_many_files_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for label in ("0", "1"):
        (tmp_path / label).mkdir()
        for at in range(4):
            (tmp_path / label / f"{at}.png").touch()
    assert main([str(tmp_path)]) == 2
    told = capsys.readouterr().out
    names = ", ".join(str(tmp_path / "0" / f"{at}.png") for at in range(3))
    assert f"Fatal (8):\n  {names} and 5 more: the file is empty (0 bytes); copy or export it again\n" in told


def test_no_more_is_printed_than_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    images = np.random.default_rng(9).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    images[30:] = images[:30]
    path = eyes(tmp_path / "a.npz", train_images=images, train_labels=np.arange(60) % 2)
    assert main([str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "  ... and 10 more lines; --json tells all"
    assert len([line for line in lines if "the same pixels as" in line]) == 20
    assert main([str(path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["problems"]) == 30


def test_the_help_names_no_few_of_the_formats(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "--format NAME of the data; found if left out (a name that is none lists all)" in told


def test_a_format_that_is_none_lists_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path), "--format", "none"]) == 2
    assert f"unknown format 'none'; allowed are {', '.join(FORMATS)}" in capsys.readouterr().out
