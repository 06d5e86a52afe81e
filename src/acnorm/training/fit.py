"""The Lightning trainer of a run: devices, callbacks, quiet output, resuming."""

from __future__ import annotations

import csv
import io
import logging
import os
import re
import signal
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.io import TorchCheckpointIO

from acnorm.data.atomic import replacing
from acnorm.errors import RunError, StoppedError, UserError
from acnorm.training.config import FinetuneConfig
from acnorm.training.module import FinetuneModule
from acnorm.training.objective import ClassificationObjective, Objective
from acnorm.training.quiet import quiet
from acnorm.training.run_folder import RunFolder
from acnorm.training.trackers import check_trackers

logger = logging.getLogger("acnorm")


def fit(
    module: FinetuneModule,
    config: FinetuneConfig,
    run: RunFolder,
    *,
    resume_from: Path | None = None,
    until: int | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
) -> L.Trainer:
    """Train; leaves best.ckpt, last.ckpt and metrics.csv in the run folder.

    Args:
        module: what is trained.
        config: of the run.
        run: its folder.
        resume_from: the checkpoint to go on from.
        until: stop after this many epochs; the rates are those of the whole run.
        callbacks: are called before an epoch's checkpoint is written.

    Raises:
        UserError: devices, strategy or precision that Lightning does not accept here; a damaged checkpoint.
        StoppedError: the user stopped it.
        RunError: the training could not go on.

    Examples:
        >>> fit.__name__
        'fit'
    """
    if resume_from is not None:
        _check_whole(resume_from)
    interrupt = signal.getsignal(signal.SIGINT)
    with quiet():
        trainer = make_trainer(config, run, module.objective, callbacks, loggers)
        if config.precision in ("16", "16-mixed") and trainer.precision == "bf16-mixed":
            logger.info("--precision %s is not for a CPU; bf16-mixed is taken", config.precision)
        if until is not None:
            trainer.fit_loop.max_epochs = min(until, config.epochs)
        try:
            trainer.fit(module, ckpt_path=resume_from, weights_only=True)
        except torch.OutOfMemoryError:
            raise RunError("the device is out of memory; lower --batch-size (and raise --accumulate).") from None
        except SystemExit as error:
            # Lightning's answer to Ctrl-C: it ignores further ones and leaves the program
            if not isinstance(error.__context__, KeyboardInterrupt):
                raise
            signal.signal(signal.SIGINT, interrupt)
            raise StoppedError("stopped by the user; go on with --resume.") from None
    return trainer


def best_epoch(run: RunFolder) -> int:
    """Epoch of best.ckpt, from 0.

    Examples:
        >>> best_epoch.__name__
        'best_epoch'
    """
    return int(torch.load(run.best, map_location="cpu", weights_only=True)["epoch"])


def seconds_before(callbacks: Sequence[Callback]) -> float:
    """Return the seconds of the epochs that a resumed run had done before.

    Args:
        callbacks: of its trainer.

    Examples:
        >>> seconds_before([History(Path("metrics.csv"), ("val_loss",))])
        0.0
    """
    return sum((callback.before for callback in callbacks if isinstance(callback, History)), 0.0)


