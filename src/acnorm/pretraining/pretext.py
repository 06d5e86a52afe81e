"""The table of pretext tasks."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast

from acnorm.errors import UserError, hint
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


def setting_of(task: str) -> str:
    """Return the name under which the settings of a task stand in a configuration.

    Examples:
        >>> setting_of("barlow-twins")
        'barlow_twins'
    """
    return task.replace("-", "_")


PRETEXT_SETTINGS = {setting_of(name): kind for name, kind in PRETEXTS.items() if fields(cast(Any, kind))}


def make_pretext(name: str, *settings: Pretext) -> Pretext:
    """Return the pretext task ``name``, with its settings where they are among ``settings``.

    Raises:
        UserError: no such task.

    Examples:
        >>> make_pretext("simclr").temperature
        0.5
        >>> make_pretext("simclr", SimCLR(temperature=0.2)).temperature
        0.2
    """
    if name not in PRETEXTS:
        raise UserError(f"--method {name!r} is not known; {hint(name.lower(), PRETEXTS)} See acnorm pretrain --list.")
    return next((given for given in settings if type(given) is PRETEXTS[name]), PRETEXTS[name]())
