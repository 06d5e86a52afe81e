"""`acnorm inspect` on the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import inspected
from acnorm.cli.inspect import main
from acnorm.cli.main import main as acnorm
from acnorm.report import inspection


def test_what_was_found_what_was_not_and_the_page_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}

    def inspect_runs(runs: list[str], **settings: object) -> object:
        given.update(settings, runs=runs)
        return inspected.inspection()

    monkeypatch.setattr(inspection, "inspect_runs", inspect_runs)
    monkeypatch.setattr(inspection, "render", lambda *_, **__: "the page")
    flags = ["--domains", "x", "y", "--images", "8", "--permutations", "99", "--model", "m:f"]
    assert main(["a", "b", "--out", str(tmp_path), *flags]) == 0
    assert given == {"runs": ["a", "b"], "domains": ["x", "y"], "images": 8, "permutations": 99, "model": "m:f"}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "The median ratio moved by 0.30 from start to end."
    assert lines[-2:] == ["eyes-vanilla-0: something <b>is</b> missing.", f"{tmp_path}/inspect.html"]
    assert (tmp_path / "inspect.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "--out", "o"], "nowhere: is not a run (no config.yaml); give the --out of acnorm finetune."),
        (["a", "a", "--out", "o"], "a: is given twice; give each run once."),
        (["a", "--out", "o", "--images", "1"], "--images is 1, must be 2 or more."),
        (["a"], "missing: --out; see acnorm inspect --help."),
        (["a", "--out", "o", "--domain", "x"], "no flag --domain; did you mean --domains?"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert acnorm(["inspect", *arguments]) == 2
    assert capsys.readouterr().err == f"acnorm: {told}\n"
    assert list(tmp_path.iterdir()) == []


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, acnorm.cli.inspect; print({'torch', 'matplotlib', 'pandas'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "set()\n"
