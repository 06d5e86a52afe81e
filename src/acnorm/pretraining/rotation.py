"""Rotation prediction (Gidaris et al., ICLR 2018): by how much was the image turned?

In 3D the ten turns by multiples of 90° about one axis (Jing and Tian, arXiv 1811.11387, for videos; Taleb et al.,
NeurIPS 2020, for scans). One random turn of each image a step, where the 2D paper takes all four.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from acnorm.errors import UserError
from acnorm.pretraining.encoder import Blueprint, Encoder
from acnorm.pretraining.task import Pretext
from acnorm.pretraining.views import recoloured

# Turns as (plane, quarters): plane by its two axes of [channel, *space].
TURNS: dict[int, tuple[tuple[tuple[int, int], int], ...]] = {
    2: tuple(((1, 2), quarters) for quarters in range(4)),
    3: (((1, 2), 0), *((plane, quarters) for plane in ((1, 2), (1, 3), (2, 3)) for quarters in (1, 2, 3))),
}


def turned(images: Float[Tensor, "batch channel *space"], turns: Int[Tensor, " batch"]) -> Tensor:
    """Turn each image by the turn of its number.

    Args:
        images: square or cubic.
        turns: numbers in ``TURNS[2]`` or ``TURNS[3]``.

    Examples:
        >>> image = torch.arange(4.0).reshape(1, 1, 2, 2)
        >>> turned(image, torch.tensor([1]))[0, 0].tolist()
        [[1.0, 3.0], [0.0, 2.0]]
    """
    known = TURNS[images.ndim - 2]
    plans = [known[turn] for turn in turns.tolist()]
    return torch.stack([image.rot90(count, plane) for image, (plane, count) in zip(images, plans, strict=True)])


class RotationNetwork(nn.Module):
    """An encoder and a linear layer that tells the turn."""

    def __init__(self, encoder: Encoder, turns: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.width, turns)

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits of the turns."""
        logits: Tensor = self.head(self.encoder(images))
        return logits


@dataclass(frozen=True)
class Rotation(Pretext):
    """Tell by which multiple of 90° an image was turned.

    Examples:
        >>> network = Rotation().build(Blueprint("cifar/resnet20", channels=1, dimensions=2))
        >>> Rotation().loss(network, {"image": torch.rand(4, 1, 32, 32)}).shape
        torch.Size([])
    """

    about: ClassVar[str] = "tell by how much an image was turned"
    paper: ClassVar[str] = "Gidaris et al., ICLR 2018; in 3D Taleb et al., NeurIPS 2020"

    def build(self, blueprint: Blueprint) -> nn.Module:
        """The encoder with a head of 4 turns, in 3D of 10."""
        return RotationNetwork(blueprint.encoder(), len(TURNS[blueprint.dimensions]))

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Cross-entropy of one random turn of each image.

        Raises:
            UserError: images that are not square (cubic).
        """
        images = batch["image"]
        if len(set(images.shape[2:])) > 1:
            sides = " × ".join(map(str, images.shape[2:]))
            raise UserError(f"--method rotation: needs square images or cubes, these are {sides}; give --patch-size.")
        turns = torch.randint(len(TURNS[images.ndim - 2]), (len(images),), device=images.device)
        return functional.cross_entropy(network(turned(recoloured(images), turns)), turns)

    def show(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """The images, and turned; the caption says how many turns were told right."""
        turns = torch.arange(len(images), device=images.device) % len(TURNS[images.ndim - 2])
        seen = turned(images, turns)
        right = int((network(seen).argmax(dim=1) == turns).sum())
        return {"images": images, f"turned ({right} of {len(images)} turns told right)": seen}