class History(Callback):
    """metrics.csv: one row an epoch, rewritten whole each time; resuming drops the rows it will make again.

    seconds: of the whole epoch with its validation; waiting: of these, for batches of training data.

    Examples:
        >>> History(Path("metrics.csv"), ("val_loss",)).rows
        []
    """

    def __init__(self, file: Path, judged: tuple[str, ...]) -> None:
        self.file = file
        self.columns = ("epoch", "learning_rate", "train_loss", *judged, "seconds", "waiting")
        self.rows: list[dict[str, str]] = []
        self.before = 0.0  # seconds of the epochs that a resumed run had done
        self._start = 0.0
        self._idle = 0.0
        self._waiting = 0.0
        self._rate = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        """Take over the rows of the epochs that are done."""
        if self.file.is_file():
            with self.file.open(newline="", encoding="utf-8") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["epoch"]) < trainer.current_epoch]
        self.before = sum(float(row["seconds"] or 0) for row in self.rows)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        """Start the clock; the rate of an epoch is the one it starts with."""
        self._start = self._idle = time.perf_counter()
        self._waiting = 0.0
        self._rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_start(self, *_: Any) -> None:
        """The time since the step before was spent waiting for this batch."""
        self._waiting += time.perf_counter() - self._idle

    def on_train_batch_end(self, *_: Any) -> None:
        """Start waiting for the next batch."""
        self._idle = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        """Write the epoch's row."""
        if not trainer.is_global_zero:
            return
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        values = {
            **logged,
            "train_loss": logged.get("train_loss_epoch", logged.get("train_loss", float("nan"))),
            "learning_rate": self._rate,
            "seconds": time.perf_counter() - self._start,
            "waiting": self._waiting,
        }
        row = {name: f"{values[name]:.6g}" for name in self.columns if name in values}
        self.rows.append({"epoch": str(trainer.current_epoch), **row})
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        with replacing(self.file) as draft:
            draft.write_text(text.getvalue(), encoding="utf-8")


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that appear whole or not at all, so that a kill while saving loses nothing.

    Examples:
        >>> issubclass(AtomicCheckpoints, TorchCheckpointIO)
        True
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write beside ``path``, then rename."""
        with replacing(Path(path)) as draft:
            super().save_checkpoint(checkpoint, draft, storage_options)


class FolderCheckpoint(ModelCheckpoint):
    """One checkpoint file, made at ends of epochs; goes on also where the folder has been moved since.

    Lightning's ``save_last`` keeps the last epoch that was among the best, not the last epoch, hence two of these:
    one that watches a metric, and one that does not and saves every epoch.

    Args:
        folder: where the file is.
        name: of the file, without ``.ckpt``.
        monitor: metric whose largest value is kept; None saves every epoch.

    Examples:
        >>> FolderCheckpoint(Path("checkpoints"), "last").filename
        'last'
    """

    def __init__(self, folder: Path, name: str, monitor: str | None = None) -> None:
        super().__init__(
            dirpath=folder,
            filename=name,
            monitor=monitor,
            mode="max",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best score; the file is that of this folder."""
        file = str(Path(str(self.dirpath)) / f"{self.filename}.ckpt")
        files = {"dirpath": self.dirpath, "best_model_path": file, "kth_best_model_path": file}
        scores = {} if self.monitor is None else {file: state_dict["best_model_score"]}
        super().load_state_dict({**state_dict, **files, "best_k_models": scores})


class Patience(EarlyStopping):
    """Stop after some epochs without a better value, and stay stopped when the run is resumed.

    Examples:
        >>> Patience("val_macro_auc", mode="max", patience=3).patience
        3
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        """Train no further where the run that is resumed had stopped here."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


