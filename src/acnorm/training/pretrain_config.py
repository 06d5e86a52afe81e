"""The configuration of a pretraining run: one dataclass behind Python, YAML and flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from acnorm.data.tasks import find_task
from acnorm.errors import UserError
from acnorm.pretraining.autoencoder import Autoencoder
from acnorm.pretraining.barlow_twins import BarlowTwins
from acnorm.pretraining.byol import BYOL
from acnorm.pretraining.genesis import ModelsGenesis
from acnorm.pretraining.jigsaw import Jigsaw
from acnorm.pretraining.location import RelativeLocation
from acnorm.pretraining.moco import MoCo
from acnorm.pretraining.pcrl import PreservationalContrast
from acnorm.pretraining.pretext import PRETEXT_SETTINGS, make_pretext
from acnorm.pretraining.rubik import RubiksCube
from acnorm.pretraining.simclr import SimCLR
from acnorm.pretraining.supervised import Supervised
from acnorm.pretraining.task import Pretext
from acnorm.training.config import FinetuneConfig
from acnorm.training.settings import NOTES_OF_A_RUN, SettingsReader

# Settings that may differ between a run and its resumption: they do not change the result.
NOT_PART_OF_THE_RESULT = ("out", "resume", "overwrite", "workers", "memory", "tracker")
# Settings that a fine-tuning run has as well, and that mean the same there.
_SHARED = (
    *("data", "model", "out", "weights", "format", "splits", "image_size", "patch_size", "patches_per_case", "slices"),
    *("task", "spacing", "window", "skip_bad", "epochs", "batch_size", "accumulate", "learning_rate", "momentum"),
    *("minimum_share", "stem_rule", "depth_rule"),
    *("weight_decay", "seed", "workers", "memory", "accelerator", "devices", "nodes", "strategy", "precision"),
    *("tracker", "resume", "overwrite"),
)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Everything that decides a pretraining run.

    Args:
        data: as for fine-tuning, or a folder or table of images without labels. Training cases alone are used to
            train, so that the splits of a target hold.
        model: the network whose encoder is trained; see `acnorm models`.
        out: folder of the run; must be new or empty unless --resume or --overwrite is given.
        method: the pretext task; see `acnorm pretrain --list`.
        weights: a checkpoint to begin with, or "pretrained" to fetch the public weights of the network; random weights
            where not given.
        minimum_share: least share of the encoder's parameters that must load from it.
        stem_rule: how its first convolution takes another number of channels, as for fine-tuning.
        depth_rule: how its 2D kernels become 3D, as for fine-tuning.
        probe: labelled images, of whose training cases the nearest neighbours are asked after each epoch; the
            validation cases of data where not given.
        task: a named task, as for fine-tuning: what its volumes are, and its patch size, slices and spacing where none
            are given.
        format: of the data; found out where not given.
        splits: file with the split of each case; made there if it does not exist.
        image_size: sides in pixels or voxels to which images and volumes are brought; as they are where not given.
        patch_size: of data with label maps, sides of the patches.
        patches_per_case: of data with label maps, patches of a case an epoch.
        slices: take volumes slice by slice with a 2D network.
        spacing: of volumes with label maps, millimetres to which they are resampled, or "median".
        window: of volumes, lowest and highest intensity with a comma between, such as --window=-100,400.
        skip_bad: leave out cases that are broken.
        epochs: passes over the training cases.
        batch_size: cases a step and device, at least 2.
        accumulate: batches whose gradients are added up for one optimiser step.
        learning_rate: at the start; falls to 0 along a cosine.
        momentum: of SGD (Nesterov).
        weight_decay: of all parameters.
        seed: of everything random.
        workers: processes that read images; any number gives the same run.
        memory: GiB of prepared cases kept in memory (of data with label maps).
        accelerator: "auto", "cpu", "gpu", "mps", as Lightning's.
        devices: "auto" or a number, as Lightning's.
        nodes: number of machines.
        strategy: "auto", "ddp", …, as Lightning's.
        precision: "auto" (16-mixed or bf16-mixed on a GPU, 32-true on a CPU) or one of Lightning's.
        tracker: "tensorboard", "mlflow", "wandb", or several with commas between.
        supervised: settings of supervised pretraining.
        genesis: settings of Models Genesis.
        simclr: settings of SimCLR.
        byol: settings of BYOL.
        moco: settings of MoCo.
        location: settings of relative patch location.
        jigsaw: settings of jigsaw puzzles.
        rubik: settings of Rubik's cube.
        autoencoder: settings of the autoencoder.
        barlow_twins: settings of Barlow Twins.
        pcrl: settings of contrast with restoration.
        resume: go on with the run in out from its last finished epoch.
        overwrite: delete the run in out first.

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
    task: str | None = None
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
    supervised: Supervised = field(default_factory=Supervised)
    genesis: ModelsGenesis = field(default_factory=ModelsGenesis)
    simclr: SimCLR = field(default_factory=SimCLR)
    byol: BYOL = field(default_factory=BYOL)
    moco: MoCo = field(default_factory=MoCo)
    location: RelativeLocation = field(default_factory=RelativeLocation)
    jigsaw: Jigsaw = field(default_factory=Jigsaw)
    rubik: RubiksCube = field(default_factory=RubiksCube)
    autoencoder: Autoencoder = field(default_factory=Autoencoder)
    barlow_twins: BarlowTwins = field(default_factory=BarlowTwins)
    pcrl: PreservationalContrast = field(default_factory=PreservationalContrast)
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        wrong = []
        for make in (self.of_trainer, self.make_pretext):
            try:
                make()
            except UserError as error:
                wrong.append(str(error).rstrip("."))
        if self.batch_size == 1:
            wrong.append("batch_size is 1, must be 2 or more")
        wrong += [problem for name in PRETEXT_SETTINGS for problem in getattr(self, name).problems()]
        if wrong:
            raise UserError("; ".join(wrong) + ".")

    def make_pretext(self) -> Pretext:
        """The pretext task with its settings."""
        return make_pretext(self.method, *(getattr(self, name) for name in PRETEXT_SETTINGS))

    def of_trainer(self) -> FinetuneConfig:
        """The same settings as the trainer takes them."""
        shared = {name: getattr(self, name) for name in _SHARED}
        return FinetuneConfig(**shared, method="vanilla", augment="none", head_rate=1.0, optimizer="sgd")

    def patches_of(self, task: str) -> int:
        """Images that a training case gives an epoch."""
        return self.patches_per_case if task == "segmentation" else 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values, nested for the settings of tasks; what config.yaml holds."""
        return asdict(self)

    def difference(self, other: PretrainConfig) -> list[str]:
        """Names of the settings in which two configurations differ as to the result."""
        names = [item.name for item in fields(self) if item.name not in NOT_PART_OF_THE_RESULT]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def _begun(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with which the named task begins."""
    return find_task(given["task"]).of_data if isinstance(given.get("task"), str) else {}


READER = SettingsReader(
    "pretrain",
    "Make a source checkpoint from images, with or without labels; --list tells the pretext tasks.",
    PretrainConfig,
    PRETEXT_SETTINGS,
    _begun,
    notes=(*NOTES_OF_A_RUN, "kind"),
)


def pretrain_config(settings: Mapping[str, Any]) -> PretrainConfig:
    """Make a configuration of plain values, the settings of a task, such as ``simclr``, as a mapping.

    Raises:
        UserError: unknown or missing settings, all together, each with the nearest valid name; values that cannot be.

    Examples:
        >>> needed = {"data": "eyes.npz", "model": "m", "out": "run", "method": "simclr"}
        >>> pretrain_config(needed | {"simclr": {"temperature": 0.2}}).make_pretext().temperature
        0.2
        >>> pretrain_config(needed | {"epoch": 3})
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: unknown settings: epoch (did you mean epochs?).
    """
    return READER.from_settings(settings)


def pretrain_config_from_flags(argv: Sequence[str]) -> PretrainConfig:
    """Make a configuration of command-line flags, with ``--config FILE.yaml`` for values from a file.

    Raises:
        UserError: as ``pretrain_config``, and a YAML file that cannot be read.

    Examples:
        >>> flags = ["--data", "eyes.npz", "--model", "cifar/resnet20", "--out", "run", "--method", "moco"]
        >>> pretrain_config_from_flags([*flags, "--moco.keys", "256"]).moco.keys
        256
    """
    return READER.from_flags(argv)
