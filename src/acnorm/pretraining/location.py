"""Relative patch location (Doersch et al., ICCV 2015): where does the second patch lie beside the first?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from acnorm.pretraining.encoder import Blueprint, Encoder
from acnorm.pretraining.task import Pretext
from acnorm.pretraining.tiles import Tiles, cut, gap_of
from acnorm.pretraining.views import recoloured
from acnorm.tuning.rules import Rules, at_least_one, below_one

PARTS = 3


class PairNetwork(nn.Module):
    """One encoder for both patches, and a classifier of the two vectors together."""

    def __init__(self, encoder: Encoder, places: int, hidden: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.Linear(2 * encoder.width, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, places)
        )

    def forward(self, middle: Tensor, other: Tensor) -> Tensor:
        """Pairs of patches to logits of the place of the second."""
        features = self.encoder(torch.cat([middle, other])).chunk(2)
        logits: Tensor = self.head(torch.cat(features, dim=1))
        return logits


@dataclass(frozen=True)
class RelativeLocation(Pretext):
    """Tell which of the 8 neighbours (in 3D 26) of the middle patch of a grid a patch is.

    Patches are smaller than their cells and lie anywhere in them; intensities of each are changed on their
    own, where the paper drops colours against chromatic aberration.

    Args:
        gap: by which share of its cell a patch is smaller than it.
        hidden: width of the classifier's middle.

    Examples:
        >>> network = RelativeLocation().build(Blueprint("cifar/resnet20", channels=1, dimensions=2))
        >>> RelativeLocation().loss(network, {"image": torch.rand(4, 1, 32, 32)}).shape
        torch.Size([])
    """

    about: ClassVar[str] = "tell where one patch lies beside another"
    paper: ClassVar[str] = "Doersch et al., ICCV 2015"

    gap: float = 0.25
    hidden: int = 256

    def problems(self) -> list[str]:
        """A gap below 1, a width from 1."""
        rules = Rules("location", self)
        below_one(rules, "gap")
        at_least_one(rules, "hidden")
        return rules.problems

    def build(self, blueprint: Blueprint) -> nn.Module:
        """The encoder with a classifier of pairs."""
        return PairNetwork(blueprint.encoder(), PARTS**blueprint.dimensions - 1, self.hidden)

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Cross-entropy of the place, one pair an image."""
        middle, other, places = _pairs(batch["image"], self.gap)
        return functional.cross_entropy(network(recoloured(middle), recoloured(other)), places)

    def show(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """The images, and the two patches of each; the caption says how many places were told right."""
        middle, other, places = _pairs(images, self.gap)
        right = int((network(middle, other).argmax(dim=1) == places).sum())
        told = f"its neighbour ({right} of {len(images)} places told right)"
        return {"images": images, "the middle patch": _filled(middle, images), told: _filled(other, images)}


def _pairs(images: Tensor, gap: float) -> tuple[Tensor, Tensor, Tensor]:
    """The middle patch of each image, another one, and the number of its place."""
    tiles: Tiles = cut(images, PARTS, method="location", gap=gap_of(images, PARTS, gap))
    middle = tiles.shape[1] // 2
    places = torch.randint(tiles.shape[1] - 1, (len(images),), device=images.device)
    others = places + (places >= middle)
    return tiles[:, middle], tiles[torch.arange(len(images), device=images.device), others], places


def _filled(patches: Tensor, images: Tensor) -> Tensor:
    """Patches at the size of the images, to look at."""
    return functional.interpolate(patches, size=images.shape[2:], mode="nearest")
