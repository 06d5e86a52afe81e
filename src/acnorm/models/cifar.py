"""The residual networks of He et al. (arXiv 1512.03385, section 4.2) for 32 × 32 images: 6n + 2 layers.

Needs torch alone, so that this file can travel with a trained network and load it without acnorm.
Parameter names follow the public CIFAR-10 checkpoints (``conv1``, ``bn1``, ``layer1.0.conv1``, …, ``linear``);
shortcuts are parameter-free (option A: every second pixel, new channels zero).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions around a shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.new_channels = channels - in_channels

    def forward(self, images: Tensor) -> Tensor:
        """[batch, in_channels, height, width] to [batch, channels, height / stride, width / stride]."""
        features = functional.relu(self.bn1(self.conv1(images)))
        features = self.bn2(self.conv2(features))
        shortcut = images[:, :, :: self.stride, :: self.stride]
        if self.new_channels:
            before = self.new_channels // 2
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, before, self.new_channels - before))
        return functional.relu(features + shortcut)


class CifarResNet(nn.Module):
    """A residual network with three stages of 16, 32 and 64 channels.

    Args:
        depth: 6n + 2 layers: 20, 32, 44, 56, 110.
        num_classes: outputs of the head ``linear``.
        in_channels: channels of the images.

    Raises:
        ValueError: depth is not of the form 6n + 2.

    Examples:
        >>> CifarResNet(20, num_classes=5)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 5])
    """

    def __init__(self, depth: int, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ValueError(f"depth is {depth}; a CIFAR ResNet has 6n + 2 layers: 20, 32, 44, 56, 110.")
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Tensor) -> Tensor:
        """[batch, in_channels, height, width] to logits [batch, num_classes]."""
        features = functional.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.linear(torch.flatten(functional.adaptive_avg_pool2d(features, 1), 1))
        return logits


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, channels, stride)
    return nn.Sequential(first, *(BasicBlock(channels, channels, 1) for _ in range(blocks - 1)))
