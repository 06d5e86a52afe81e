"""One pretraining run from configuration to a checkpoint with its card."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import math
import shlex
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import nn

from acnorm._version import __version__
from acnorm.checkpoints.load import LoadReport
from acnorm.checkpoints.read import CARD
from acnorm.data.atomic import replacing
from acnorm.data.tasks import find_task
from acnorm.errors import UserError
from acnorm.models.sources import Network, find_source
from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.monitor import COLLAPSED
from acnorm.pretraining.task import Pretext
from acnorm.training.finetune import Result
from acnorm.training.fit import fit, make_trainer, seconds_before
from acnorm.training.prepare import load_weights
from acnorm.training.pretext_objective import (
    LabelledPretextObjective,
    PretextObjective,
    PretrainModule,
    collapse,
)
from acnorm.training.pretext_samples import write_samples
from acnorm.training.pretrain_config import READER, PretrainConfig, pretrain_config
from acnorm.training.pretrain_data import PretextData, pretext_data
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
from acnorm.training.shipping import example_batch
from acnorm.training.trackers import tracking

logger = logging.getLogger("acnorm")
ENCODER, CARD_FILE = "model/encoder.safetensors", "model/card.json"
KIND = "pretraining"


def run_pretrain(config: PretrainConfig) -> Result:
    """Pretrain as configured and leave a complete run folder, without the report.

    ``model/encoder.safetensors`` holds the encoder of the last epoch under the names of its model, so that ``finetune``
    and ``rank`` take it as any other checkpoint; ``model/card.json`` says how it was made.

    Raises:
        UserError: bad input; the folder is then as it was.
        RunError: the run failed on its way; what it had finished can be resumed.

    Examples:
        >>> run_pretrain.__name__
        'run_pretrain'
    """
    run = RunFolder(Path(config.out))
    settings, first = config.of_trainer(), is_first_process()
    if first:
        inputs = {name: getattr(config, name) for name in ("data", "weights", "splits", "probe")}
        check_folder(settings, run, inputs)
    if config.resume:
        refuse_other_settings(run, config, _settings_of(run))
        if run.finished and first:
            logger.warning("%s is finished; there is nothing to resume", run.path)
            return Result(run.path, run.read_json("metrics.json"))
    find_source(config.model)  # a wrong name is told before all images are read
    make_trainer(settings, run)
    with log_to(run, first=first) as start_log:
        data = pretext_data(config, _splits_of(config, run))
        pretext = config.make_pretext()
        network, report = _network(config, data, pretext)
        if len(data.train.cases) * config.patches_of(data.collection.task) < 2:
            raise UserError(f"{config.data}: has one training image; pretext tasks compare images, give two or more.")
        _try_out(network, data, pretext, config)
        if config.resume:
            refuse_other_content(settings, run, data, report)
        if first:
            _start_folder(config, run, data, report)
        start_log()
        logger.info("%s cases to train on, %s pretraining", len(data.train.cases), config.method)
        kind = LabelledPretextObjective if data.labelled else PretextObjective
        objective = kind(pretext, slices=config.slices and data.collection.task != "segmentation")
        module = PretrainModule(network, "head", cast(Any, data), settings, objective)
        start = time.perf_counter()
        with tracking(settings, run, config.to_dict()) as trackers:
            trainer = fit(module, settings, run, resume_from=resume_file(settings, run), loggers=trackers.loggers)
        if not trainer.is_global_zero:
            return Result(run.path, {})
        seconds = seconds_before(trainer.callbacks) + time.perf_counter() - start  # type: ignore[attr-defined]
        return Result(run.path, _finish(config, run, data, pretext, module.network, report, seconds))


def _splits_of(config: PretrainConfig, run: RunFolder) -> Path | None:
    if config.resume and run.splits.is_file():
        return run.splits
    file = None if config.splits is None else Path(config.splits)
    return file if file is not None and file.exists() else None


def _network(config: PretrainConfig, data: PretextData, pretext: Pretext) -> tuple[nn.Module, LoadReport | None]:
    """The pretext network with what it begins with, and what loaded of a checkpoint."""
    shape = data.preprocessing.shape
    task, dimensions = data.collection.task, len(shape) - 1
    if pretext.labelled and not data.labelled and task == "classification":
        raise UserError(f"--method {config.method}: needs labels; {config.data} holds none, or one class alone.")
    reports: list[LoadReport] = []

    def load(network: Network) -> None:
        reports.append(load_weights(network, config.of_trainer(), dimensions))

    classes = len(data.collection.classes)
    blueprint = Blueprint(config.model, shape[0], dimensions, classes, task, None if config.weights is None else load)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = pretext.build(blueprint)
    return network, reports[0] if reports else None


def _try_out(network: nn.Module, data: PretextData, pretext: Pretext, config: PretrainConfig) -> None:
    """Refuse images that the network cannot take, before anything is written."""
    images = example_batch(data.preprocessing)
    training = network.training
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            cast(Any, network.eval()).encoder.features(images)
            if not pretext.labelled:
                pretext.loss(network, {"image": images})
        except UserError:
            raise
        except Exception as error:
            shape = " × ".join(map(str, images.shape[1:]))
            size = "--patch-size" if data.collection.task == "segmentation" else "--image-size"
            what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UserError(
                f"--model {config.model}: cannot take images of {shape} for --method {config.method} ({what}); "
                f"give another {size} or --model."
            ) from error
    network.train(training)


def _start_folder(config: PretrainConfig, run: RunFolder, data: PretextData, report: LoadReport | None) -> None:
    notes = {"kind": KIND, "command": command_of(config)}
    start_folder(config.of_trainer(), run, notes, config.to_dict(), data, report)
    run.write_json(
        "data.json",
        {
            "source": str(data.collection.source),
            "format": data.collection.format,
            "fingerprint": fingerprint_of(data),
            "origin": data.splits.origin,
            "cases": {name: len(part.cases) for name, part in data.by_split.items()},
            "image": list(data.preprocessing.shape),
            "warnings": list(data.warnings),
        },
    )


def _finish(
    config: PretrainConfig,
    run: RunFolder,
    data: PretextData,
    pretext: Pretext,
    network: nn.Module,
    report: LoadReport | None,
    seconds: float,
) -> dict[str, Any]:
    network = network.eval().cpu()
    with run.history.open(newline="", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    measured = {name: float(value) for name, value in last.items() if name.startswith("val_") and value}
    logged = {name: value for name, value in measured.items() if math.isfinite(value)}
    spread = logged.get("val_feature_spread", math.nan)
    warnings = [collapse(config.epochs - 1, spread)] if spread < COLLAPSED else []
    card = {
        "made_by": f"acnorm {__version__}",
        "method": config.method,
        "paper": pretext.paper,
        "settings": asdict(cast(Any, pretext)),
        "model": config.model,
        "data": data.collection.source.name,
        "fingerprint": fingerprint_of(data),
        "cases": len(data.train.cases),
        "image": list(data.preprocessing.shape),
        "preprocessing": data.preprocessing.to_dict(),
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "begun_with": None if report is None else {"file": report.file.name, "sha256": report.sha256},
        "last_epoch": logged,
        "collapsed": bool(warnings),
    }
    state = {name: value.detach().contiguous() for name, value in cast(Any, network).encoder.weights().items()}
    (run.path / "model").mkdir(exist_ok=True)
    with replacing(run.path / ENCODER) as draft:
        save_file(state, draft, metadata={CARD: json.dumps(card)})
    digest = hashlib.sha256((run.path / ENCODER).read_bytes()).hexdigest()
    run.write_json(CARD_FILE, {**card, "command": command_of(config), "sha256": digest})
    write_samples(run, pretext, network, data, config.seed)
    metrics = {
        "task": KIND,
        "method": config.method,
        "epochs": config.epochs,
        "seconds": round(seconds, 2),
        "last_epoch": logged,
        "neighbours": data.chance(),
        "warnings": warnings,
        "parameters": sum(value.numel() for value in state.values()),
        "sha256": digest,
    }
    run.write_json("metrics.json", metrics)
    return metrics


def command_of(config: PretrainConfig) -> str:
    """Return the shell command that makes the same run.

    Examples:
        >>> command_of(PretrainConfig(data="my eyes", model="cifar/resnet20", out="run", method="byol", epochs=3))
        "acnorm pretrain --data 'my eyes' --model cifar/resnet20 --out run --method byol --epochs 3"
    """
    needed = {name: getattr(config, name) for name in ("data", "model", "out", "method")}
    parts = ["acnorm", "pretrain"]
    for name, value in needed.items():
        parts += flag_of(name, value)
    of_task = {} if config.task is None else find_task(config.task).of_data
    usual = READER.flat(PretrainConfig(**needed).to_dict() | of_task)
    for name, value in READER.flat(config.to_dict()).items():
        if name not in ("resume", "overwrite") and value != usual[name] and value is not None:
            parts += flag_of(name, str(value))
    return shlex.join(parts)


def _settings_of(run: RunFolder) -> PretrainConfig:
    """Those with which a run was started."""
    saved = run.read_config()
    if saved.get("kind") != KIND:
        raise UserError(f"--resume {run.path}: is no pretraining run; resume it with acnorm finetune.")
    return pretrain_config({name: value for name, value in saved.items() if name not in READER.notes})
