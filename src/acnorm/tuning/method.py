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


METHODS: dict[str, str] = {"vanilla": Vanilla.__doc__ or "", "acnorm": ACNormTuning.__doc__ or ""}


def make_method(name: str, acnorm: ACNormTuning | None = None) -> Method:
    """Return the method ``name`` with its settings.

    Raises:
        UserError: no such method.

    Examples:
        >>> make_method("acnorm").temperature
        1.0
    """
    if name == "vanilla":
        return Vanilla()
    if name == "acnorm":
        return acnorm or ACNormTuning()
    raise UserError(f"--method {name!r} is not known; there are {', '.join(METHODS)}.")
