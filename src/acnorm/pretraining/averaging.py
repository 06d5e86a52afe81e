"""A second network that follows the first one as its moving average."""

from __future__ import annotations

from copy import deepcopy
from typing import cast

import torch
from torch import nn


def follower_of(network: nn.Module) -> nn.Module:
    """Return a copy that no gradient reaches.

    Examples:
        >>> follower = follower_of(nn.Linear(2, 2))
        >>> any(parameter.requires_grad for parameter in follower.parameters())
        False
    """
    return deepcopy(network).requires_grad_(False)


@torch.no_grad()
def follow(follower: nn.Module, network: nn.Module, momentum: float) -> None:
    """Move the follower's parameters to momentum · follower + (1 − momentum) · network.

    Examples:
        >>> network = nn.Linear(1, 1)
        >>> follower = follower_of(network)
        >>> before = network.weight.detach().clone()
        >>> network.weight.data += 1
        >>> follow(follower, network, 0.75)
        >>> torch.allclose(follower.weight, before + 0.25)
        True
    """
    for old, new in zip(follower.parameters(), network.parameters(), strict=True):
        cast(torch.Tensor, old).lerp_(new, 1 - momentum)