def _check_whole(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            whole = archive.testzip() is None
        content = torch.load(file, map_location="cpu", weights_only=True) if whole else None
    except PermissionError:
        raise UserError(f"{file}: may not be read; allow it, then --resume again.") from None
    except Exception:
        content = None
    if not isinstance(content, dict) or not content.keys() >= _PARTS_OF_A_CHECKPOINT:
        raise UserError(f"{file}: is damaged or cut short; start the run again with --overwrite.")


_PARTS_OF_A_CHECKPOINT = {
    *("epoch", "global_step", "state_dict", "loops", "callbacks", "optimizer_states", "lr_schedulers"),
    "pytorch-lightning_version",
}


def make_trainer(
    config: FinetuneConfig,
    run: RunFolder,
    objective: Objective | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
) -> L.Trainer:
    """Make the trainer of a run; nothing is written yet.

    Raises:
        UserError: devices, strategy or precision that Lightning does not accept here; a tracker that is not installed.

    Examples:
        >>> make_trainer.__name__
        'make_trainer'
    """
    check_trackers(config)
    _refuse_more_processes_than_cores(config)
    try:
        with quiet():
            return _trainer(config, run, objective or ClassificationObjective(), callbacks, loggers)
    except (MisconfigurationException, ValueError, RuntimeError, TypeError, ImportError) as error:
        told = " ".join(str(error).split())
        name = next((name for name, words in _WORDS.items() if re.search(words, told, re.IGNORECASE)), "accelerator")
        reason = "" if re.search(_NO_REASON, told) else f" ({told.partition('. ')[0].rstrip('.').replace('`', '')})"
        raise UserError(
            f"--{name} {getattr(config, name)}: Lightning cannot use it here{reason}; give {_EXAMPLES[name]}."
        ) from None


def _refuse_more_processes_than_cores(config: FinetuneConfig) -> None:
    """On a CPU a device is a process: thousands of them would take the machine down before they fail."""
    most = max(2, os.cpu_count() or 1)
    if _on_cpu(config) and config.devices.isdigit() and int(config.devices) > most:
        raise UserError(
            f"--devices {config.devices}: on a CPU each is a process of its own; give {most} or fewer here."
        )


def _on_cpu(config: FinetuneConfig) -> bool:
    others = torch.cuda.is_available() or torch.backends.mps.is_available()
    return config.accelerator == "cpu" or (config.accelerator == "auto" and not others)


def computed_on(config: FinetuneConfig) -> str:
    """Return the kind of device and the precision that a run computes with here, where settings may leave both open.

    Examples:
        >>> computed_on(FinetuneConfig(data="eyes", model="cifar/resnet20", out="run", accelerator="cpu"))
        'cpu, 32-true'
    """
    device = config.accelerator
    if device in ("auto", "gpu"):
        device = "cpu" if _on_cpu(config) else "cuda" if torch.cuda.is_available() else "mps"
    return f"{device}, {_precision(config)}"


# What Lightning says of each flag; of devices that a GPU has not, it does not say the flag's name.
_WORDS = {
    "strategy": "strategy",
    "precision": "precision",
    "devices": "devices|requested gpu|device id|invalid literal for int",
}
_NO_REASON = "invalid literal|selected an invalid|should be an int|not a valid input"
_EXAMPLES = {
    "strategy": "auto, ddp, ddp_spawn or fsdp",
    "precision": "auto, 32-true, 16-mixed or bf16-mixed",
    "devices": "auto or a number of devices",
    "accelerator": "auto, cpu, gpu or mps",
}


def _trainer(
    config: FinetuneConfig, run: RunFolder, objective: Objective, first: Sequence[Callback], loggers: Sequence[Logger]
) -> L.Trainer:
    callbacks: list[Callback] = [
        *first,
        History(run.history, objective.columns),
        FolderCheckpoint(run.checkpoints, "best", objective.monitor),
        FolderCheckpoint(run.checkpoints, "last"),  # after the best one, whose state is part of what it saves
    ]
    if config.patience is not None:
        callbacks.append(
            Patience(objective.monitor, mode="max", patience=config.patience, check_on_train_epoch_end=True)
        )
    show = sys.stderr.isatty()
    if show:
        callbacks.append(RichProgressBar(leave=True))
    return L.Trainer(
        default_root_dir=run.path,
        max_epochs=config.epochs,
        accumulate_grad_batches=config.accumulate,
        accelerator=config.accelerator,
        devices=int(config.devices) if config.devices.isdigit() else config.devices,
        num_nodes=config.nodes,
        strategy=config.strategy,
        precision=_precision(config),  # type: ignore[arg-type]
        callbacks=callbacks,
        plugins=[AtomicCheckpoints()],
        logger=list(loggers) or False,
        enable_progress_bar=show,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        deterministic="warn" if torch.cuda.is_available() else None,
    )


_PRECISIONS_OF_OLD = {"16": "16-mixed", "32": "32-true", "64": "64-true", "bf16": "bf16-mixed"}


def _precision(config: FinetuneConfig) -> str:
    precision = _PRECISIONS_OF_OLD.get(config.precision, config.precision)
    if precision == "16-mixed" and _on_cpu(config):
        return "bf16-mixed"
    if precision != "auto":
        return precision
    if config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "32-true"
