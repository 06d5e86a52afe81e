"""Trackers of experiments: Lightning's own loggers, with their files in the run folder, which resuming goes on with."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from acnorm.errors import UserError
from acnorm.training.config import NOT_PART_OF_THE_RESULT, FinetuneConfig, trackers_of
from acnorm.training.quiet import quiet
from acnorm.training.run_folder import RunFolder
from acnorm.training.run_start import is_first_process

IDS = "ids.json"  # what the trackers call the run
PROJECT = "acnorm"
_PACKAGES = {
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "wandb": ("wandb",),
}


def check_trackers(config: FinetuneConfig) -> None:
    """Refuse trackers whose packages are not installed.

    Raises:
        UserError: naming what to install.

    Examples:
        >>> check_trackers(FinetuneConfig(data="eyes.npz", model="cifar/resnet20", out="run"))
    """
    for name in trackers_of(config.tracker):
        for package in _PACKAGES[name]:
            try:
                import_module(package)
            except ImportError as error:
                what = " ".join(str(error).split())
                raise UserError(f"--tracker {name}: {what}; pip install 'acnorm[trackers]'.") from None


@contextmanager
def tracking(config: FinetuneConfig, run: RunFolder, settings: Mapping[str, Any]) -> Iterator[Trackers]:
    """Begin the trackers of a run, or go on with them, and end them with it.

    Args:
        config: of the run.
        run: its folder, which is there.
        settings: of the run, which the trackers are told but for those that do not change its result.

    Raises:
        UserError: a tracker cannot be begun, such as a server that does not answer.

    Examples:
        >>> config = FinetuneConfig(data="eyes.npz", model="cifar/resnet20", out="run")
        >>> with tracking(config, RunFolder(Path("run")), {}) as trackers:
        ...     trackers.loggers
        []
    """
    trackers = Trackers([])
    told = {name: value for name, value in settings.items() if name not in ("out", *NOT_PART_OF_THE_RESULT)}
    try:
        with quiet():
            for name in trackers_of(config.tracker) if is_first_process() else ():
                trackers.loggers.append(_begun(name, run, told))
        yield trackers
    finally:
        for logger in trackers.loggers:
            if isinstance(logger, WandbLogger):  # Lightning leaves it open, and the next run would go into it
                logger.experiment.finish()


class Trackers:
    """The loggers of a run.

    Args:
        loggers: Lightning's.

    Examples:
        >>> Trackers([]).results({}, step=0)
    """

    def __init__(self, loggers: list[Logger]) -> None:
        self.loggers = loggers

    def results(self, splits: Mapping[str, Any], *, step: int) -> None:
        """Log the final metrics of each split, as "test/macro_auc".

        Args:
            splits: as metrics.json holds them.
            step: after which they were measured.
        """
        values = {
            f"{split}/{name}": float(metric["value"])
            for split, found in splits.items()
            for name, metric in found["metrics"].items()
            if metric["value"] is not None
        }
        with quiet():
            for logger in self.loggers:
                logger.log_metrics(values, step)
                logger.finalize("success")


def _begun(name: str, run: RunFolder, settings: Mapping[str, Any]) -> Logger:
    folder = run.path / "trackers"
    try:
        folder.mkdir(exist_ok=True)
        logger = _LOGGERS[name](run, folder)
        logger.log_hyperparams(dict(settings))
        if logger.version:
            _remember(run, name, str(logger.version))
    except Exception as error:
        what = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise UserError(f"--tracker {name}: cannot be begun ({what}); mend that, or leave it out.") from error
    return logger


def _tensorboard(run: RunFolder, folder: Path) -> Logger:  # noqa: ARG001
    return TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False)


def _mlflow(run: RunFolder, folder: Path) -> Logger:
    server = os.environ.get("MLFLOW_TRACKING_URI")
    return MLFlowLogger(
        experiment_name=PROJECT,
        run_name=run.path.name,
        tracking_uri=server or f"sqlite:///{(folder / 'mlflow.db').absolute()}",
        artifact_location=None if server else (folder / "mlflow").absolute().as_uri(),
        run_id=_known(run, "mlflow"),
    )


def _wandb(run: RunFolder, folder: Path) -> Logger:
    online = "WANDB_MODE" in os.environ or "WANDB_API_KEY" in os.environ
    mode: dict[str, Any] = {} if online else {"mode": "offline"}
    return WandbLogger(
        name=run.path.name,
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        save_dir=folder,
        id=_known(run, "wandb") or secrets.token_hex(8),
        settings={"silent": True, "console": "off"},
        **mode,
    )


_LOGGERS: dict[str, Callable[[RunFolder, Path], Logger]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
}


def _ids(run: RunFolder) -> dict[str, str]:
    return dict(run.read_json(f"trackers/{IDS}")) if (run.path / "trackers" / IDS).is_file() else {}


def _known(run: RunFolder, name: str) -> str | None:
    return _ids(run).get(name)


def _remember(run: RunFolder, name: str, identity: str) -> None:
    run.write_json(f"trackers/{IDS}", {**_ids(run), name: identity})
