from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from acnorm.bench.store import Job
from acnorm.cli.main import main
from bench_tools import base, settings_of

GRID = """
base: {{model: {model}, epochs: 1, batch_size: 8, bootstrap: 20}}
axes: {{method: [vanilla, bn-only, warm]}}
variants: {{warm: {{method: acnorm, acnorm: {{init: identity}}}}}}
tasks: {{a: {{data: eyes.npz}}, b: {{data: eyes.npz, image_size: 16}}}}
seeds: 2
"""


def test_a_grid_file(started: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    content = {
        "base": base(tmp_path),
        "axes": {"method": ["vanilla", "bn-only"]},
        "tasks": {"short": {"epochs": 1}, "failing": {"epochs": 7}},
        "seeds": 2,
    }
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    arguments = [str(tmp_path / "grid.yaml"), "--out", str(tmp_path / "bench")]
    assert main(["bench", *arguments]) == 1
    assert len(started) == 4 + 2 * 4
    capsys.readouterr()
    assert main(["bench", "status", str(tmp_path / "bench")]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["task", "method", "done", "running", "waiting", "failed", "time", "a", "run"]
    assert rows[1][:6] == ["short", "vanilla", "2", "0", "0", "0"]
    assert rows[4][:6] == ["failing", "bn-only", "0", "0", "0", "2"]
    (tmp_path / "bench/report.html").unlink()
    assert main(["bench", "report", str(tmp_path / "bench")]) == 0
    assert "### short" in capsys.readouterr().out
    assert (tmp_path / "bench/report.html").is_file()
    assert main(["bench", "status", str(tmp_path)]) == 2
    assert "holds no bench" in capsys.readouterr().err


def test_runs_are_tracked_and_are_the_same_cells(started: list[Job], tmp_path: Path):
    (tmp_path / "grid.yaml").write_text(
        yaml.safe_dump({"base": base(tmp_path), "axes": {"method": ["vanilla", "bn-only"]}})
    )
    bench = ["bench", str(tmp_path / "grid.yaml"), "--out", str(tmp_path / "bench")]
    assert main([*bench, "--tracker", "tensorboard", "--tracker", "wandb"]) == 0
    assert {settings_of(job)["tracker"] for job in started} == {"tensorboard,wandb"}
    assert main(bench) == 0
    assert len(started) == 2  # nothing to run: a tracker decides no result
    assert main([*bench, "--tracker", "abacus"]) == 2


def test_a_grid_is_run_in_parts(started: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = base(tmp_path)["model"]  # the data are below --data alone
    (tmp_path / "g.yaml").write_text(GRID.format(model=model))
    command = ["bench", str(tmp_path / "g.yaml"), "--data", str(tmp_path), "--out", str(tmp_path / "bench"), "--only"]
    assert main([*command, "task=a", "method=vanilla,warm"]) == 0
    assert [settings_of(job)["acnorm"]["init"] for job in started] == ["paper", "identity"] * 2
    assert {settings_of(job)["data"] for job in started} == {str(tmp_path / "eyes.npz")}
    capsys.readouterr()
    assert main([*command, "task=b", "seed=1"]) == 0
    assert len(started) == 7
    told = capsys.readouterr().out
    assert "### a" in told
    assert "### b" in told
    assert "Ranks are of 1 of 2 tasks, those in which all have finished runs; left out: a." in told
    assert "Over tasks nothing can be concluded from 1 task: it takes 3." in told
    assert main([*command, "task=b,a", "seed=1", "method=vanilla", "--dry-run"]) == 0
    assert capsys.readouterr().out.endswith("2 cells, 0 to run.\n")


def test_a_part_that_is_none_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "g.yaml").write_text(GRID.format(model="cifar/resnet20"))
    assert main(["bench", str(tmp_path / "g.yaml"), "--out", str(tmp_path / "bench"), "--only", "source=a"]) == 2
    assert capsys.readouterr().err.endswith(
        "g.yaml: --only source=a: source is no axis; there are task, method, fraction, seed, fold.\n"
    )


def test_a_grid_after_only_is_no_part_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "g.yaml").write_text(GRID.format(model="cifar/resnet20"))
    grid = str(tmp_path / "g.yaml")
    assert main(["bench", "--out", str(tmp_path / "bench"), "--only", "seed=0", grid]) == 2
    assert capsys.readouterr().err == (
        f"acnorm: --only: {grid} is no AXIS=VALUE; give the grid before --only; see acnorm bench --help.\n"
    )


def test_a_look_ahead_refuses_the_folder_that_the_run_would_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    content = {"base": base(tmp_path), "axes": {"method": ["vanilla", "bn-only"]}}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(content))
    command = ["bench", str(tmp_path / "grid.yaml"), "--dry-run", "--out"]
    assert main([*command, str(tmp_path)]) == 2
    told = f"acnorm: --out {tmp_path}: holds files but no bench (no bench.sqlite); give another folder.\n"
    assert capsys.readouterr().err == told
    assert main([*command, str(tmp_path / "grid.yaml")]) == 2
    assert capsys.readouterr().err == f"acnorm: --out {tmp_path / 'grid.yaml'}: is a file; give a folder.\n"
