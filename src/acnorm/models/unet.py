"""A U-Net whose encoder is a classification network as it is, so that its checkpoints load, with a decoder of its own.

MONAI's FlexibleUNet would serve but for its ResNet encoders, which have parameter-free shortcuts in the place of the
trained convolutions of torchvision's checkpoints: their features would be others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from acnorm.errors import UserError

Stages = Sequence[Sequence[str]]


class UNet(nn.Module):
    """Logits for every pixel or voxel, from the features of an encoder's stages.

    The decoder goes up from the last stage: bring to the size of the stage before, put side by side, convolve twice.
    Parameters are called ``encoder.…`` and ``decoder.…``; all of the decoder, with its last convolution, is new.

    Args:
        encoder: a classification network; what is not in ``stages`` (its head) is not used and should be taken off.
        stages: names of the encoder's modules that are run in turn, stage by stage; "relu" stands for a ReLU.
        channels: of the images.
        classes: of the label map, with the background.
        dimensions: 2 or 3.
        width: channels of the decoder's last and finest level; each coarser one has twice as many, at most 256.
        tapped: the encoder's ``forward_features`` is run, and ``stages`` name one module each whose output is taken.

    Raises:
        UserError: a stage gives no feature map, as those of a vision transformer.

    Examples:
        >>> from acnorm.models.cifar import CifarResNet
        >>> stages = ("conv1", "bn1", "relu", "layer1"), ("layer2",), ("layer3",)
        >>> network = UNet(CifarResNet(20), stages, 3, classes=2)
        >>> network(torch.zeros(1, 3, 40, 36)).shape
        torch.Size([1, 2, 40, 36])
    """

    def __init__(
        self,
        encoder: nn.Module,
        stages: Stages,
        channels: int,
        classes: int,
        dimensions: int = 2,
        width: int = 16,
        *,
        tapped: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.tapped = tapped
        self.stages = tuple(tuple(names) for names in stages)
        self.decoder = Decoder(_widths(self, channels, dimensions), classes, dimensions, width)

    def forward(self, images: Tensor) -> Tensor:
        """[batch, channel, *space] to logits [batch, class, *space]."""
        logits: Tensor = self.decoder(self.features(images), images.shape[2:])
        return logits

    def features(self, images: Tensor) -> list[Tensor]:
        """The output of each stage, the finest first."""
        if self.tapped:
            return self._tapped_features(images)
        found = []
        for names in self.stages:
            for name in names:
                images = functional.relu(images) if name == "relu" else self.encoder.get_submodule(name)(images)
            found.append(images)
        return found

    def _tapped_features(self, images: Tensor) -> list[Tensor]:
        found: dict[str, Tensor] = {}

        def keep(name: str, *call: Any) -> None:
            found[name] = call[-1]  # module, input, output

        taps = [name for (name,) in self.stages]
        handles = [self.encoder.get_submodule(name).register_forward_hook(partial(keep, name)) for name in taps]
        try:
            cast(Any, self.encoder).forward_features(images)
        finally:
            for handle in handles:
                handle.remove()
        return [found[name] for name in taps]


class Decoder(nn.Module):
    """From the features of an encoder's stages to logits.

    Args:
        widths: channels of the stages, the finest first.
        classes: of the label map.
        dimensions: 2 or 3.
        width: channels of the finest level.

    Examples:
        >>> features = [torch.zeros(1, 8, 16, 16), torch.zeros(1, 12, 8, 8)]
        >>> Decoder([8, 12], classes=2, dimensions=2)(features, (32, 32)).shape
        torch.Size([1, 2, 32, 32])
    """

    def __init__(self, widths: Sequence[int], classes: int, dimensions: int, width: int = 16) -> None:
        super().__init__()
        self.mode = "bilinear" if dimensions == 2 else "trilinear"
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        blocks, below = [], widths[-1]
        for at in reversed(range(len(widths) - 1)):
            own = min(256, width * 2**at)
            blocks.append(_block(below + widths[at], own, dimensions))
            below = own
        self.blocks = nn.ModuleList(blocks)
        self.head = convolution(below, classes, 1)

    def forward(self, features: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Features, the finest first, to logits of ``size``."""
        *finer, images = features
        for block, skip in zip(self.blocks, reversed(finer), strict=True):
            images = block(torch.cat((self._brought_to(images, skip.shape[2:]), skip), dim=1))
        return self._brought_to(self.head(images), size)

    def _brought_to(self, images: Tensor, size: Sequence[int]) -> Tensor:
        if images.shape[2:] == torch.Size(size):
            return images
        return functional.interpolate(images, size=list(size), mode=self.mode, align_corners=False)


def _block(inputs: int, outputs: int, dimensions: int) -> nn.Sequential:
    convolution, norm = (nn.Conv2d, nn.BatchNorm2d) if dimensions == 2 else (nn.Conv3d, nn.BatchNorm3d)
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [convolution(channels, outputs, 3, padding=1, bias=False), norm(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


@torch.no_grad()
def _widths(network: UNet, channels: int, dimensions: int) -> list[int]:
    """The channels of each stage, as a small image shows."""
    training = network.encoder.training
    network.encoder.eval()
    features = network.features(torch.zeros(1, channels, *(32,) * dimensions))
    network.encoder.train(training)
    if any(stage.ndim != dimensions + 2 for stage in features):
        name = type(network.encoder).__name__
        raise UserError(f"{name}: its stages give no feature maps; choose a convolutional network.")
    return [stage.shape[1] for stage in features]
