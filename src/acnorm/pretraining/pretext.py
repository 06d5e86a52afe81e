"""What a pretext task must do, and the table of tasks."""

from __future__ import annotations

from typing import ClassVar, Protocol

from torch import Tensor, nn

from acnorm.errors import UserError
from acnorm.pretraining.autoencoder import Autoencoder
from acnorm.pretraining.barlow_twins import BarlowTwins
from acnorm.pretraining.byol import BYOL
from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.genesis import ModelsGenesis
from acnorm.pretraining.jigsaw import Jigsaw
from acnorm.pretraining.location import RelativeLocation
from acnorm.pretraining.moco import MoCo
from acnorm.pretraining.pcrl import PreservationalContrast
from acnorm.pretraining.rotation import Rotation
from acnorm.pretraining.rubik import RubiksCube
from acnorm.pretraining.simclr import SimCLR
from acnorm.pretraining.supervised import Supervised


class Pretext(Protocol):
    """A task that needs no labels (but for supervised pretraining); its fields are what a user can set.

    about: one line. paper: where it comes from. labelled: whether it needs labels.
    """

    about: ClassVar[str]
    paper: ClassVar[str]
    labelled: ClassVar[bool]

    def build(self, blueprint: Blueprint) -> nn.Module:
        """The network that is trained; its ``encoder`` is an ``Encoder`` or a ``DenseEncoder``."""
        ...

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """The loss of a batch with ``image`` and, where labelled, ``label`` or ``mask``."""
        ...

    def after_step(self, network: nn.Module, progress: float) -> None:
        """What is done after an optimiser step; ``progress`` goes from 0 to 1 over the run."""
        ...

    def show(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """Rows of images [case, channel, *space] that show the task, by their captions."""
        ...


PRETEXTS: dict[str, type[Pretext]] = {
    "supervised": Supervised,
    "rotation": Rotation,
    "genesis": ModelsGenesis,
    "simclr": SimCLR,
    "byol": BYOL,
    "moco": MoCo,
    "location": RelativeLocation,
    "jigsaw": Jigsaw,
    "rubik": RubiksCube,
    "autoencoder": Autoencoder,
    "barlow-twins": BarlowTwins,
    "pcrl": PreservationalContrast,
}


def make_pretext(name: str) -> Pretext:
    """Return the pretext task ``name`` with its default settings.

    Raises:
        UserError: no such task.

    Examples:
        >>> make_pretext("simclr").temperature
        0.5
    """
    if name not in PRETEXTS:
        raise UserError(f"--method {name!r} is not known; there are {', '.join(PRETEXTS)}.")
    return PRETEXTS[name]()
