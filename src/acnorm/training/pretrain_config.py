"""The configuration of a pretraining run: one dataclass behind Python and flags."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from acnorm.errors import UserError
from acnorm.training.config import FinetuneConfig

# Settings that may differ between a run and its resumption: they do not change the result.
NOT_PART_OF_THE_RESULT = ("out", "resume", "overwrite", "workers", "memory", "tracker")
# Settings that a fine-tuning run has as well, and that mean the same there.
_SHARED = (
    *("data", "model", "out", "weights", "format", "splits", "image_size", "patch_size", "patches_per_case", "slices"),
    *("spacing", "window", "skip_bad", "epochs", "batch_size", "accumulate", "learning_rate", "momentum"),
    *("minimum_share", "stem_rule", "depth_rule"),
    *("weight_decay", "seed", "workers", "memory", "accelerator", "devices", "nodes", "strategy", "precision"),
    *("tracker", "resume", "overwrite"),
)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Everything that decides a pretraining run.

    Args:
        data: as for ``FinetuneConfig``, or a folder or table of images without labels. Training cases alone are used to
            train, so that the splits of a target hold.
        model: the network whose encoder is trained.
        out: folder of the run.
        method: the pretext task, a name in ``PRETEXTS``.
        weights: a checkpoint to begin with; random weights where not given.
        minimum_share, stem_rule, depth_rule: of loading it, as for ``FinetuneConfig``.
        probe: labelled images, of whose training cases the nearest neighbours are asked after each epoch; the
            validation cases of ``data`` where not given.
        format, splits, image_size, patch_size, patches_per_case, slices, spacing, window, skip_bad: as for
            ``FinetuneConfig``.
        epochs: passes over the training cases.
        batch_size: cases a step and device.
        accumulate: batches whose gradients are added up for one optimiser step.
        learning_rate: at the start; falls to 0 along a cosine.
        momentum: of SGD (Nesterov).
        weight_decay: of all parameters.
        seed, workers, memory, accelerator, devices, nodes, strategy, precision, tracker, resume, overwrite: as
            for ``FinetuneConfig``.

    Raises:
        UserError: values that cannot be, all in one line.

    Examples:
        >>> PretrainConfig(data="eyes.npz", model="cifar/resnet20", out="run", method="simclr").epochs
        100
        >>> PretrainConfig(data="eyes.npz", model="cifar/resnet20", out="run", method="simclr", epochs=0)
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: epochs is 0, must be 1 or more.
    """

    data: str
    model: str
    out: str
    method: str
    weights: str | None = None
    minimum_share: float = 0.9
    stem_rule: str = "sum"
    depth_rule: str = "spread"
    probe: str | None = None
    format: str | None = None
    splits: str | None = None
    image_size: int | None = None
    patch_size: int | None = None
    patches_per_case: int = 4
    slices: bool = False
    spacing: str | None = None
    window: str | None = None
    skip_bad: bool = False
    epochs: int = 100
    batch_size: int = 64
    accumulate: int = 1
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 1e-4
    seed: int = 0
    workers: int = 0
    memory: float = 2.0
    accelerator: str = "auto"
    devices: str = "auto"
    nodes: int = 1
    strategy: str = "auto"
    precision: str = "auto"
    tracker: str | None = None
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        from acnorm.pretraining.pretext import make_pretext

        self.of_trainer()
        make_pretext(self.method)
        if self.batch_size < 2:
            raise UserError(f"batch_size is {self.batch_size}, must be 2 or more.")

    def of_trainer(self) -> FinetuneConfig:
        """The same settings as the trainer takes them."""
        shared = {name: getattr(self, name) for name in _SHARED}
        return FinetuneConfig(**shared, method="vanilla", augment="none", head_rate=1.0)

    def patches_of(self, task: str) -> int:
        """Images that a training case gives an epoch."""
        return self.patches_per_case if task == "segmentation" else 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what config.yaml holds."""
        return asdict(self)

    def difference(self, other: PretrainConfig) -> list[str]:
        """Names of the settings in which two configurations differ as to the result."""
        names = [item.name for item in fields(self) if item.name not in NOT_PART_OF_THE_RESULT]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def pretrain_config(settings: Mapping[str, Any]) -> PretrainConfig:
    """Make a configuration of plain values.

    Raises:
        UserError: unknown settings, all together, each with the nearest valid name; values that cannot be.

    Examples:
        >>> pretrain_config({"data": "eyes.npz", "model": "m", "out": "run", "method": "byol", "epoch": 3})
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: unknown settings: epoch (did you mean epochs?).
    """
    known = [item.name for item in fields(PretrainConfig)]
    unknown = [name for name in settings if name not in known]
    if unknown:
        near = {name: difflib.get_close_matches(name, known, n=1, cutoff=0.5) for name in unknown}
        told = [f"{name} (did you mean {near[name][0]}?)" if near[name] else name for name in unknown]
        raise UserError(f"unknown settings: {', '.join(told)}.")
    return PretrainConfig(**{name: _plain(name, value) for name, value in settings.items()})


def _plain(name: str, value: Any) -> Any:
    return str(value) if isinstance(value, Path) or (name in ("devices", "precision") and type(value) is int) else value
