"""The CIFAR networks: depth, shapes, names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from acnorm.models.cifar import CifarResNet


@pytest.mark.parametrize("depth", [8, 20, 56])
def test_the_depth_counts_the_layers_with_weights(depth: int):
    model = CifarResNet(depth)
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules()) == depth
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == depth - 1


def test_resnet20_has_the_parameters_of_the_paper():
    assert sum(parameter.numel() for parameter in CifarResNet(20).parameters()) == 269_722  # 0.27 million


@pytest.mark.parametrize(("channels", "classes", "side"), [(3, 10, 32), (1, 2, 28), (4, 5, 64)])
def test_shapes(channels: int, classes: int, side: int):
    model = CifarResNet(8, num_classes=classes, in_channels=channels)
    assert model(torch.zeros(2, channels, side, side)).shape == (2, classes)
    features = model.layer3(model.layer2(model.layer1(torch.zeros(2, 16, side, side))))
    assert features.shape == (2, 64, side // 4, side // 4)


def test_names_are_those_of_the_public_checkpoints():
    names = list(CifarResNet(20).state_dict())
    assert names[:3] == ["conv1.weight", "bn1.weight", "bn1.bias"]
    assert names[-2:] == ["linear.weight", "linear.bias"]
    assert "layer3.2.bn2.running_var" in names
    assert not any("shortcut" in name or "downsample" in name for name in names)


def test_the_shortcut_takes_every_second_pixel_and_centres_the_channels():
    block = CifarResNet(8).layer2[0].eval()
    nn.init.zeros_(block.bn2.weight)
    images = torch.rand(1, 16, 4, 4)
    output = block(images).detach()
    assert torch.equal(output[:, 8:24], images[:, :, ::2, ::2])
    assert float(output[:, :8].abs().max()) == float(output[:, 24:].abs().max()) == 0


@pytest.mark.parametrize("depth", [0, 2, 18, 21, 51])
def test_other_depths_are_refused(depth: int):
    with pytest.raises(ValueError) as caught:
        CifarResNet(depth)
    assert str(caught.value) == f"depth is {depth}; a CIFAR ResNet has 6n + 2 layers: 20, 32, 44, 56, 110."
