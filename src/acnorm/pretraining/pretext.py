"""The table of pretext tasks."""

from __future__ import annotations

from acnorm.errors import UserError
from acnorm.pretraining.autoencoder import Autoencoder
from acnorm.pretraining.barlow_twins import BarlowTwins
from acnorm.pretraining.byol import BYOL
from acnorm.pretraining.genesis import ModelsGenesis
from acnorm.pretraining.jigsaw import Jigsaw
from acnorm.pretraining.location import RelativeLocation
from acnorm.pretraining.moco import MoCo
from acnorm.pretraining.pcrl import PreservationalContrast
from acnorm.pretraining.rotation import Rotation
from acnorm.pretraining.rubik import RubiksCube
from acnorm.pretraining.simclr import SimCLR
from acnorm.pretraining.supervised import Supervised
from acnorm.pretraining.task import Pretext

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
