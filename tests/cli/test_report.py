"""`acnorm report` on the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import run_folders
from acnorm.cli.report import main
from acnorm.errors import UserError


def test_the_path_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_folders.write_begun(tmp_path / "run")
    assert main([str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'report.html'}\n"
    assert main([str(run), "--out", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'page.html'}\n"
    assert (tmp_path / "page.html").is_file()


def test_a_folder_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no config.yaml; give the folder of a run"):
        main([str(tmp_path)])


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, acnorm.cli.report; print({'torch', 'matplotlib', 'pandas'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "set()\n"
