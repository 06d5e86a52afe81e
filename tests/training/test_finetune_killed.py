"""Wherever a run is killed, resuming it ends as if it had never stopped; what cannot be resumed is told."""

from __future__ import annotations

import logging
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from acnorm.errors import RunError, UserError
from acnorm.training import finetune
from acnorm.training.affine_record import RECORD, AffineRecord, read_trajectory
from acnorm.training.finetune import run_finetune
from acnorm.training.module import FinetuneModule
from tiny_runs import config, equal, weights_of

WAYS = {
    "vanilla": {},
    "acnorm": {"method": "acnorm"},
    "dropout": {"model": "tiny_runs:dropping"},
    "acnorm with dropout": {"method": "acnorm", "model": "tiny_runs:dropping", "acnorm": {"init": "identity"}},
    "accumulate": {"accumulate": 2, "batch_size": 5},
    "sgd": {"optimizer": "sgd"},
    "workers": {"workers": 2, "model": "tiny_runs:dropping"},
}


class Killed(Exception):
    """Stands for a process that ends without warning."""


def kill_in(patch: pytest.MonkeyPatch, epoch: int, error: type[BaseException] = Killed) -> None:
    """Let training end in the second batch of an epoch."""
    step = FinetuneModule.training_step

    def stopping(module: FinetuneModule, batch: dict, batch_idx: int) -> torch.Tensor:
        if module.current_epoch == epoch and batch_idx == 1:
            raise error
        return step(module, batch, batch_idx)

    patch.setattr(FinetuneModule, "training_step", stopping)


def killed_run(folder: Path, out: Path, epoch: int, **changes: object) -> Path:
    """Leave the folder of a run that was killed in an epoch."""
    with pytest.MonkeyPatch.context() as patch:
        kill_in(patch, epoch)
        with pytest.raises(Killed):
            run_finetune(config(folder, out=out, **changes))
    return out


def killed_at_the_end(folder: Path, out: Path, **changes: object) -> Path:
    """Leave the folder of a run that was killed after its training."""

    def stop(*_: object, **__: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune, "ship", stop)
        with pytest.raises(Killed):
            run_finetune(config(folder, out=out, **changes))
    return out


def history(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "metrics.csv").drop(columns=["seconds", "waiting"])


def from_weights(folder: Path, **changes: object) -> dict:
    return {"weights": folder / "weights.pth", "epochs": 3, **changes}


def metrics_from(values: list[float]) -> Callable[..., dict[str, float]]:
    """Validation that gives these values in turn, and the last for ever."""

    def following(*_: object) -> dict[str, float]:
        return {"macro_auc": values.pop(0) if len(values) > 1 else values[0], "accuracy": 0.5}

    return following


@pytest.mark.parametrize("changes", WAYS.values(), ids=WAYS)
def test_resumed_equals_uninterrupted(folder: Path, tmp_path: Path, changes: dict):
    changes = from_weights(folder, **changes, epochs=4)
    whole = run_finetune(config(folder, out=tmp_path / "whole", **changes)).path
    killed = killed_run(folder, tmp_path / "killed", 2, **changes)
    assert not (killed / "metrics.json").exists()
    torch.manual_seed(12345)
    run_finetune(config(folder, out=killed, resume=True, **changes))
    for name in ("last", "best"):
        assert equal(weights_of(whole, name), weights_of(killed, name))
    pd.testing.assert_frame_equal(history(whole), history(killed))
    assert (whole / "per_case.csv").read_text() == (killed / "per_case.csv").read_text()
    for name in ("model/model.safetensors", RECORD):
        assert (whole / name).read_bytes() == (killed / name).read_bytes()


def test_the_time_of_the_epochs_before_a_kill_counts(folder: Path, tmp_path: Path):
    run = killed_run(folder, tmp_path / "run", 2)
    history = pd.read_csv(run / "metrics.csv")
    assert len(history) == 2
    history.assign(seconds=1000.0).to_csv(run / "metrics.csv", index=False)
    metrics = run_finetune(config(folder, out=run, resume=True)).metrics
    assert 2000 < metrics["seconds"] < 2200
    assert run_finetune(config(folder, out=tmp_path / "whole")).metrics["seconds"] < 200


