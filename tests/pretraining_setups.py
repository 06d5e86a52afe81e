"""Images, vectors and networks that tests of pretext tasks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from acnorm.pretraining.encoder import Blueprint

FLAT = Blueprint("cifar/resnet20", channels=1, dimensions=2, classes=3)
DEEP = Blueprint("monai/resnet10", channels=1, dimensions=3, classes=3)


def images(cases: int = 4, seed: int = 0, side: int = 32, dimensions: int = 2) -> Tensor:
    return torch.randn(cases, 1, *(side,) * dimensions, generator=torch.Generator().manual_seed(seed))


def vectors(seed: int, cases: int = 5, width: int = 3) -> Tensor:
    return torch.randn(cases, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def places_of(shape: tuple[int, ...]) -> Tensor:
    """Images that hold the coordinates of their pixels."""
    grid = torch.stack(torch.meshgrid(*(torch.arange(side) for side in shape[2:]), indexing="ij")).float()
    return grid.expand(shape[0], *grid.shape).clone()


class Fixed(nn.Module):
    """Gives the answers that it holds in turn, whatever the images, which it keeps."""

    def __init__(self, *answers: Tensor | tuple[Tensor, ...]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.seen: list[Tensor] = []

    def forward(self, given: Tensor) -> Tensor | tuple[Tensor, ...]:
        self.seen.append(given)
        return self.answers.pop(0)


class Spy(nn.Module):
    """Stands for the encoder: keeps what it is given, tells nothing."""

    width = 4

    def forward(self, given: Tensor) -> Tensor:
        self.seen = given
        return given.new_zeros(len(given), self.width)
