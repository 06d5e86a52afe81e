"""`acnorm finetune` on the command line: what is printed, and the exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from acnorm.cli.main import main
from acnorm.training.finetune import Result
from acnorm.training.settings import config_from_settings
from tiny_runs import cli, eyes, flags, settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetune")
    eyes(folder / "eyes.npz")
    return folder


def test_a_run_prints_its_test_metrics_and_where_the_report_is(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "run"
    assert main(["finetune", *flags(settings(folder, out=out, epochs=1))]) == 0
    told = capsys.readouterr().out.splitlines()
    metrics = json.loads((out / "metrics.json").read_text())
    accuracy = metrics["splits"]["test"]["metrics"]["accuracy"]["value"]
    assert told[0].split()[-1] == str(out)
    assert re.match(rf"accuracy +{accuracy:.3f} \[", told[2])
    assert told[-1] == f"report: {out / 'report.html'}"
    assert (out / "report.html").is_file()


def test_bad_input_in_a_process_of_its_own_is_one_line_and_exit_code_2(folder: Path, tmp_path: Path):
    values = settings(folder, out=tmp_path / "run", weights=tmp_path / "nowhere.pth")
    done = cli("finetune", *flags(values), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"acnorm: .*nowhere\.pth: no such file; give the path of a checkpoint.*\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]):
    assert main(["finetune", "--debug", "--epoch", "3"]) == 2
    told = capsys.readouterr().err
    assert "Traceback (most recent call last)" in told
    *_, error, line = told.splitlines()
    assert error.endswith("UserError: unknown settings: epoch (did you mean epochs?).")
    assert line == "acnorm: unknown settings: epoch (did you mean epochs?)."


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"epoch": 3, "seeds": 1}, r"unknown settings: epoch \(did you mean epochs\?\), seeds \(did you mean seed\?\)\."),
        ({"epochs": 0, "momentum": 2}, r"epochs is 0, must be 1 or more; momentum is 2\.0, must be above 0 and below 1\."),
        ({"epochs": "three"}, r"epochs is 'three', must be a whole number\."),
        ({"strategy": "foo"}, r"--strategy foo: Lightning cannot use it here; give auto, ddp, ddp_spawn or fsdp\."),
        ({"devices": "many"}, r"--devices many: Lightning cannot use it here; give auto or a number of devices\."),
        ({"accelerator": "tpux"}, r"--accelerator tpux: Lightning cannot use it here; give auto, cpu, gpu or mps\."),
        ({"config": "nowhere.yaml"}, r"--config nowhere\.yaml: no such file\."),
        ({"data": "nowhere.npz"}, r"nowhere\.npz: no such file or folder; check the path"),
        ({"model": "cifar/resnet21"}, r"--model 'cifar/resnet21' is not known; did you mean .*"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, object], message: str
):
    arguments = ["finetune", *flags(settings(folder, out=tmp_path / "run", **more))]
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(rf"acnorm: {message}\n", told.err)
    assert not (tmp_path / "run").exists()


def test_printing_the_configuration_ends_well_and_prints_yaml(folder: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["finetune", *flags(settings(folder)), "--print_config"])
    assert ended.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert config_from_settings(printed).epochs == 3


def test_another_process_than_the_first_prints_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("acnorm.workflows.finetune", lambda **values: Result(Path(values["out"]), {}))
    assert main(["finetune", *flags(settings(folder))]) == 0
    assert capsys.readouterr().out == ""
