"""Rubik's cube (Zhuang et al., MICCAI 2019): in which order were the cubes of a volume put, and which were turned?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.jigsaw import TilesNetwork
from acnorm.pretraining.task import Pretext
from acnorm.pretraining.tiles import cut, gap_of, joined, permutations, reordered
from acnorm.tuning.rules import Rules, at_least, at_least_one, below_one, not_negative

PARTS = 2
_PLANES = ((-2, -1), (-3, -1))  # of the half turns, by their axes: "horizontal" and "vertical" in the paper


@dataclass(frozen=True)
class RubiksCube(Pretext):
    """Tell the order of the 2 × 2 × 2 cubes of a volume (2 × 2 tiles of an image), and the half turns of each.

    A cube is turned by 180° in either of two planes with probability a half each; of images there is one plane.

    Args:
        orders: how many; of the 24 orders of four tiles at most all.
        gap: by which share of its cell a cube is smaller than it.
        hidden: width of the classifier's middle.
        turning: weight of the turns beside the order.

    Examples:
        >>> network = RubiksCube().build(Blueprint("monai/resnet10", channels=1, dimensions=3))
        >>> RubiksCube().loss(network, {"image": torch.rand(2, 1, 16, 16, 16)}).shape
        torch.Size([])
    """

    about: ClassVar[str] = "tell the order of the cubes of a volume and which of them were turned"
    paper: ClassVar[str] = "Zhuang et al., MICCAI 2019"

    orders: int = 24
    gap: float = 0.2
    hidden: int = 256
    turning: float = 1.0

    def problems(self) -> list[str]:
        """Two orders at least, a gap below 1, a width from 1, a weight from 0."""
        rules = Rules("rubik", self)
        at_least(rules, 2, "orders")
        below_one(rules, "gap")
        at_least_one(rules, "hidden")
        not_negative(rules, "turning")
        return rules.problems

    def build(self, blueprint: Blueprint) -> nn.Module:
        """The encoder with a classifier of orders and turns."""
        tiles = PARTS**blueprint.dimensions
        answers = self.orders + tiles * (blueprint.dimensions - 1)
        orders = permutations(tiles, self.orders, method="rubik")
        return TilesNetwork(blueprint.encoder(), orders, self.hidden, answers)

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Cross-entropy of the order plus the weighted binary cross-entropy of the turns."""
        cubes, order, turns = self._scrambled(network, batch["image"])
        logits = network(cubes)
        of_turns = functional.binary_cross_entropy_with_logits(logits[:, self.orders :], turns.flatten(1))
        return functional.cross_entropy(logits[:, : self.orders], order) + self.turning * of_turns

    def show(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """The images, and scrambled; the caption says how much was told right."""
        cubes, order, turns = self._scrambled(network, images)
        logits = network(cubes)
        right = int((logits[:, : self.orders].argmax(dim=1) == order).sum())
        share = float(((logits[:, self.orders :] > 0) == turns.flatten(1).bool()).float().mean())
        whole = functional.interpolate(joined(cubes, PARTS), size=images.shape[2:], mode="nearest")
        told = f"scrambled ({right} of {len(images)} orders and {share:.0%} of the turns told right)"
        return {"images": images, told: whole}

    def _scrambled(self, network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cubes [batch, cube, channel, *cell], the number of their order, and the turns [batch, cube, plane]."""
        assert isinstance(network, TilesNetwork)
        cubes = cut(images, PARTS, method="rubik", gap=gap_of(images, PARTS, self.gap))
        order = torch.randint(len(network.orders), (len(images),), device=images.device)
        cubes = reordered(cubes, network.orders[order])
        planes = _PLANES[: images.ndim - 3]
        turns = torch.rand(len(images), cubes.shape[1], len(planes), device=images.device) < 0.5
        for number, plane in enumerate(planes):
            chosen = turns[..., number].reshape(*turns.shape[:2], *(1,) * (cubes.ndim - 2))
            cubes = torch.where(chosen, cubes.flip(plane), cubes)
        return cubes, order, turns.to(images.dtype)
