"""The configuration of a fine-tuning run: one dataclass behind Python, YAML and flags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, cast

from acnorm.errors import UserError, near
from acnorm.training.optimizer import OPTIMIZERS
from acnorm.tuning.acnorm import ACNormTuning
from acnorm.tuning.auto_rgn import AutoRGN
from acnorm.tuning.bi_tuning import BiTuning
from acnorm.tuning.bn_only import BNOnly
from acnorm.tuning.bss import BSS
from acnorm.tuning.cotuning import CoTuning
from acnorm.tuning.delta import DELTA
from acnorm.tuning.gradual import Gradual
from acnorm.tuning.hooks import Method
from acnorm.tuning.l2 import L2
from acnorm.tuning.l2sp import L2SP
from acnorm.tuning.last_k import LastK
from acnorm.tuning.lp_ft import LPFT
from acnorm.tuning.lrd import LayerwiseDecay
from acnorm.tuning.lwf import LwF
from acnorm.tuning.method import METHODS, make_method, setting_of
from acnorm.tuning.stochnorm import StochNormTuning
from acnorm.tuning.surgical import Surgical

# Settings that may differ between a run and its resumption: they do not change the result.
NOT_PART_OF_THE_RESULT = ("resume", "overwrite", "workers", "memory", "tracker")
TRACKERS = ("tensorboard", "mlflow", "wandb")
MEASURES = ("auc", "cldice", "lesions", "global_dice", "ejection_fraction")
NORM_STATISTICS = ("train", "frozen", "reestimated")
METHOD_SETTINGS = {setting_of(name): kind for name, kind in METHODS.items() if fields(cast(Any, kind))}
PRECISIONS = ("auto", "32-true", "16-mixed", "bf16-mixed", "64-true", "16-true", "bf16-true", "16", "32", "64", "bf16")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Everything that decides a fine-tuning run.

    Args:
        data: a MedMNIST .npz, a folder per class, a CSV or Parquet table, label maps in nnU-Net's layout or beside
            their images, or a released layout (IDRiD, DRIVE, …).
        model: "cifar/resnet20", "monai/resnet18", …, or "module:function" for a network of your own.
        out: folder of the run; must be new or empty unless --resume or --overwrite is given.
        weights: the pretrained checkpoint, or "pretrained" to fetch the public weights of the network (of timm,
            torchvision, and MedicalNet in 3D); without it training starts from random weights.
        method: "acnorm", "vanilla", …, or several with + between, such as "acnorm+l2sp"; see `acnorm methods`.
        task: a named task, such as "vessel-segmentation", whose settings stand where no others are given; see
            `acnorm tasks`. "classification" or "segmentation" where not given, as the data are.
        format: of the data; found out where not given.
        splits: file with the split of each case (train, val, test or unused); made there if it does not exist.
        image_size: sides in pixels or voxels to which images and volumes are brought; as they are where not given. Not
            for label maps, which keep the size of their images.
        patch_size: of label maps, sides of the training patches in voxels, at least 8; 128 in 2D and 64 in 3D where not
            given.
        patches_per_case: of label maps, patches of each case an epoch.
        slices: take volumes slice by slice with a 2D network; a class is the mean answer over 16 slices.
        foreground_share: of label maps, share of the patches that are centred on a labelled voxel.
        spacing: of volumes, millimetres between voxels to which they are resampled: one number, one an axis with commas
            between, or "median" for the median of the training cases; as they are where not given.
        window: of volumes, lowest and highest intensity with a comma between, such as --window=-100,400; the 0.5 and
            99.5 percentiles of training voxels (labelled ones, of label maps) where not given.
        nested: labels are nested, as a tumour in its liver: each region is measured with those of higher labels in it.
        measures: of label maps, further measures with commas between: auc, cldice, lesions, global_dice,
            ejection_fraction; "lesions:tumour" or "lesions:2" measures the class tumour, number 2, alone.
        test_time_flips: of label maps, average predictions over mirror images (4 times the work in 2D, 8 in 3D).
        ordinal: classes are grades in order: trained with a loss that knows it, judged by quadratic kappa.
        augment: "standard" (mirror, small rotations, scalings, shifts), "anatomical" (the same without mirroring),
            "flips" or "none".
        norm_statistics: of the encoder's BatchNorm layers: "train" (those of each batch, as always), "frozen" (the
            checkpoint's, for batches that are too small) or "reestimated" (as "train", and taken anew over the training
            data before the results).
        epochs: passes over the training cases.
        batch_size: cases a step and device.
        accumulate: batches whose gradients are added up for one optimiser step.
        optimizer: "adamw", or "sgd" (Nesterov momentum).
        learning_rate: at the start; falls to 0 along a cosine. 0.001, or 0.03 for SGD, where not given.
        head_rate: learning rate of the new head as a multiple of that of the rest.
        momentum: of SGD.
        weight_decay: of all parameters.
        patience: stop after this many epochs without a better validation metric (macro AUC, quadratic kappa of grades,
            Dice of label maps); never where not given.
        minimum_share: least share of the encoder's parameters that must load from the checkpoint.
        stem_rule: how a checkpoint's first convolution takes another number of channels: "sum" (shared out equally),
            "mean", "repeat" or "first" (further channels begin at zero).
        depth_rule: how 2D kernels of a checkpoint become 3D: "spread" over the slices, or in the "centre" one.
        bootstrap: resamples for the 95 % intervals of the metrics.
        seed: of everything random.
        workers: processes that read images; any number gives the same run.
        memory: GiB of prepared cases kept in memory; those beyond are kept in temporary files (label maps alone).
        accelerator: "auto", "cpu", "gpu", "mps", as Lightning's.
        devices: "auto" or a number, as Lightning's.
        nodes: number of machines.
        strategy: "auto", "ddp", …, as Lightning's.
        precision: "auto" (16-mixed or bf16-mixed on a GPU, 32-true on a CPU) or one of Lightning's.
        tracker: "tensorboard", "mlflow", "wandb", or several with commas between; their files lie in the run folder,
            under "trackers".
        acnorm: settings of the method AC-Norm.
        lp_ft: settings of the method LP-FT.
        bn_only: settings of the method BN-only.
        last_k: settings of the method last-k.
        gradual: settings of gradual unfreezing.
        surgical: settings of surgical fine-tuning.
        lrd: settings of layer-wise rate decay.
        auto_rgn: settings of the method auto-RGN.
        l2: settings of the method L2.
        l2sp: settings of the method L2-SP.
        delta: settings of the method DELTA.
        bss: settings of the method BSS.
        stochnorm: settings of the method StochNorm.
        cotuning: settings of the method Co-Tuning.
        lwf: settings of the method LwF.
        bi_tuning: settings of the method Bi-Tuning.
        resume: go on with the run in out from its last finished epoch.
        overwrite: delete the run in out first.
        skip_bad: leave out cases that are broken, and list them in the report, in the place of refusing the data.

    Raises:
        UserError: values that cannot be, all in one line.

    Examples:
        >>> FinetuneConfig(data="eyes.npz", model="cifar/resnet20", out="run").learning_rate
        0.001
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
    task: str | None = None
    format: str | None = None
    splits: str | None = None
    image_size: int | None = None
    patch_size: int | None = None
    patches_per_case: int = 4
    slices: bool = False
    foreground_share: float = 1 / 3
    spacing: str | None = None
    window: str | None = None
    nested: bool = False
    measures: str | None = None
    test_time_flips: bool = False
    ordinal: bool = False
    norm_statistics: str = "train"
    skip_bad: bool = False
    augment: str = "standard"
    epochs: int = 20
    batch_size: int = 32
    accumulate: int = 1
    optimizer: str = "adamw"
    learning_rate: float = 0.001
    head_rate: float = 10.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    patience: int | None = None
    minimum_share: float = 0.9
    stem_rule: str = "sum"
    depth_rule: str = "spread"
    bootstrap: int = 1000
    seed: int = 0
    workers: int = 0
    memory: float = 2.0
    accelerator: str = "auto"
    devices: str = "auto"
    nodes: int = 1
    strategy: str = "auto"
    precision: str = "auto"
    tracker: str | None = None
    acnorm: ACNormTuning = field(default_factory=ACNormTuning)
    lp_ft: LPFT = field(default_factory=LPFT)
    bn_only: BNOnly = field(default_factory=BNOnly)
    last_k: LastK = field(default_factory=LastK)
    gradual: Gradual = field(default_factory=Gradual)
    surgical: Surgical = field(default_factory=Surgical)
    lrd: LayerwiseDecay = field(default_factory=LayerwiseDecay)
    auto_rgn: AutoRGN = field(default_factory=AutoRGN)
    l2: L2 = field(default_factory=L2)
    l2sp: L2SP = field(default_factory=L2SP)
    delta: DELTA = field(default_factory=DELTA)
    bss: BSS = field(default_factory=BSS)
    stochnorm: StochNormTuning = field(default_factory=StochNormTuning)
    cotuning: CoTuning = field(default_factory=CoTuning)
    lwf: LwF = field(default_factory=LwF)
    bi_tuning: BiTuning = field(default_factory=BiTuning)
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value}, must be {allowed}"
            for name, value, allowed, right in self._rules()
            if not _holds(right, value)
        ]
        wrong += [problem for name in METHOD_SETTINGS for problem in getattr(self, name).problems()]
        if _are_methods(self.method):
            try:
                self.make_method()
            except UserError as error:
                wrong.append(str(error).rstrip("."))
        if self.resume and self.overwrite:
            wrong.append("--resume and --overwrite are given together, must be one of the two")
        if wrong:
            raise UserError("; ".join(wrong) + ".")

    def _rules(self) -> list[tuple[str, Any, str, Callable[[Any], bool]]]:
        from acnorm.checkpoints.stem import DEPTH_RULES, STEM_RULES
        from acnorm.data.augment import AUGMENTATIONS
        from acnorm.data.tasks import TASKS

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
            for name in ("head_rate", "weight_decay", "memory")
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
            ("foreground_share", self.foreground_share, "between 0 and 1", lambda value: 0 <= value <= 1),
            ("task", repr(self.task), _either(TASKS), lambda _: self.task is None or self.task in TASKS),
            ("spacing", repr(self.spacing), "millimetres above 0, such as 1.5 or 1,1,3, or median", _is_spacing),
            ("window", repr(self.window), "two numbers, the lower first, such as -100,400", _is_window),
            ("tracker", repr(self.tracker), f"of {', '.join(TRACKERS)}, with commas between", _are_trackers),
            ("measures", repr(self.measures), f"of {', '.join(MEASURES)}, with commas between", _are_measures),
            (
                "norm_statistics",
                repr(self.norm_statistics),
                _either(NORM_STATISTICS),
                lambda _: self.norm_statistics in NORM_STATISTICS,
            ),
            ("optimizer", repr(self.optimizer), _either(OPTIMIZERS), lambda _: self.optimizer in OPTIMIZERS),
            ("augment", repr(self.augment), _either(AUGMENTATIONS), lambda _: self.augment in AUGMENTATIONS),
            ("stem_rule", repr(self.stem_rule), _either(STEM_RULES), lambda _: self.stem_rule in STEM_RULES),
            ("depth_rule", repr(self.depth_rule), _either(DEPTH_RULES), lambda _: self.depth_rule in DEPTH_RULES),
            (
                "method",
                repr(self.method),
                f"of {', '.join(METHODS)}, with + between several{_nearest_method(self.method)}",
                lambda _: _are_methods(self.method),
            ),
        ]
        return rules

    def make_method(self) -> Method:
        """The method with its settings."""
        return make_method(self.method, *(getattr(self, name) for name in METHOD_SETTINGS))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, nested for the settings of methods; what config.yaml holds."""
        return asdict(self)

    def difference(self, other: FinetuneConfig) -> list[str]:
        """Names of the settings in which two configurations differ as to the result."""
        names = [item.name for item in fields(self) if item.name not in NOT_PART_OF_THE_RESULT]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def _are_methods(given: str) -> bool:
    return all(name in METHODS for name in given.split("+"))


