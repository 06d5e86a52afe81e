"""`acnorm bench study` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from acnorm.cli.main import main
from study_tools import tiny


def test_the_study_is_printed_and_written(capsys: pytest.CaptureFixture[str]):
    bench = tiny()[0]
    flags = ["--measures", "knn,ac-corr", "--ac-corr-steps", "1", "--probe-seeds", "2", "--with-random"]
    assert main(["bench", "study", str(bench), *flags]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("# Which measure would have picked the right checkpoint")
    assert told.out.endswith(f"report: {bench / 'study.html'}\n")
    assert "| ac-corr, 1 step | 8 of 10 |" in told.out
    assert told.err.splitlines()[-1] == "acnorm: scoring 10 of 10: d on odd"
    assert {"study.csv", "study.html", "study.md", "study_measures.csv"} <= {file.name for file in bench.iterdir()}


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "study", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"acnorm: {tmp_path}: holds no bench (no bench.sqlite); give the --out of acnorm bench or acnorm compare.\n"
    )
    assert main(["bench", "study", str(tiny()[0]), "--ac-corr-steps", "0"]) == 2
    assert capsys.readouterr().err == (
        "acnorm: --ac-corr-steps: '0' is no length; give steps from 1, or epoch, or several such as 3epochs.\n"
    )
