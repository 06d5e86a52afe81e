"""An autoencoder (Hinton and Salakhutdinov, Science 2006): give the image back from its pooled features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from acnorm.pretraining.distortions import restoring_error
from acnorm.pretraining.encoder import Blueprint, Encoder
from acnorm.pretraining.task import Pretext
from acnorm.pretraining.views import mirrored
from acnorm.tuning.rules import Rules, at_least

_SIDE = 4  # of the map from which images are unfolded
_NARROWEST = 8  # channels of the decoder's maps


class AutoencoderNetwork(nn.Module):
    """An encoder, and a decoder that sees its pooled features alone: no skip could carry the image past them.

    Args:
        encoder: gives one vector an image.
        channels: of the images.
        dimensions: 2 or 3.
        width: channels of the decoder's coarsest map, halved at each level.
    """

    def __init__(self, encoder: Encoder, channels: int, dimensions: int, width: int = 64) -> None:
        super().__init__()
        self.encoder = encoder
        self.dimensions = dimensions
        self.mode = "bilinear" if dimensions == 2 else "trilinear"
        widths = [max(_NARROWEST, width >> at) for at in range(4)]
        self.head = nn.ModuleDict(
            {
                "unfold": nn.Linear(encoder.width, width * _SIDE**dimensions),
                "blocks": nn.ModuleList(_block(*pair, dimensions) for pair in pairwise(widths)),
                "last": (nn.Conv2d if dimensions == 2 else nn.Conv3d)(widths[-1], channels, 3, padding=1),
            }
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images to images."""
        features = self.encoder(images)
        maps: Tensor = self.head["unfold"](features).reshape(len(images), -1, *(_SIDE,) * self.dimensions)
        sizes = [[math.ceil(side / 2**level) for side in images.shape[2:]] for level in (2, 1, 0)]
        for block, size in zip(self.head["blocks"], sizes, strict=True):  # type: ignore[call-overload]
            maps = block(functional.interpolate(maps, size=size, mode=self.mode, align_corners=False))
        restored: Tensor = self.head["last"](maps)
        return restored


@dataclass(frozen=True)
class Autoencoder(Pretext):
    """Give images back from their features.

    Args:
        width: channels of the decoder's coarsest map, 8 or more.

    Examples:
        >>> import torch
        >>> network = Autoencoder().build(Blueprint("cifar/resnet20", channels=1, dimensions=2))
        >>> network(torch.rand(2, 1, 32, 28)).shape
        torch.Size([2, 1, 32, 28])
    """

    about: ClassVar[str] = "give images back from their features"
    paper: ClassVar[str] = "Hinton and Salakhutdinov, Science 2006"

    width: int = 64

    def problems(self) -> list[str]:
        """A width from 8, that of the finest maps."""
        rules = Rules("autoencoder", self)
        at_least(rules, _NARROWEST, "width")
        return rules.problems

    def build(self, blueprint: Blueprint) -> nn.Module:
        """The encoder with a small decoder."""
        return AutoencoderNetwork(blueprint.encoder(), blueprint.channels, blueprint.dimensions, self.width)

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Mean squared error."""
        images = mirrored(batch["image"])
        return restoring_error(network(images), images)

    def show(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """The images, and as they come back."""
        return {"images": images, "as they come back": network(images)}


def _block(inputs: int, outputs: int, dimensions: int) -> nn.Sequential:
    convolution, norm = (nn.Conv2d, nn.BatchNorm2d) if dimensions == 2 else (nn.Conv3d, nn.BatchNorm3d)
    return nn.Sequential(convolution(inputs, outputs, 3, padding=1, bias=False), norm(outputs), nn.ReLU(inplace=True))
