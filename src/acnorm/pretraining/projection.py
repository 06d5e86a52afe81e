"""Small networks behind an encoder, in whose space views are compared."""

from __future__ import annotations

from torch import Tensor, nn


def projector(inputs: int, hidden: int, outputs: int, *, norm: bool = True) -> nn.Sequential:
    """Return two linear layers with ReLU and, where asked for, BatchNorm between.

    Examples:
        >>> len(projector(64, 128, 32)), len(projector(64, 128, 32, norm=False))
        (4, 3)
    """
    middle: list[nn.Module] = [nn.BatchNorm1d(hidden)] if norm else []
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=not norm), *middle, nn.ReLU(inplace=True), nn.Linear(hidden, outputs)
    )


class Projected(nn.Module):
    """An encoder with a projection head.

    Examples:
        >>> import torch
        >>> from acnorm.pretraining.encoder import Blueprint
        >>> network = Projected(Blueprint("cifar/resnet20", channels=1, dimensions=2).encoder(), 128, 32)
        >>> network(torch.rand(2, 1, 32, 32)).shape
        torch.Size([2, 32])
    """

    def __init__(self, encoder: nn.Module, hidden: int, outputs: int, *, norm: bool = True) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = projector(int(encoder.width), hidden, outputs, norm=norm)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Images to projections."""
        projections: Tensor = self.head(self.encoder(images))
        return projections
