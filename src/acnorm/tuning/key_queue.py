"""The last keys of each class."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class KeyQueue(nn.Module):
    """The last ``length`` keys of each class, saved with the module; empty at the start.

    Args:
        classes: how many.
        length: keys of each.
        size: of a key.

    Examples:
        >>> queue = KeyQueue(classes=2, length=3, size=1)
        >>> queue.add(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1, 0, 1]))
        >>> queue.held()[0].flatten().tolist(), queue.held()[1].tolist()
        ([2.0, 1.0, 3.0], [0, 1, 1])
    """

    keys: Tensor
    counts: Tensor

    def __init__(self, classes: int, length: int, size: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(classes, length, size))
        self.register_buffer("counts", torch.zeros(classes, dtype=torch.long))

    def held(self) -> tuple[Float[Tensor, "key size"], Int[Tensor, " key"]]:
        """The keys that are there, and the class of each."""
        classes, length = self.keys.shape[:2]
        there = torch.arange(length, device=self.keys.device) < self.counts[:, None]
        named = torch.arange(classes, device=self.keys.device)[:, None].expand(classes, length)
        return self.keys[there], named[there]

    def add(self, keys: Float[Tensor, "batch size"], labels: Int[Tensor, " batch"]) -> None:
        """Let keys enter in their order, each in the place of the oldest of its class once that is full."""
        length = self.keys.shape[1]
        each = nn.functional.one_hot(labels, len(self.counts))
        rank = (each.cumsum(dim=0) - 1).gather(1, labels[:, None]).squeeze(1)
        total = each.sum(dim=0)
        last = rank >= total[labels] - length  # of more than fit at once, the last
        places = (self.counts[labels] + rank) % length
        self.keys = self.keys.to(torch.promote_types(self.keys.dtype, keys.dtype)).clone()
        self.keys[labels[last], places[last]] = keys.detach()[last].to(self.keys.dtype)
        self.counts = self.counts + total
