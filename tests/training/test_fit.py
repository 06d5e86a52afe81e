"""Training as a whole: which epochs are kept, when it ends, and that it leaves no half-written file."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.plugins.io import TorchCheckpointIO

from acnorm.errors import RunError, UserError
from acnorm.training.finetune import run_finetune
from acnorm.training.fit import AtomicCheckpoints, best_epoch, make_trainer
from acnorm.training.module import FinetuneModule
from acnorm.training.run_folder import RunFolder
from tiny_runs import config, equal, weights_of


def validate_as(patch: pytest.MonkeyPatch, *values: float) -> list[dict[str, torch.Tensor]]:
    """Let validation give these values in turn; the list gets the weights at the end of each epoch."""
    left, weights = list(values), []
    end = FinetuneModule.on_validation_epoch_end

    def watched(module: FinetuneModule) -> None:
        weights.append({name: value.clone() for name, value in module.state_dict().items()})
        end(module)

    patch.setattr(FinetuneModule, "on_validation_epoch_end", watched)
    patch.setattr(
        "acnorm.training.objective.classification_metrics", lambda *_: {"macro_auc": left.pop(0), "accuracy": 0.5}
    )
    return weights


@pytest.mark.parametrize(
    ("values", "best"),
    [((0.6, 0.9, 0.7, 0.8), 1), ((0.9, 0.8, 0.7, 0.6), 0), ((0.6, 0.7, 0.8, 0.9), 3), ((0.6, 0.8, 0.8, 0.8), 1)],
    ids=["within", "first", "last", "earliest of equals"],
)
def test_best_is_the_best_epoch_and_last_the_last(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: tuple[float, ...], best: int
):
    weights = validate_as(monkeypatch, *values)
    run = run_finetune(config(folder, out=tmp_path / "run", epochs=4)).path
    assert equal(weights_of(run, "best"), weights[best])
    assert equal(weights_of(run, "last"), weights[3])
    assert not equal(weights[0], weights[1])
    assert best_epoch(RunFolder(run)) == best
    assert torch.load(run / "checkpoints/last.ckpt", weights_only=True)["epoch"] == 3
    assert pd.read_csv(run / "metrics.csv")["val_macro_auc"].tolist() == list(values)


FALLING = (0.5, 0.6, 0.6, 0.55, 0.5, 0.5, 0.5, 0.5)
RISING_AGAIN = (0.5, 0.6, 0.6, 0.55, 0.7, 0.65, 0.7, 0.7)


@pytest.mark.parametrize(
    ("values", "patience", "epochs"),
    [(FALLING, 1, 3), (FALLING, 2, 4), (FALLING, 6, 8), (FALLING, None, 8), (RISING_AGAIN, 2, 4), (RISING_AGAIN, 3, 8)],
)
def test_patience_ends_the_run_so_many_epochs_after_the_best(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: tuple[float, ...],
    patience: int | None,
    epochs: int,
):
    validate_as(monkeypatch, *values)
    result = run_finetune(config(folder, out=tmp_path / "run", epochs=8, patience=patience))
    assert len(pd.read_csv(result.path / "metrics.csv")) == epochs


@pytest.mark.parametrize(("accumulate", "batch_size"), [(2, 4), (3, 4), (4, 2)])
def test_accumulating_batches_is_one_large_batch(folder: Path, tmp_path: Path, accumulate: int, batch_size: int):
    changes = {"model": "tiny_runs:without_norm", "augment": "none"}
    large = accumulate * batch_size
    whole = run_finetune(config(folder, out=tmp_path / "whole", batch_size=large, **changes)).path
    changes |= {"accumulate": accumulate, "batch_size": batch_size}
    parts = run_finetune(config(folder, out=tmp_path / "parts", **changes)).path
    small = run_finetune(config(folder, out=tmp_path / "small", **changes | {"accumulate": 1})).path
    first, second = weights_of(whole), weights_of(parts)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(weights_of(small)["network.fc.weight"], first["network.fc.weight"], rtol=1e-4)


def test_a_device_that_is_out_of_memory_is_told_with_what_to_do(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(FinetuneModule, "training_step", full)
    told = r"^the device is out of memory; lower --batch-size \(and raise --accumulate\)\.$"
    with pytest.raises(RunError, match=told):
        run_finetune(config(folder, out=tmp_path / "run"))


def test_a_program_that_ends_itself_is_not_taken_for_an_interrupt(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def leave(*_: object) -> None:
        raise SystemExit(7)

    monkeypatch.setattr(FinetuneModule, "training_step", leave)
    with pytest.raises(SystemExit) as ended:
        run_finetune(config(folder, out=tmp_path / "run"))
    assert ended.value.code == 7


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("devices", "two", "auto or a number of devices"),
        ("strategy", "ddpp", "auto, ddp, ddp_spawn or fsdp"),
        ("accelerator", "abacus", "auto, cpu, gpu or mps"),
        ("precision", "64", "auto, 32-true, 16-mixed or bf16-mixed"),
    ],
)
def test_what_lightning_does_not_accept_is_told_by_its_flag(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
):
    if name == "precision":  # all that the configuration lets pass do on a CPU

        def refuse(**_: object) -> None:
            raise MisconfigurationException("Precision 64 is invalid. And more.")

        monkeypatch.setattr("acnorm.training.fit.L.Trainer", refuse)
    made = config(folder, out=tmp_path / "run", **{name: value})
    with pytest.raises(
        UserError, match=rf"^--{name} {value}: Lightning cannot use it here \([^\n]+\); give {allowed}\.$"
    ):
        make_trainer(made, RunFolder(tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


def test_a_cpu_trains_in_full_precision_unless_told_otherwise(folder: Path, tmp_path: Path):
    run = RunFolder(tmp_path / "run")
    assert make_trainer(config(folder), run).precision == "32-true"
    assert make_trainer(config(folder, precision="bf16-mixed"), run).precision == "bf16-mixed"


def test_making_a_trainer_says_nothing_and_leaves_the_loggers_as_they_were(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")]
    before = [logger.level for logger in loggers]
    make_trainer(config(folder), RunFolder(tmp_path / "run"))
    assert [logger.level for logger in loggers] == before
    told = capsys.readouterr()
    assert told.out + told.err == ""


def test_a_kill_while_saving_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def killed(_: object, content: dict[str, int], path: Path, *__: object) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    file = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"epoch": 1}, file)
    monkeypatch.setattr(TorchCheckpointIO, "save_checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        AtomicCheckpoints().save_checkpoint({"epoch": 2}, file)
    assert torch.load(file, weights_only=True) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [file]
