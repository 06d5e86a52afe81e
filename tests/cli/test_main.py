from __future__ import annotations

import subprocess
import sys

import pytest

from acnorm.cli.main import main


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from acnorm.cli.main import main; assert main(['--help']) == 0; "
        "print(sorted({'torch', 'lightning', 'monai', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "finetune" in done.stdout
    assert done.stdout.strip().endswith("[]")


def test_unknown_verb_names_the_nearest(capsys: pytest.CaptureFixture[str]):
    assert main(["finetun"]) == 2
    assert capsys.readouterr().err == "acnorm: no verb 'finetun'; did you mean finetune?\n"


def test_debug_shows_the_traceback_and_changes_nothing_else(capsys: pytest.CaptureFixture[str]):
    assert main(["xyz", "--debug"]) == 2
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == "Traceback (most recent call last):"
    assert last.startswith("acnorm: no verb 'xyz'; there are check")


def test_unknown_settings_are_told_together(capsys: pytest.CaptureFixture[str]):
    assert main(["finetune", "--data", "a", "--epoch", "3", "--seeds", "1"]) == 2
    told = capsys.readouterr().err
    assert told == "acnorm: unknown settings: epoch (did you mean epochs?), seeds (did you mean seed?).\n"
