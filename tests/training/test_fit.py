"""Training as a whole: which epochs are kept, when it ends, and that it leaves no half-written file."""

from __future__ import annotations

import io
import logging
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


ALLOWED = {
    "devices": "auto or a number of devices",
    "strategy": "auto, ddp, ddp_spawn or fsdp",
    "accelerator": "auto, cpu, gpu or mps",
    "precision": "auto, 32-true, 16-mixed or bf16-mixed",
}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("devices", "two", ""),
        ("devices", "0", ""),
        ("strategy", "ddpp", ""),
        ("strategy", "fsdp", r" \(The strategy fsdp requires a GPU accelerator, but received accelerator='cpu'\)"),
        ("accelerator", "abacus", ""),
        ("accelerator", "tpu", r" \([^\n]+\)"),
    ],
)
def test_what_lightning_does_not_accept_is_told_by_its_flag(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    made = config(folder, out=tmp_path / "run", **{"accelerator": "cpu"} | {name: value})
    told = rf"^--{name} {value}: Lightning cannot use it here{reason}; give {ALLOWED[name]}\.$"
    with pytest.raises(UserError, match=told):
        make_trainer(made, RunFolder(tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "error", "reason"),
    [
        ("devices", "two", ValueError("invalid literal for int() with base 10: 'two'"), ""),
        (
            "devices",
            "2",
            MisconfigurationException("You requested gpu: [0, 1]\n But your machine only has: [0]"),
            " (You requested gpu: [0, 1] But your machine only has: [0])",
        ),
        (
            "devices",
            "0,0",
            MisconfigurationException("Device ID's (GPU) must be unique."),
            " (Device ID's (GPU) must be unique)",
        ),
        (
            "precision",
            "64",
            ValueError("`precision='64-true')` is not supported in FSDP. Use `X`."),
            " (precision='64-true') is not supported in FSDP)",
        ),
        ("accelerator", "tpu", ModuleNotFoundError("'torch_xla' not met. HINT: install"), " ('torch_xla' not met)"),
    ],
)
def test_what_lightning_says_of_gpus_is_told_by_its_flag(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, error: Exception, reason: str
):
    def refuse(**_: object) -> None:
        raise error

    monkeypatch.setattr("acnorm.training.fit.L.Trainer", refuse)
    with pytest.raises(UserError) as refused:
        make_trainer(config(folder, out=tmp_path / "run", **{name: value}), RunFolder(tmp_path / "run"))
    assert str(refused.value) == f"--{name} {value}: Lightning cannot use it here{reason}; give {ALLOWED[name]}."


@pytest.mark.parametrize("accelerator", ["cpu", "auto"])
def test_more_processes_than_cores_are_refused_before_they_start(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accelerator: str
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    for cores, most in ((None, 2), (1, 2), (4, 4)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        told = rf"^--devices 9999: on a CPU each is a process of its own; give {most} or fewer here\.$"
        with pytest.raises(UserError, match=told):
            make_trainer(config(folder, devices="9999", accelerator=accelerator), RunFolder(tmp_path / "run"))
        make_trainer(config(folder, devices=str(most), accelerator=accelerator), RunFolder(tmp_path / "run"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("acnorm.training.fit.L.Trainer", lambda **settings: settings)
    of_gpus = config(folder, devices="9999", accelerator="gpu", precision="32")
    assert make_trainer(of_gpus, RunFolder(tmp_path / "run"))["devices"] == 9999


def test_half_precision_of_gpus_is_bfloat16_on_a_cpu(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    caplog.set_level("INFO", "acnorm")
    for asked in ("16", "16-mixed"):
        run = run_finetune(config(folder, out=tmp_path / asked, precision=asked, accelerator="cpu", epochs=1)).path
        told = f"--precision {asked} is not for a CPU; bf16-mixed is taken"
        assert caplog.messages.count(told) == (run / "log.txt").read_text().count(told) == 1


@pytest.mark.parametrize(("old", "precision"), [("32", "32-true"), ("64", "64-true"), ("bf16", "bf16-mixed")])
def test_the_old_names_of_precisions_are_understood(folder: Path, tmp_path: Path, old: str, precision: str):
    assert make_trainer(config(folder, precision=old), RunFolder(tmp_path / "run")).precision == precision


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


@pytest.fixture(scope="module")
def stopped(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as a kill after its last epoch leaves it."""
    run = run_finetune(config(folder, out=tmp_path_factory.mktemp("stopped") / "run")).path
    (run / "metrics.json").unlink()
    shutil.rmtree(run / "model")
    return run


def flipped(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        largest = archive.read(max(archive.infolist(), key=lambda entry: entry.file_size))
    middle = content.index(largest) + len(largest) // 2  # not in what only fills up
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"something else",
        lambda whole: bytes(len(whole)),
        lambda whole: whole[: len(whole) // 2],
        flipped,
        lambda _: saved({}),
        lambda _: saved([1]),
        lambda _: saved({"state_dict": {}, "epoch": 1}),
    ],
    ids=["empty", "text", "zeros", "cut", "one bit", "no content", "list", "parts missing"],
)
def test_a_damaged_checkpoint_is_told_with_what_to_do(
    folder: Path, stopped: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
):
    run = shutil.copytree(stopped, tmp_path / "run")
    file = run / "checkpoints/last.ckpt"
    file.write_bytes(damage(file.read_bytes()))
    told = rf"^{re.escape(str(file))}: is damaged or cut short; start the run again with --overwrite\.$"
    with pytest.raises(UserError, match=told):
        run_finetune(config(folder, out=run, resume=True))


def test_the_same_checkpoint_undamaged_is_resumed(folder: Path, stopped: Path, tmp_path: Path):
    run = shutil.copytree(stopped, tmp_path / "run")
    assert run_finetune(config(folder, out=run, resume=True)).metrics


def test_a_checkpoint_that_may_not_be_read_is_not_taken_for_damaged(
    folder: Path, stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    archive = zipfile.ZipFile

    def refuse(file: Any, *others: Any, **options: Any) -> zipfile.ZipFile:
        if str(file).endswith(".ckpt"):
            raise PermissionError(13, "Permission denied")
        return archive(file, *others, **options)  # the data are an archive as well

    run = shutil.copytree(stopped, tmp_path / "run")
    monkeypatch.setattr("acnorm.training.fit.zipfile.ZipFile", refuse)
    with pytest.raises(UserError, match=r"last\.ckpt: may not be read; allow it, then --resume again\.$"):
        run_finetune(config(folder, out=run, resume=True))
