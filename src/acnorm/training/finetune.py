"""One fine-tuning run from configuration to finished folder."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from acnorm.core.census import Census, ConversionError, acnorm_layers, census
from acnorm.core.partners import PERMUTED
from acnorm.core.summary import summary
from acnorm.data.atomic import replacing
from acnorm.data.tasks import find_task
from acnorm.errors import RunError, UserError
from acnorm.training.affine_record import RECORD, AffineRecord
from acnorm.training.config import FinetuneConfig
from acnorm.training.fit import best_epoch, computed_on, fit, make_trainer, seconds_before
from acnorm.training.kind import Kind, kind_of
from acnorm.training.module import FinetuneModule
from acnorm.training.norm_statistics import reestimate_statistics, statistics_gap, training_batches
from acnorm.training.prepare import PreparedModel, new_network, prepare_data, prepare_model
from acnorm.training.run_folder import RunFolder
from acnorm.training.run_log import log_to
from acnorm.training.run_start import (
    check_folder,
    fingerprint_of,
    flag_of,
    is_first_process,
    refuse_other_content,
    refuse_other_settings,
    resume_file,
    start_folder,
)
from acnorm.training.settings import NOTES_OF_A_RUN, config_from_settings, flat
from acnorm.training.shipping import example_batch, ship
from acnorm.training.trackers import tracking

logger = logging.getLogger("acnorm")
OF_LABEL_MAPS = ("patch_size", "patches_per_case", "spacing")


@dataclass(frozen=True)
class Result:
    """A finished run: its folder and the content of its metrics.json (empty on processes other than the first)."""

    path: Path
    metrics: dict[str, Any]


def run_finetune(config: FinetuneConfig, *, until: int | None = None) -> Result:
    """Fine-tune as configured and leave a complete run folder, without the report.

    Args:
        config: of the run.
        until: stop after this many epochs, to be resumed: there is a history, but neither network nor metrics, of which
            the result then holds "monitor", what the epoch is chosen by.

    Raises:
        UserError: bad input; the folder is then as it was.
        RunError: the run failed on its way; what it had finished can be resumed.

    Examples:
        >>> run_finetune.__name__
        'run_finetune'
    """
    run = RunFolder(Path(config.out))
    first = is_first_process()
    if first:
        check_folder(config, run, {"data": config.data, "weights": config.weights, "splits": config.splits})
    if config.resume:
        saved = {name: value for name, value in run.read_config().items() if name not in NOTES_OF_A_RUN}
        refuse_other_settings(run, config, config_from_settings(saved))
        if run.finished and first:
            logger.warning("%s is finished; there is nothing to resume", run.path)
            return Result(run.path, run.read_json("metrics.json"))
    _refuse_processes(config, make_trainer(config, run).world_size)
    resumed_splits = run.splits if config.resume and run.splits.is_file() else None
    with log_to(run, first=first) as start_log:
        kind = kind_of(config)
        data = prepare_data(config, resumed_splits, kind)
        model = prepare_model(config, data, kind)
        if config.resume:
            refuse_other_content(config, run, data, model.report)
        if first:
            _start_folder(config, run, data, model, kind)
        start_log()
        if config.optimizer == "adamw" and config.momentum != FinetuneConfig.momentum:
            logger.warning("--momentum has no effect on AdamW; give --optimizer sgd")
        if data.collection.task == "classification":
            _warn_of_patches(config)
        logger.info("%s cases to train on, method %s", len(data.train.cases), config.method)
        return _train_and_finish(config, run, data, model, kind, until)


def _warn_of_patches(config: FinetuneConfig) -> None:
    """Tell of settings that only data with label maps have a use for."""
    usual = _usual(config)
    given = [name for name in OF_LABEL_MAPS if getattr(config, name) != usual[name]]
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        logger.warning("%s: no effect on images without label maps; leave out", flags)


def _refuse_processes(config: FinetuneConfig, processes: int) -> None:
    if processes > 1 and config.make_method().one_process:
        raise UserError(
            f"--method {config.method}: changes what trains, or how fast, from epoch to epoch, for which there may be "
            f"one process only, not {processes}; give --devices 1 and --nodes 1."
        )


def _train_and_finish(
    config: FinetuneConfig, run: RunFolder, data: Any, model: PreparedModel, kind: Kind, until: int | None
) -> Result:
    start = time.perf_counter()
    objective = kind.objective(config, data)
    module = FinetuneModule(model.module, model.network.head, data, config, objective, model.method, model.setup)
    record = AffineRecord(run.path / RECORD, config.epochs)
    with tracking(config, run, config.to_dict()) as trackers:
        trainer = fit(
            module,
            config,
            run,
            resume_from=resume_file(config, run),
            until=until,
            callbacks=[record],
            loggers=trackers.loggers,
        )
        if not trainer.is_global_zero:
            return Result(run.path, {})
        if until is not None:
            return Result(run.path, {"monitor": objective.monitor})
        trained = _best_network(config, run, data, model, kind)
        seconds = seconds_before(trainer.callbacks) + time.perf_counter() - start  # type: ignore[attr-defined]
        metrics = _finish(config, run, data, model, kind, trained, seconds)
        trackers.results(metrics["splits"], step=trainer.global_step)
    return Result(run.path, metrics)


def _best_network(config: FinetuneConfig, run: RunFolder, data: Any, model: PreparedModel, kind: Kind) -> nn.Module:
    saved = torch.load(run.best, map_location="cpu", weights_only=True)["state_dict"]
    state = {name.removeprefix("network."): value for name, value in saved.items() if name.startswith("network.")}
    return model.method.rebuild(new_network(config, data, kind).module, state).eval()


def _finish(
    config: FinetuneConfig,
    run: RunFolder,
    data: Any,
    model: PreparedModel,
    kind: Kind,
    trained: nn.Module,
    seconds: float,
) -> dict[str, Any]:
    """Fold, evaluate, and write everything but the report; metrics.json last, since it marks the run finished."""
    figures = summary(trained)
    batches = training_batches(data.train, config.batch_size, config.seed)
    _write_acnorm(config, run, trained, census(model.module))
    try:
        plain = model.method.finish(trained, example_batch(data.preprocessing))
    except ConversionError as error:
        raise RunError(f"--method {config.method}: {error}") from None
    if config.norm_statistics == "reestimated":  # of the plain layers, which are what is shipped
        reestimate_statistics(plain, training_batches(data.train, config.batch_size, config.seed))
    gap = statistics_gap(plain, batches, kind.objective(config, data).loss)
    classes = data.collection.classes
    ship(run, model.network, plain, classes, data.preprocessing, data.collection.task)
    splits = kind.evaluate(run, plain, data, config)
    metrics = {
        "task": data.collection.task,
        "classes": list(classes),
        "resampled": "patients" if data.collection.patients_known else "cases",
        "monitor": kind.objective(config, data).monitor,
        "best_epoch": best_epoch(run),
        "epochs": config.epochs,
        "seconds": round(seconds, 2),
        "computed_on": computed_on(config),
        "splits": splits,
        "statistics_gap": gap,
        "parameters": {"trainable": figures.trainable, "total": figures.total},
    }
    run.write_json("metrics.json", metrics)
    return metrics


def _start_folder(config: FinetuneConfig, run: RunFolder, data: Any, model: PreparedModel, kind: Kind) -> None:
    start_folder(config, run, {"command": command_of(config)}, config.to_dict(), data, model.report)
    if not (run.path / "data.json").is_file():
        run.write_json("data.json", _about(data, kind, model.warnings))


def _about(data: Any, kind: Kind, warnings: Sequence[str]) -> dict[str, Any]:
    patients = {name: len({case.patient for case in part.cases}) for name, part in data.by_split.items()}
    return {
        "source": str(data.collection.source),
        "format": data.collection.format,
        "classes": list(data.collection.classes),
        "fingerprint": fingerprint_of(data),
        "origin": data.splits.origin,
        **kind.about(data),
        "patients": patients if data.collection.patients_known else None,
        "image": list(data.preprocessing.shape),
        "warnings": [*data.warnings, *warnings],
    }


def _write_acnorm(config: FinetuneConfig, run: RunFolder, trained: nn.Module, done: Census) -> None:
    layers = acnorm_layers(trained)
    if not layers:
        return
    affine: dict[str, Tensor] = {}
    for name, layer in layers.items():
        affine[f"{name}.weight"] = layer.weight.detach().clone()
        affine[f"{name}.bias"] = layer.bias.detach().clone()
        affine[f"{name}.source_weight"] = layer.source_weight.clone()
        affine[f"{name}.source_bias"] = layer.source_bias.clone()
        if config.acnorm.partners == PERMUTED:
            affine[f"{name}.partner_order"] = layer.partner_order.clone()
    with replacing(run.path / "acnorm.safetensors") as draft:
        save_file(affine, draft)
    run.write_json(
        "acnorm.json",
        {
            "temperature": config.acnorm.temperature,
            "eps": config.acnorm.eps,
            "init": config.acnorm.init,
            "partners": config.acnorm.partners,
            "layers": [vars(layer) for layer in summary(trained).layers],
            "left_alone": [vars(layer) for layer in done.left_alone],
        },
    )


def _usual(config: FinetuneConfig) -> dict[str, Any]:
    """The settings that a run has where none but its data, network, folder and task are given."""
    usual = FinetuneConfig(data=config.data, model=config.model, out=config.out).to_dict()
    usual |= {} if config.task is None else find_task(config.task).settings
    return usual


def command_of(config: FinetuneConfig) -> str:
    """Return the shell command that makes the same run.

    Examples:
        >>> command_of(FinetuneConfig(data="my eyes", model="cifar/resnet20", out="run", epochs=3))
        "acnorm finetune --data 'my eyes' --model cifar/resnet20 --out run --epochs 3"
    """
    parts = ["acnorm", "finetune"]
    for name in ("data", "model", "out"):
        parts += flag_of(name, getattr(config, name))
    usual = flat(_usual(config))
    for name, value in flat(config.to_dict()).items():
        if name not in ("resume", "overwrite") and value != usual[name] and value is not None:
            parts += flag_of(name, str(value))
    return shlex.join(parts)
