"""What a fine-tuning method must do, and the table of methods."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from torch import Tensor, nn

from acnorm.errors import UserError
from acnorm.tuning.acnorm import ACNormTuning
from acnorm.tuning.vanilla import Vanilla


class Method(Protocol):
    """A way to fine-tune; its fields are what a user can set."""

    def prepare(self, network: nn.Module, trained_norms: Collection[str] | None) -> nn.Module:
        """Change a network whose source weights are in; ``trained_norms`` is None without a checkpoint."""

    def rebuild(self, network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        """Bring a new network to the saved state of one that ``prepare`` changed."""

    def finish(self, network: nn.Module, example: Tensor) -> nn.Module:
        """Return the plain network with the same outputs."""


METHODS: dict[str, type[Method]] = {"vanilla": Vanilla, "acnorm": ACNormTuning}


def make_method(name: str, *settings: Method) -> Method:
    """Return the method ``name``, with its settings where they are among ``settings``.

    Raises:
        UserError: no such method.

    Examples:
        >>> make_method("acnorm").temperature
        1.0
        >>> make_method("acnorm", ACNormTuning(temperature=0.5)).temperature
        0.5
    """
    if name not in METHODS:
        raise UserError(f"--method {name!r} is not known; there are {', '.join(METHODS)}.")
    return next((given for given in settings if type(given) is METHODS[name]), METHODS[name]())
