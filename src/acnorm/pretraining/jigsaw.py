"""Jigsaw puzzles (Noroozi and Favaro, ECCV 2016): in which order were the tiles of the image put?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from acnorm.pretraining.encoder import Blueprint, Encoder
from acnorm.pretraining.task import Pretext
from acnorm.pretraining.tiles import cut, gap_of, joined, permutations, reordered
from acnorm.pretraining.views import recoloured
from acnorm.tuning.rules import Rules, at_least, at_least_one, below_one

PARTS = {2: 3, 3: 2}  # tiles an axis: 9 in 2D, 8 in 3D


class TilesNetwork(nn.Module):
    """One encoder for all tiles, and a classifier of their vectors in a row."""

    orders: Tensor

    def __init__(self, encoder: Encoder, orders: Tensor, hidden: int, answers: int) -> None:
        super().__init__()
        self.encoder = encoder
        tiles = orders.shape[1]
        self.head = nn.Sequential(
            nn.Linear(tiles * encoder.width, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, answers)
        )
        self.register_buffer("orders", orders)

    def forward(self, tiles: Tensor) -> Tensor:
        """[batch, tile, channel, *cell] to logits."""
        features = self.encoder(tiles.flatten(0, 1)).reshape(len(tiles), -1)
        logits: Tensor = self.head(features)
        return logits


@dataclass(frozen=True)
class Jigsaw(Pretext):
    """Tell in which of some orders the 3 × 3 tiles (in 3D 2 × 2 × 2) of an image were put.

    Args:
        parts: tiles an axis; 3 in 2D and 2 in 3D where not given.
        orders: how many.
        gap: by which share of its cell a tile is smaller than it.
        hidden: width of the classifier's middle.

    Examples:
        >>> network = Jigsaw().build(Blueprint("cifar/resnet20", channels=1, dimensions=2))
        >>> Jigsaw().loss(network, {"image": torch.rand(4, 1, 32, 32)}).shape
        torch.Size([])
    """

    about: ClassVar[str] = "tell in which order the tiles of an image were put"
    paper: ClassVar[str] = "Noroozi and Favaro, ECCV 2016"

    parts: int | None = None
    orders: int = 64
    gap: float = 0.2
    hidden: int = 256

    def problems(self) -> list[str]:
        """Two tiles an axis and two orders at least, a gap below 1, a width from 1."""
        rules = Rules("jigsaw", self)
        if self.parts is not None:
            at_least(rules, 2, "parts")
        at_least(rules, 2, "orders")
        below_one(rules, "gap")
        at_least_one(rules, "hidden")
        return rules.problems

    def build(self, blueprint: Blueprint) -> nn.Module:
        """The encoder with a classifier of orders."""
        tiles = self._parts(blueprint.dimensions) ** blueprint.dimensions
        orders = permutations(tiles, self.orders, method="jigsaw")
        return TilesNetwork(blueprint.encoder(), orders, self.hidden, self.orders)

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Cross-entropy of the order, one an image; tiles lie anywhere in their cells and are lit each on its own."""
        puzzles, answers = self._puzzles(network, batch["image"])
        lit = recoloured(puzzles.flatten(0, 1)).reshape(puzzles.shape)
        return functional.cross_entropy(network(lit), answers)

    def show(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """The images, and as puzzles; the caption says how many orders were told right."""
        puzzles, answers = self._puzzles(network, images)
        right = int((network(puzzles).argmax(dim=1) == answers).sum())
        whole = joined(puzzles, self._parts(images.ndim - 2))
        whole = functional.interpolate(whole, size=images.shape[2:], mode="nearest")
        return {"images": images, f"puzzles ({right} of {len(images)} orders told right)": whole}

    def _parts(self, dimensions: int) -> int:
        return PARTS[dimensions] if self.parts is None else self.parts

    def _puzzles(self, network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(network, TilesNetwork)
        parts = self._parts(images.ndim - 2)
        tiles = cut(images, parts, method="jigsaw", gap=gap_of(images, parts, self.gap))
        answers = torch.randint(len(network.orders), (len(images),), device=images.device)
        return reordered(tiles, network.orders[answers]), answers
