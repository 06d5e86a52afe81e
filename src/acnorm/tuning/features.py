"""What a network computes on its way: outputs of modules, and what goes into its head, kept during a forward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


@contextmanager
def outputs_of(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Keep the outputs of modules in the dictionary that this gives, as long as the block lasts.

    Args:
        network: whose forward is run in the block.
        names: of the modules.

    Examples:
        >>> network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        >>> with outputs_of(network, ["0"]) as found:
        ...     _ = network(torch.zeros(5, 2))
        >>> found["0"].shape
        torch.Size([5, 3])
    """
    found: dict[str, Tensor] = {}

    def keeping(name: str) -> Any:
        return lambda _, __, output: found.__setitem__(name, output)

    handles = [network.get_submodule(name).register_forward_hook(keeping(name)) for name in names]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def head_inputs(network: nn.Module, head: str) -> Iterator[list[Tensor]]:
    """Keep the features that go into the head, as long as the block lasts; of a decoder, those of the last stage.

    Args:
        network: whose forward is run in the block.
        head: its name.

    Examples:
        >>> network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        >>> with head_inputs(network, "1") as found:
        ...     _ = network(torch.zeros(5, 2))
        >>> found[0].shape
        torch.Size([5, 3])
    """
    found: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Any, ...]) -> None:
        found.append(given[0][-1] if isinstance(given[0], list | tuple) else given[0])

    handle = _entrance(network.get_submodule(head)).register_forward_pre_hook(keep)
    try:
        yield found
    finally:
        handle.remove()


def pooled(features: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch channel"]:
    """Return the mean over space, in single precision at least.

    Examples:
        >>> pooled(torch.ones(2, 3, 4, 4, dtype=torch.float16)).dtype
        torch.float32
    """
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    return features.flatten(2).mean(dim=2) if features.ndim > 2 else features


def _entrance(head: nn.Module) -> nn.Module:
    """What is called of a head: a container is not, its first layer is."""
    while isinstance(head, nn.ModuleDict | nn.ModuleList):
        head = next(head.children())
    return head
