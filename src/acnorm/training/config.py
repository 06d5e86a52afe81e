"""The configuration of a fine-tuning run: one dataclass behind Python, YAML and flags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from acnorm.errors import UserError
from acnorm.tuning.acnorm import ACNormTuning

# Settings that may differ between a run and its resumption: they do not change the result.
NOT_PART_OF_THE_RESULT = ("resume", "overwrite", "workers")
PRECISIONS = ("auto", "32-true", "16-mixed", "bf16-mixed", "64-true", "16-true", "bf16-true", "16", "32", "64", "bf16")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Everything that decides a fine-tuning run.

    Args:
        data: a MedMNIST .npz, a folder per class, a CSV or Parquet table, label maps in nnU-Net's layout or beside
            their images, or a released layout (IDRiD, DRIVE, …).
        model: "cifar/resnet20", "monai/resnet18", …, or "module:function" for a network of your own.
        out: folder of the run; must be new or empty unless --resume or --overwrite is given.
        weights: the pretrained checkpoint; without it training starts from random weights.
        method: "acnorm" or "vanilla".
        format: of the data; found out where not given.
        splits: file with the split of each case; made there if it does not exist.
        image_size: height and width in pixels to which images are brought; as they are where not given. Not for label
            maps, which keep the size of their images.
        patch_size: of label maps, sides of the training patches in voxels, at least 8; 128 in 2D and 64 in 3D where not
            given.
        patches_per_case: of label maps, patches of each case an epoch.
        slices: of label maps, take volumes slice by slice with a 2D network.
        augment: "standard" (mirror, small rotations, scalings, shifts), "flips" or "none".
        epochs: passes over the training cases.
        batch_size: cases a step and device.
        accumulate: batches whose gradients are added up for one optimiser step.
        learning_rate: at the start; falls to 0 along a cosine.
        head_rate: learning rate of the new head as a multiple of that of the rest.
        momentum: of SGD (Nesterov).
        weight_decay: of all parameters.
        patience: stop after this many epochs without a better validation metric (macro AUC; Dice of label maps); never
            where not given.
        minimum_share: least share of the encoder's parameters that must load from the checkpoint.
        bootstrap: resamples for the 95 % intervals of the metrics.
        seed: of everything random.
        workers: processes that read images; any number gives the same run.
        accelerator: "auto", "cpu", "gpu", "mps", as Lightning's.
        devices: "auto" or a number, as Lightning's.
        nodes: number of machines.
        strategy: "auto", "ddp", …, as Lightning's.
        precision: "auto" (16-mixed or bf16-mixed on a GPU, 32-true on a CPU) or one of Lightning's.
        acnorm: settings of the method AC-Norm.
        resume: go on with the run in out from its last finished epoch.
        overwrite: delete the run in out first.

    Raises:
        UserError: values that cannot be, all in one line.

    Examples:
        >>> FinetuneConfig(data="eyes.npz", model="cifar/resnet20", out="run").learning_rate
        0.03
        >>> FinetuneConfig(data="eyes.npz", model="cifar/resnet20", out="run", epochs=0)
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: epochs is 0, must be 1 or more.
    """

    data: str
    model: str
    out: str
    weights: str | None = None
    method: str = "acnorm"
    format: str | None = None
    splits: str | None = None
    image_size: int | None = None
    patch_size: int | None = None
    patches_per_case: int = 4
    slices: bool = False
    augment: str = "standard"
    epochs: int = 20
    batch_size: int = 32
    accumulate: int = 1
    learning_rate: float = 0.03
    head_rate: float = 10.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    patience: int | None = None
    minimum_share: float = 0.9
    bootstrap: int = 1000
    seed: int = 0
    workers: int = 0
    accelerator: str = "auto"
    devices: str = "auto"
    nodes: int = 1
    strategy: str = "auto"
    precision: str = "auto"
    acnorm: ACNormTuning = field(default_factory=ACNormTuning)
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value}, must be {allowed}"
            for name, value, allowed, right in self._rules()
            if not _holds(right, value)
        ]
        if self.resume and self.overwrite:
            wrong.append("--resume and --overwrite are given together, must be one of the two")
        if wrong:
            raise UserError("; ".join(wrong) + ".")

    def _rules(self) -> list[tuple[str, Any, str, Callable[[Any], bool]]]:
        from acnorm.data.augment import AUGMENTATIONS
        from acnorm.tuning.method import METHODS

        rules: list[tuple[str, Any, str, Callable[[Any], bool]]] = [
            (name, getattr(self, name), "1 or more", lambda value: value >= 1)
            for name in ("epochs", "batch_size", "accumulate", "nodes", "bootstrap", "patches_per_case")
        ]
        rules += [
            (name, getattr(self, name), "1 or more", lambda value: value is None or value >= 1)
            for name in ("patience", "image_size")
        ]
        rules += [
            (name, repr(getattr(self, name)), allowed, _is_given)
            for name, allowed in (
                ("data", "a path"),
                ("out", "a path"),
                ("model", "a name"),
                *((name, "a name or a number") for name in ("accelerator", "devices", "strategy")),
            )
        ]
        rules += [(name, repr(getattr(self, name)), "a path", _is_given) for name in ("weights", "splits")]
        rules += [
            (name, getattr(self, name), "0 or more and finite", lambda value: 0 <= value < float("inf"))
            for name in ("head_rate", "weight_decay")
        ]
        rules += [(name, getattr(self, name), "0 or more", lambda value: value >= 0) for name in ("seed", "workers")]
        rules += [
            ("patch_size", self.patch_size, "8 or more", lambda value: value is None or value >= 8),
            ("learning_rate", self.learning_rate, "above 0 and finite", _is_positive),
            ("momentum", self.momentum, "above 0 and below 1", lambda value: 0 < value < 1),
            ("minimum_share", self.minimum_share, "between 0 and 1", lambda value: 0 <= value <= 1),
            (
                "precision",
                repr(self.precision),
                f"one of {', '.join(PRECISIONS)}",
                lambda _: self.precision in PRECISIONS,
            ),
            ("augment", repr(self.augment), _either(AUGMENTATIONS), lambda _: self.augment in AUGMENTATIONS),
            ("method", repr(self.method), _either(METHODS), lambda _: self.method in METHODS),
            (
                "acnorm.temperature",
                self.acnorm.temperature,
                "above 0 and finite",
                lambda value: 0 < value < float("inf"),
            ),
            ("acnorm.eps", self.acnorm.eps, "above 0 and finite", _is_positive),
            (
                "acnorm.init",
                repr(self.acnorm.init),
                _either(("paper", "identity")),
                lambda _: self.acnorm.init in ("paper", "identity"),
            ),
        ]
        return rules

    def to_dict(self) -> dict[str, Any]:
        """Plain values, nested for ``acnorm``; what config.yaml holds."""
        return asdict(self)

    def difference(self, other: FinetuneConfig) -> list[str]:
        """Names of the settings in which two configurations differ as to the result."""
        names = [item.name for item in fields(self) if item.name not in NOT_PART_OF_THE_RESULT]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def _holds(rule: Callable[[Any], bool], value: Any) -> bool:
    try:
        return rule(value)
    except TypeError:
        return False


def _is_given(shown: str) -> bool:
    return shown != "''"


def _is_positive(value: float) -> bool:
    return 0 < value < float("inf")


def _either(allowed: Any) -> str:
    return " or ".join(repr(name) for name in allowed)
