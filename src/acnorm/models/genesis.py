"""The 3D U-Net of Models Genesis (Zhou et al., MICCAI 2019), under the parameter names of its public checkpoints.

Four levels of two 3 × 3 × 3 convolutions each, 64 to 512 channels; the way up is part of the checkpoint too. Differs
from the authors' network in two points: its BatchNorm uses running statistics in eval (theirs those of the batch,
always), and it ends in logits (theirs in a sigmoid). The public weights are for non-commercial use and must be brought
as a file.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Convolution(nn.Module):
    """Convolution, BatchNorm, ReLU."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, channels, 3, padding=1)
        self.bn1 = nn.BatchNorm3d(channels)

    def forward(self, volumes: Tensor) -> Tensor:
        """[batch, in_channels, x, y, z] to [batch, channels, x, y, z]."""
        return torch.relu(self.bn1(self.conv1(volumes)))


class Level(nn.Module):
    """Two convolutions in turn."""

    def __init__(self, in_channels: int, middle: int, channels: int) -> None:
        super().__init__()
        self.ops = nn.Sequential(Convolution(in_channels, middle), Convolution(middle, channels))

    def forward(self, volumes: Tensor) -> Tensor:
        """[batch, in_channels, x, y, z] to [batch, channels, x, y, z]."""
        features: Tensor = self.ops(volumes)
        return features


class UpLevel(Level):
    """Twice as large, beside the features of the way down, then two convolutions."""

    def __init__(self, below: int, skipped: int, channels: int) -> None:
        super().__init__(below + skipped, channels, channels)
        self.up_conv = nn.ConvTranspose3d(below, below, 2, stride=2)

    def forward(self, volumes: Tensor, skip: Tensor) -> Tensor:  # type: ignore[override]
        """Features from below, and those of the way down, to [batch, channels, x, y, z]."""
        return super().forward(torch.cat((self.up_conv(volumes), skip), dim=1))


class Encoder(nn.Module):
    """The way down."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.down_tr64 = Level(in_channels, 32, 64)
        self.down_tr128 = Level(64, 64, 128)
        self.down_tr256 = Level(128, 128, 256)
        self.down_tr512 = Level(256, 256, 512)
        self.pool = nn.MaxPool3d(2)

    def features(self, volumes: Tensor) -> list[Tensor]:
        """The output of each level, the finest first."""
        found = [self.down_tr64(volumes)]
        for level in (self.down_tr128, self.down_tr256, self.down_tr512):
            found.append(level(self.pool(found[-1])))
        return found


class GenesisUNet(Encoder):
    """Logits for every voxel; sides of volumes must be multiples of 8.

    Args:
        num_classes: of the label map, with the background.
        in_channels: of the volumes.

    Examples:
        >>> GenesisUNet(2, 1)(torch.zeros(1, 1, 8, 8, 16)).shape
        torch.Size([1, 2, 8, 8, 16])
    """

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(in_channels)
        self.up_tr256 = UpLevel(512, 256, 256)
        self.up_tr128 = UpLevel(256, 128, 128)
        self.up_tr64 = UpLevel(128, 64, 64)
        self.out_tr = nn.ModuleDict({"final_conv": nn.Conv3d(64, num_classes, 1)})

    def forward(self, volumes: Tensor) -> Tensor:
        """[batch, channel, x, y, z] to logits [batch, class, x, y, z]."""
        finest, fine, coarse, coarsest = self.features(volumes)
        up = self.up_tr64(self.up_tr128(self.up_tr256(coarsest, coarse), fine), finest)
        logits: Tensor = self.out_tr["final_conv"](up)
        return logits


class GenesisClassifier(Encoder):
    """The way down, the mean over space, and a linear layer.

    Args:
        num_classes: outputs.
        in_channels: of the volumes.

    Examples:
        >>> GenesisClassifier(2, 1)(torch.zeros(3, 1, 8, 8, 8)).shape
        torch.Size([3, 2])
    """

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(in_channels)
        self.fc = nn.Linear(512, num_classes)

    def forward(self, volumes: Tensor) -> Tensor:
        """[batch, channel, x, y, z] to logits [batch, class]."""
        logits: Tensor = self.fc(self.features(volumes)[-1].mean(dim=(2, 3, 4)))
        return logits
