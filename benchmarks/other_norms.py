"""CIFAR ResNet-20 with group and with instance norms in the place of BatchNorm, for benchmarks/grids/other_norms.yaml.

PYTHONPATH=benchmarks acnorm pretrain --model other_norms:resnet20_group …
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from acnorm.models.cifar import CifarResNet

GROUPS = 8  # of 2, 4 and 8 channels


def resnet20_group(num_classes: int, in_channels: int) -> nn.Module:
    """ResNet-20 with GroupNorm of eight groups."""
    return _with(CifarResNet(20, num_classes, in_channels), lambda channels: nn.GroupNorm(GROUPS, channels))


def resnet20_instance(num_classes: int, in_channels: int) -> nn.Module:
    """ResNet-20 with InstanceNorm that learns γ and β."""
    return _with(CifarResNet(20, num_classes, in_channels), lambda channels: nn.InstanceNorm2d(channels, affine=True))


def _with(network: nn.Module, norm: Callable[[int], nn.Module]) -> nn.Module:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, norm(child.num_features))
    return network