def test_killed_again_and_again(folder: Path, tmp_path: Path, vanilla: Path):
    for epoch, resume in ((0, False), (0, True), (1, True), (2, True)):
        killed_run(folder, tmp_path / "run", epoch, **from_weights(folder, resume=resume))
    run_finetune(config(folder, out=tmp_path / "run", **from_weights(folder, resume=True)))
    assert equal(weights_of(vanilla), weights_of(tmp_path / "run"))
    pd.testing.assert_frame_equal(history(vanilla), history(tmp_path / "run"))
    assert (vanilla / RECORD).read_bytes() == (tmp_path / "run" / RECORD).read_bytes()


def test_a_record_that_keeps_some_epochs_alone_is_resumed_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(finetune, "AffineRecord", lambda file, epochs: AffineRecord(file, epochs, limit=600))
    changes = from_weights(folder, method="acnorm", epochs=5)
    whole = run_finetune(config(folder, out=tmp_path / "whole", **changes)).path
    run = killed_run(folder, tmp_path / "run", 3, **changes)
    assert read_trajectory(run / RECORD).epochs == (0, 2, 3)
    run_finetune(config(folder, out=run, resume=True, **changes))
    assert (whole / RECORD).read_bytes() == (run / RECORD).read_bytes()
    assert read_trajectory(run / RECORD).epochs == (0, 2, 4, 5)


def test_a_run_whose_record_is_damaged_goes_on_without(folder: Path, tmp_path: Path):
    run = killed_run(folder, tmp_path / "run", 2, **from_weights(folder))
    (run / RECORD).write_bytes(b"not tensors")
    run_finetune(config(folder, out=run, **from_weights(folder, resume=True)))
    assert not (run / RECORD).exists()
    assert "affine.safetensors: is not there or damaged; the run goes on without it" in (run / "log.txt").read_text()


def test_killed_after_training_only_the_end_is_made_again(folder: Path, tmp_path: Path, acnorm: Path):
    run = killed_at_the_end(folder, tmp_path / "run", **from_weights(folder, method="acnorm"))
    before = (run / "checkpoints/last.ckpt").read_bytes()
    run_finetune(config(folder, out=run, **from_weights(folder, method="acnorm", resume=True)))
    assert (run / "checkpoints/last.ckpt").read_bytes() == before
    assert (acnorm / "per_case.csv").read_text() == (run / "per_case.csv").read_text()


