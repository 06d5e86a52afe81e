from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

import acnorm
from acnorm.bench.store import Job
from acnorm.cli.main import main
from bench_tools import base, settings_of
from tiny_runs import TESTS, flags


def compare(folder: Path, *more: str) -> int:
    usual = flags(base(folder))
    return main(["compare", *usual, "--methods", "vanilla", "bn-only", "--out", str(folder / "bench"), *more])


def test_methods_are_compared_on_the_same_folds(started: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert compare(tmp_path, "--seeds", "2", "--folds", "3") == 0
    settings = [settings_of(job) for job in started]
    assert len(settings) == 12
    places = {(item["splits"], item["seed"]) for item in settings}
    assert len(places) == 6
    assert all(sum((item["splits"], item["seed"]) == place for item in settings) == 2 for place in places)
    budgets = [
        {name: item[name] for name in item if name not in ("method", "splits", "seed", "out")} for item in settings
    ]
    assert all(budget == budgets[0] for budget in budgets)
    told = capsys.readouterr().out
    assert "bn-only was better than vanilla in macro AUC by +0.05" in told
    assert f"report: {tmp_path / 'bench/report.html'}" in told
    page = (tmp_path / "bench/report.html").read_text()
    assert re.search(r"<code>acnorm compare --data .* --seeds 2 --folds 3</code>", page)


def test_what_is_finished_is_not_run_again(started: list[Job], tmp_path: Path):
    assert compare(tmp_path, "--seeds", "2", "--folds", "1") == 0
    assert len(started) == 4
    assert compare(tmp_path, "--seeds", "3", "--folds", "1", "--workers", "2") == 0
    assert len(started) == 6


def test_fractions_and_the_baseline(started: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    more = ["--fractions", "0.5", "1.0", "--seeds", "2", "--folds", "1", "--baseline", "bn-only"]
    assert compare(tmp_path, *more) == 0
    assert len(started) == 8
    told = capsys.readouterr().out
    assert "### 50 % of labels" in told
    assert re.search(r"\| bn-only \| 2 \| 0\.75\d \[0\.7\d\d, 0\.7\d\d\] \| baseline", told)
    assert "vanilla was worse than bn-only" in told or "vanilla looks worse than bn-only" in told


def test_a_dry_run_keeps_nothing_and_tells_what_the_grid_takes(
    started: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    more = ["--seeds", "1", "--folds", "2", "--epochs", "11"]
    assert compare(tmp_path, *more, "--dry-run") == 0
    told, heard = capsys.readouterr()
    assert told.splitlines()[0].split() == ["method", "fraction", "seed", "fold", "state", "time", "memory"]
    # an epoch takes a minute, and there are ten more of them in a run
    assert told.endswith(
        "4 cells, 4 to run: about 40 min, up to 0.1 GiB of memory.\nTold by 2 of 2 pilot runs of one epoch.\n"
    )
    assert heard.startswith(
        "acnorm: 2 pilot runs of one epoch, to know what the grid will take; nothing of them is kept. "
        "Ctrl-C ends them, and so do 5 min.\n"
    )
    assert len(started) == 2
    assert not any(job.config.exists() for job in started)
    assert not (tmp_path / "bench").exists()


def test_a_dry_run_knows_what_finished_runs_took(
    started: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert compare(tmp_path, "--seeds", "1", "--folds", "2") == 0
    capsys.readouterr()
    assert compare(tmp_path, "--seeds", "2", "--folds", "2", "--dry-run") == 0
    told, heard = capsys.readouterr()
    assert told.endswith("8 cells, 4 to run: about 1 min, up to 0.1 GiB of memory.\n")
    assert heard == ""
    assert len(started) == 4


def test_settings_are_searched_by_one_switch(started: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert compare(tmp_path, "--seeds", "1", "--folds", "2", "--search", "3", "--dry-run") == 0
    assert "4 cells, each the best of 3 trials: 12 runs in all: about 1 min" in capsys.readouterr().out
    started.clear()
    assert compare(tmp_path, "--seeds", "1", "--folds", "2", "--search", "3") == 0
    assert len(started) == 12
    told = capsys.readouterr().out
    assert "| bn-only | 6 | " in told
    assert "bn-only.rate " in told
    assert "Settings were searched: 3 trials for every method in every fold" in told


def test_a_look_ahead_at_a_search_says_what_the_search_needs(
    started: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert compare(tmp_path, "--search", "3", "--dry-run") == 2
    assert capsys.readouterr().err == "acnorm: --search needs Optuna: pip install 'acnorm[search]' (or optuna).\n"
    assert not started


def test_a_look_ahead_that_is_terminated_keeps_nothing_and_tells_what_it_knows(
    started: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def killed(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr("acnorm.bench.pilot.Runner.run", killed)
    before = signal.getsignal(signal.SIGTERM)
    assert compare(tmp_path, "--dry-run") == 0
    assert "Told by 0 of 2 pilot runs of one epoch." in capsys.readouterr().out
    assert not list(folder.iterdir())
    assert not started
    assert signal.getsignal(signal.SIGTERM) == before


def test_failed_cells_are_told_at_the_end(started: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert compare(tmp_path, "--seeds", "1", "--folds", "1", "--epochs", "7") == 1
    assert len(started) == 4
    told = capsys.readouterr()
    assert "no pair of finished runs has a value" in told.out
    assert told.err.splitlines()[-1] == (
        f"acnorm: 2 of 2 cells failed twice; {tmp_path}/bench/report.html tells which, {tmp_path}/bench/logs what they "
        "said. The command that asked for them tries them again."
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seed", "3"], "--seed: is set for every run of acnorm compare; give --seeds."),
        (["--splits", "s.json"], "--splits: is set for every run of acnorm compare; give --folds."),
        (["--method", "bss"], "--method: is set for every run of acnorm compare; give --methods."),
        (["--resume"], "--resume: is set for every run of acnorm compare; the same command goes on."),
        (["--epoch", "3"], "unknown settings: epoch (did you mean epochs?)."),
        (["--methods", "vanilla"], "--methods vanilla: give two or more, to compare them."),
        (["--methods", "vanilla", "nil"], "acnorm compare: method is 'nil', must be of vanilla, acnorm, linear-probe, "),
        (["--baseline", "bss"], "acnorm compare: baseline is 'bss', must be one of method: 'vanilla', 'bn-only'."),
        (["--seeds", "many"], "--seeds is 'many', must be a whole number; see acnorm compare --help."),
        (["--seeds", "0"], "acnorm compare: seeds is [], must be different whole numbers, 0 or more."),
        (["--fractions", "0", "1"], "acnorm compare: fractions is [0.0, 1.0], must be numbers above 0, at most 1."),
        (["--search", "1"], "acnorm compare: search is 1, must be 2 or more trials."),
        (["--jobs", "0"], "--jobs is 0, must be 1 or more."),
        (["--threads", "0"], "--threads is 0, must be 1 or more."),
        (["--jobs", "0", "--dry-run"], "--jobs is 0, must be 1 or more."),
        (["--engine", "slurm"], "--engine: invalid choice: 'slurm' (choose from "),
        (["--address", "auto"], "--address: is for --engine ray; give that too, or leave it out."),
        (["--gpus-per-cell", "1"], "--gpus-per-cell: is for --engine ray; give that too, or leave it out."),
        (["--engine", "ray", "--gpus-per-cell", "1.5"], "--gpus-per-cell is 1.5, must be 0, a fraction of 1, or a whole number."),
        (["--engine", "ray", "--jobs", "0"], "--jobs is 0, must be 1 or more."),
        (["--engine", "ray", "--threads", "0"], "--threads is 0, must be 1 or more."),
        (["--weights", "no.pth"], "--weights no.pth: no such file; give a checkpoint, or leave it out for random weights."),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(
    started: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
):
    assert compare(tmp_path, *more) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"acnorm: {message}")
    assert told.count("\n") == 1
    assert not (tmp_path / "bench").exists()
    assert not started


def test_folders_that_hold_something_else(started: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/thesis.doc").write_text("")
    assert compare(tmp_path) == 2
    assert capsys.readouterr().err == (
        f"acnorm: --out {tmp_path}/bench: holds files but no bench (no bench.sqlite); give another folder.\n"
    )


def test_a_metric_that_is_not_measured_is_told_before_any_run(
    started: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert compare(tmp_path, "--seeds", "1", "--folds", "1", "--metric", "acuracy") == 2
    assert capsys.readouterr().err == (
        "acnorm: acnorm compare: metric is 'acuracy', which no run can be compared by; did you mean accuracy?\n"
    )
    assert not started
    assert compare(tmp_path, "--seeds", "1", "--folds", "1", "--metric", "macro_auc") == 0
    assert len(started) == 2


def test_a_tracker_decides_no_result(started: list[Job], tmp_path: Path):
    assert compare(tmp_path, "--seeds", "1", "--folds", "1") == 0
    assert compare(tmp_path, "--seeds", "1", "--folds", "1", "--tracker", "mlflow") == 0
    assert len(started) == 2


def test_real_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Two networks are trained, each in a process of its own."""
    arguments = ["compare", *flags(base(tmp_path)), "--methods", "vanilla", "bn-only", "--seeds", "1", "--folds", "1"]
    arguments += ["--out", "bench", "--jobs", "2", "--threads", "1"]
    sources = os.pathsep.join(map(str, (TESTS, Path(acnorm.__file__).parents[1])))
    monkeypatch.setenv("PYTHONPATH", sources)
    monkeypatch.chdir(tmp_path)
    code, told = main(arguments), capsys.readouterr()
    assert code == 0, told.err
    assert told.err.splitlines()[-1] == "acnorm: 2 done"
    assert "Nothing can be concluded about bn-only and vanilla in macro AUC" in told.out  # of one run each
    runs = list((tmp_path / "bench/cells").iterdir())
    assert {yaml.safe_load((run / "config.yaml").read_text())["method"] for run in runs} == {"vanilla", "bn-only"}
    assert all((run / "model/model.safetensors").is_file() for run in runs)
    assert "GiB" in (tmp_path / "bench/report.html").read_text()
