from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from acnorm.bench import work
from acnorm.bench.made_of import line_of
from acnorm.bench.store import Store
from acnorm.training.config import FinetuneConfig
from bench_tools import base, grid
from tiny_runs import eyes

CHANGED = "{}: has changed since the bench was planned; put back what it was, or give the same command again, "


def planned(folder: Path) -> tuple[Path, Path]:
    """The settings and the run folder of a cell that was planned."""
    store = Store(folder / "bench")
    cell = grid(folder).cells()[0]
    store.plan([cell], {})
    return store.config_file(cell.address), store.run_folder(cell.address)


def replace(file: Path) -> None:
    before = file.read_bytes()
    eyes(file, seed=5)
    assert file.read_bytes() != before


def test_what_was_planned_runs(tmp_path: Path):
    settings, run = planned(tmp_path)
    assert work.main([str(settings)]) == 0
    assert (run / "metrics.json").is_file()


def test_data_that_were_replaced_since_the_plan_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    settings, run = planned(tmp_path)
    replace(tmp_path / "eyes.npz")
    assert work.main([str(settings)]) == 2
    assert capsys.readouterr().err == f"{CHANGED.format(tmp_path / 'eyes.npz')}which plans anew.\n"
    assert not run.exists()


def test_a_checkpoint_that_was_replaced_since_the_plan_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    weights = tmp_path / "source.pt"
    weights.write_bytes(b"one")
    store = Store(tmp_path / "bench")
    cell = grid(tmp_path, base=base(tmp_path, weights=str(weights))).cells()[0]
    store.plan([cell], {})
    weights.write_bytes(b"two")
    assert work.main([str(store.config_file(cell.address))]) == 2
    assert capsys.readouterr().err == f"{CHANGED.format(weights)}which plans anew.\n"


def test_a_network_that_was_changed_since_the_plan_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    settings, _ = planned(tmp_path)
    monkeypatch.setattr("acnorm.bench.cells.network_content", lambda _: "another")
    assert work.main([str(settings)]) == 2
    assert capsys.readouterr().err.startswith(CHANGED.format(base(tmp_path)["model"]))


@pytest.mark.parametrize("how", [replace, Path.unlink])
def test_a_run_whose_data_are_replaced_meanwhile_is_no_result(
    how: object, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    settings, run = planned(tmp_path)

    def train(config: FinetuneConfig) -> None:
        run.mkdir(parents=True)
        (run / "metrics.json").write_text("{}")
        how(Path(config.data))  # type: ignore[operator]

    monkeypatch.setattr(work, "run_finetune", train)
    assert work.main([str(settings)]) == 2
    assert capsys.readouterr().err.startswith(CHANGED.format(tmp_path / "eyes.npz"))
    assert not run.exists()


def test_the_same_content_under_a_new_date_is_the_same(tmp_path: Path):
    settings, _ = planned(tmp_path)
    os.utime(tmp_path / "eyes.npz", (1, 1))
    assert work.main([str(settings)]) == 0


def test_the_line_is_a_comment_above_the_settings(tmp_path: Path):
    settings, run = planned(tmp_path)
    cell = grid(tmp_path).cells()[0]
    assert settings.read_text().startswith(f"{line_of(cell.inputs)}\n")
    assert yaml.safe_load(settings.read_text())["out"] == str(run)
