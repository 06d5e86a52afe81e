"""The table of fine-tuning methods, and one method or several out of a name such as "acnorm+l2sp"."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, cast

from acnorm.errors import UserError, hint
from acnorm.tuning.acnorm import ACNormTuning
from acnorm.tuning.auto_rgn import AutoRGN
from acnorm.tuning.bi_tuning import BiTuning
from acnorm.tuning.bn_only import BNOnly
from acnorm.tuning.bss import BSS
from acnorm.tuning.combined import Combined
from acnorm.tuning.cotuning import CoTuning
from acnorm.tuning.delta import DELTA
from acnorm.tuning.gradual import Gradual
from acnorm.tuning.hooks import Method
from acnorm.tuning.l2 import L2
from acnorm.tuning.l2sp import L2SP
from acnorm.tuning.last_k import LastK
from acnorm.tuning.linear_probe import LinearProbe
from acnorm.tuning.lp_ft import LPFT
from acnorm.tuning.lrd import LayerwiseDecay
from acnorm.tuning.lwf import LwF
from acnorm.tuning.stochnorm import StochNormTuning
from acnorm.tuning.surgical import Surgical
from acnorm.tuning.vanilla import Vanilla

METHODS: dict[str, type[Method]] = {
    "vanilla": Vanilla,
    "acnorm": ACNormTuning,
    "linear-probe": LinearProbe,
    "lp-ft": LPFT,
    "bn-only": BNOnly,
    "last-k": LastK,
    "gradual": Gradual,
    "surgical": Surgical,
    "lrd": LayerwiseDecay,
    "auto-rgn": AutoRGN,
    "l2": L2,
    "l2sp": L2SP,
    "delta": DELTA,
    "bss": BSS,
    "cotuning": CoTuning,
    "lwf": LwF,
    "bi-tuning": BiTuning,
    "stochnorm": StochNormTuning,
}


def make_method(name: str, *settings: Method) -> Method:
    """Return the method ``name``, or several with + between, with their settings where they are among ``settings``.

    Raises:
        UserError: no such method, or methods that do not go together.

    Examples:
        >>> make_method("acnorm").temperature
        1.0
        >>> make_method("acnorm", ACNormTuning(temperature=0.5)).temperature
        0.5
    """
    names = name.split("+")
    for part in names:
        if part not in METHODS:
            raise UserError(f"--method {part!r} is not known; {hint(part.lower(), METHODS)} See acnorm methods.")
    made = [_one(part, settings) for part in names]
    return made[0] if len(made) == 1 else Combined(tuple(zip(names, made, strict=True)))


def setting_of(method: str) -> str:
    """Return the name under which the settings of a method stand in a configuration.

    Examples:
        >>> setting_of("lp-ft")
        'lp_ft'
    """
    return method.replace("-", "_")


@dataclass(frozen=True)
class Entry:
    """One method for ``acnorm methods``: its name, what it does, and ``About`` it; its settings with their defaults.

    search: where those that are searched lie, in words.
    """

    name: str
    about: str
    paper: str
    cost: str
    when: str
    settings: dict[str, Any]
    search: dict[str, str]


def list_methods() -> list[Entry]:
    """Return all methods in the order of the table.

    Examples:
        >>> [entry.name for entry in list_methods()][:2]
        ['vanilla', 'acnorm']
    """
    entries = []
    for name, kind in METHODS.items():
        first = (kind.__doc__ or "").strip().splitlines()[0].rstrip(".")
        settings = {item.name: item.default for item in fields(cast(Any, kind))}
        search = {key: str(found) for key, found in kind.space.items()}
        entries.append(Entry(name, first, kind.about.paper, kind.about.cost, kind.about.when, settings, search))
    return entries


def _one(name: str, settings: tuple[Method, ...]) -> Method:
    return next((given for given in settings if type(given) is METHODS[name]), METHODS[name]())