def test_killed_after_stopping_early_it_stays_stopped(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    changes = from_weights(folder, epochs=9, patience=1)
    monkeypatch.setattr("acnorm.training.objective.classification_metrics", metrics_from([0.6]))
    run = killed_at_the_end(folder, tmp_path / "run", **changes)
    assert len(history(run)) == 2
    stopped = weights_of(run)
    run_finetune(config(folder, out=run, resume=True, **changes))
    assert len(history(run)) == 2
    assert equal(weights_of(run), stopped)


def test_patience_counts_across_a_kill(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    changes = from_weights(folder, epochs=9, patience=3)
    monkeypatch.setattr("acnorm.training.objective.classification_metrics", metrics_from([0.6]))
    run = killed_run(folder, tmp_path / "run", 2, **changes)
    result = run_finetune(config(folder, out=run, resume=True, **changes))
    assert len(history(run)) == 4
    assert result.metrics["best_epoch"] == 0


def test_a_run_that_was_moved_keeps_its_best_epoch(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    changes = from_weights(folder, epochs=4)
    monkeypatch.setattr("acnorm.training.objective.classification_metrics", metrics_from([0.9, 0.8, 0.7, 0.6]))
    killed_run(folder, tmp_path / "here", 2, **changes)
    shutil.move(tmp_path / "here", tmp_path / "there")
    result = run_finetune(config(folder, out=tmp_path / "there", resume=True, **changes))
    assert result.metrics["best_epoch"] == 0
    assert not (tmp_path / "here").exists()


def test_ctrl_c_says_how_to_go_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vanilla: Path):
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        kill_in(patch, 1, KeyboardInterrupt)
        with pytest.raises(RunError, match=r"^stopped by the user; go on with --resume\.$"):
            run_finetune(config(folder, out=tmp_path / "run", **from_weights(folder)))
    assert signal.getsignal(signal.SIGINT) is handler
    assert "ERROR stopped: stopped by the user" in (tmp_path / "run/log.txt").read_text()
    run_finetune(config(folder, out=tmp_path / "run", **from_weights(folder, resume=True)))
    assert equal(weights_of(vanilla), weights_of(tmp_path / "run"))


def test_other_settings_are_refused_by_name(folder: Path, vanilla: Path):
    changed = from_weights(folder, epochs=5, learning_rate=0.5, acnorm={"temperature": 2.0}, resume=True)
    told = r"epochs was 3, is 5, learning_rate was 0\.01, is 0\.5, acnorm was .*temperature=1\.0.*temperature=2\.0.*"
    with pytest.raises(UserError, match=rf"the run was started with other settings \({told}\); use the same"):
        run_finetune(config(folder, out=vanilla, **changed))


def test_a_finished_run_stays_as_it_is(folder: Path, vanilla: Path):
    before = {path: path.stat().st_mtime_ns for path in vanilla.rglob("*")}
    run_finetune(config(folder, out=vanilla, **from_weights(folder, resume=True, workers=2)))
    assert {path: path.stat().st_mtime_ns for path in vanilla.rglob("*")} == before


def test_nothing_to_resume(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"run: holds no run to resume; leave --resume out to start one"):
        run_finetune(config(folder, out=tmp_path / "run", resume=True))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", ["- a list", "a: [", "\x00"])
def test_a_damaged_config_is_refused(folder: Path, tmp_path: Path, content: str):
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(UserError, match=r"config\.yaml: is damaged; start the run again with --overwrite"):
        run_finetune(config(folder, out=tmp_path, resume=True))


@pytest.mark.parametrize("keep", [0, 100, 3000])
def test_a_damaged_checkpoint_is_refused(folder: Path, tmp_path: Path, keep: int):
    run = killed_run(folder, tmp_path / "run", 1, **from_weights(folder))
    last = run / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"last\.ckpt: is damaged or cut short; start the run again with --overwrite"):
        run_finetune(config(folder, out=run, **from_weights(folder, resume=True)))


def test_resuming_keeps_what_was_written_and_goes_on_with_the_log(folder: Path, tmp_path: Path):
    run = killed_run(folder, tmp_path / "run", 1, **from_weights(folder))
    before = {name: (run / name).read_text() for name in ("config.yaml", "data.json", "splits.json")}
    assert yaml.safe_load(before["config.yaml"])["resume"] is False
    run_finetune(config(folder, out=run, **from_weights(folder, resume=True)))
    assert {name: (run / name).read_text() for name in before} == before
    log = (run / "log.txt").read_text()
    assert log.count("cases to train on") == 2
    assert log.count("stopped: Killed") == 1


def test_resuming_uses_the_splits_of_the_run(folder: Path, tmp_path: Path):
    changes = from_weights(folder, splits=tmp_path / "splits.json")
    run = killed_run(folder, tmp_path / "run", 1, **changes)
    (tmp_path / "splits.json").write_text("gone wrong")
    assert run_finetune(config(folder, out=run, resume=True, **changes)).metrics["splits"]
    assert logging.getLogger("acnorm").handlers == []


def test_other_images_under_the_same_name_are_refused(folder: Path, tmp_path: Path):
    eyes = tmp_path / "eyes.npz"
    shutil.copy(folder / "eyes.npz", eyes)
    changes = from_weights(folder, data=eyes)
    run = killed_run(folder, tmp_path / "run", 1, **changes)
    content = dict(np.load(eyes))
    content["train_images"] = content["train_images"].copy()
    content["train_images"][0, 0, 0] ^= 1
    np.savez_compressed(eyes, **content)
    before = files_of(run)
    with pytest.raises(UserError, match=r"eyes\.npz has changed since the run was started; put back what it was"):
        run_finetune(config(folder, out=run, resume=True, **changes))
    assert files_of(run) == before


def test_other_weights_under_the_same_name_are_refused(folder: Path, tmp_path: Path):
    weights = tmp_path / "weights.pth"
    shutil.copy(folder / "weights.pth", weights)
    run = killed_run(folder, tmp_path / "run", 1, **from_weights(folder, weights=weights))
    state = torch.load(weights, weights_only=True)
    torch.save({**state, "epoch": 7}, weights)
    before = files_of(run)
    with pytest.raises(UserError, match=r"weights\.pth is another file than at the start; put back what it was"):
        run_finetune(config(folder, out=run, **from_weights(folder, weights=weights, resume=True)))
    assert files_of(run) == before


def files_of(run: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
