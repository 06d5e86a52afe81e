"""`acnorm demo` on the command line: the steps, both tables and the path of the report."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from acnorm.cli.main import main
from acnorm.demo import DemoResult
from acnorm.ranking.rank import Candidate, Ranking
from acnorm.ranking.result import Score
from acnorm.training.finetune import Result

INTERVAL = {"value": 0.8, "low": 0.7, "high": 0.9}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, bool]]:
    """Stand in for the demo, which has a test of its own; the list gets what it was asked for."""
    calls: list[tuple[Path, bool]] = []

    def run_demo(out: Path, *, overwrite: bool, say: Callable[[str], None]) -> DemoResult:
        calls.append((out, overwrite))
        say("making phantoms")
        metrics = {"resampled": "cases", "splits": {"test": {"cases": 5, "metrics": {"accuracy": INTERVAL}}}}
        runs = {name: Result(out / name, metrics) for name in ("vanilla", "acnorm")}
        candidate = Candidate("grade.pth", scores={"ac-corr": Score(9.0, 8.8, 9.2, place=1)})
        ranking = Ranking((candidate,), "one optimiser step", ("grade.pth",))
        return DemoResult(ranking, runs, out / "report.html")

    monkeypatch.setattr("acnorm.demo.run_demo", run_demo)
    return calls


def test_steps_tables_and_path_are_printed(
    tmp_path: Path, made: list[tuple[Path, bool]], capsys: pytest.CaptureFixture[str]
):
    assert main(["demo", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert made == [(tmp_path, False)]
    assert lines[0] == "· making phantoms"
    assert any(line.split() == ["ac-corr", "grade.pth", "9.000", "8.800", "to", "9.200"] for line in lines)
    assert any(line.split()[-2:] == ["vanilla", "acnorm"] for line in lines)
    assert any(line.startswith("accuracy") and line.count("0.800 [0.700, 0.900]") == 2 for line in lines)
    assert "not evidence for either method" in lines[-3]
    assert lines[-1].startswith(f"report: {tmp_path / 'report.html'} (")


def test_the_folder_is_demo_unless_given_and_overwriting_is_asked_for(made: list[tuple[Path, bool]]):
    assert main(["demo", "--overwrite"]) == 0
    assert made == [(Path("demo"), True)]


def test_a_folder_of_other_files_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["demo", "--out", str(tmp_path), "--overwrite"]) == 2
    told = capsys.readouterr()
    assert told.err == f"acnorm: --out {tmp_path}: holds files that are not a demo's; give another folder.\n"
    assert told.out == ""


@pytest.fixture(autouse=True)
def levels_are_put_back():
    handlers = {handler: handler.level for handler in logging.getLogger().handlers}
    yield
    for handler, level in handlers.items():
        handler.setLevel(level)
