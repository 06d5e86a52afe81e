"""Plain fine-tuning: all parameters train, BatchNorm as it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Vanilla:
    """Train all parameters of the network as it is.

    Examples:
        >>> network = nn.BatchNorm2d(4)
        >>> Vanilla().prepare(network, None) is network
        True
    """

    def prepare(self, network: nn.Module, trained_norms: Collection[str] | None) -> nn.Module:  # noqa: ARG002
        """Nothing to change."""
        return network

    def rebuild(self, network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        """Load the state."""
        network.load_state_dict(state)
        return network

    def finish(self, network: nn.Module, example: Tensor) -> nn.Module:  # noqa: ARG002
        """Nothing to undo."""
        return network