def _nearest_method(given: str) -> str:
    unknown = next((name for name in str(given).split("+") if name not in METHODS), "")
    return near(unknown, METHODS)


def _holds(rule: Callable[[Any], bool], value: Any) -> bool:
    try:
        return rule(value)
    except TypeError:
        return False


def _is_given(shown: str) -> bool:
    return shown != "''"


def numbers_of(text: str) -> tuple[float, ...]:
    """Return the numbers of a setting such as "1,1,3".

    Raises:
        ValueError: other than numbers with commas between.

    Examples:
        >>> numbers_of("-100, 400")
        (-100.0, 400.0)
    """
    return tuple(float(part) for part in text.split(","))


def measures_of(text: str | None) -> list[tuple[str, str | None]]:
    """Return the measures of a setting such as "auc,lesions:tumour", each with the class that it is for.

    Examples:
        >>> measures_of("auc,lesions:tumour")
        [('auc', None), ('lesions', 'tumour')]
    """
    parts = [part.strip().partition(":") for part in (text or "").split(",") if part.strip()]
    return [(name.strip(), label.strip() or None) for name, _, label in parts]


def trackers_of(text: str | None) -> list[str]:
    """Return the trackers of a setting such as "tensorboard,mlflow".

    Examples:
        >>> trackers_of("tensorboard, mlflow"), trackers_of(None)
        (['tensorboard', 'mlflow'], [])
    """
    return list(dict.fromkeys(part.strip() for part in (text or "").split(",") if part.strip()))


def _are_trackers(shown: str) -> bool:
    return shown == "None" or set(trackers_of(shown[1:-1])) <= set(TRACKERS)


def _are_measures(shown: str) -> bool:
    return shown == "None" or all(name in MEASURES for name, _ in measures_of(shown[1:-1]))


def _is_spacing(shown: str) -> bool:
    return shown in ("None", "'median'") or all(0 < value < float("inf") for value in _numbers_shown(shown))


def _is_window(shown: str) -> bool:
    values = (0.0, 1.0) if shown == "None" else _numbers_shown(shown)
    return len(values) == 2 and -float("inf") < values[0] < values[1] < float("inf")


def _numbers_shown(shown: str) -> tuple[float, ...]:
    try:
        return numbers_of(shown[1:-1])
    except ValueError:
        return (float("nan"),)


def _is_positive(value: float) -> bool:
    return 0 < value < float("inf")


def _either(allowed: Any) -> str:
    return " or ".join(repr(name) for name in allowed)
