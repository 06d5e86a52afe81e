"""Stages hold every parameter outside the head once, in order, and taps give what the stages end with."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from acnorm.models.sources import MODELS, Network, build_network, build_unet, find_source
from acnorm.tuning.hooks import Setup, inside
from acnorm.tuning.method import make_method
from acnorm.tuning.stages import stages_of, taps_of
from tiny_runs import NETWORK, TinyNet

CHOSEN = ("cifar/resnet20", "monai/resnet10", "monai/densenet121", "monai/efficientnet-b0", "genesis/unet3d", NETWORK)


@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize("name", CHOSEN)
def test_every_parameter_outside_the_head_is_in_one_stage(name: str, segments: bool):
    if segments and name == NETWORK:
        pytest.skip("no U-Net on a network of one's own")
    dimensions = 3 if name.startswith("genesis") else 2
    with torch.device("cpu"):
        network = (build_unet if segments else build_network)(name, classes=2, channels=1, dimensions=dimensions)
    stages = stages_of(network)
    for parameter, _ in network.module.named_parameters():
        held = [at for at, stage in enumerate(stages) if inside(parameter, stage)]
        assert len(held) == (0 if inside(parameter, (network.head,)) else 1), parameter
    taps = taps_of(network)
    assert len(taps) == len(stages)
    for at, tap in enumerate(taps):
        network.module.get_submodule(tap)
        assert name.startswith("genesis") or not any(inside(leaf, (tap,)) for leaf in sum(stages[:at], ()))
    if name in MODELS and MODELS[name].stages:
        assert len(stages) == len(MODELS[name].stages) + bool(MODELS[name].stem)


@pytest.mark.parametrize("segments", [False, True])
def test_the_stem_of_a_cifar_resnet_is_a_stage_of_its_own_as_that_of_other_resnets(segments: bool):
    build, prefix = (build_unet, "encoder.") if segments else (build_network, "")
    network = build("cifar/resnet20", classes=2, channels=1)
    stages = stages_of(network)
    assert [name for name in stages[0] if not name.endswith("relu")] == [f"{prefix}conv1", f"{prefix}bn1"]
    assert all(inside(name, (f"{prefix}layer1",)) for name in stages[1])
    assert taps_of(network)[0] == f"{prefix}bn1"
    rates = make_method("lrd").rates(Setup(network.module, network.head, stages))
    assert rates[f"{prefix}conv1.weight"] == rates[f"{prefix}layer1.0.conv1.weight"] * 0.75


def test_children_of_a_network_of_ones_own_are_stages_with_their_norms():
    network = Network(TinyNet(2, 1), NETWORK, "", {}, "fc", "conv1", find_source(NETWORK))
    assert stages_of(network) == (("conv1", "bn1"), ("conv2", "bn2", "drop"))
    assert taps_of(network) == ("bn1", "bn2")


def test_a_network_in_a_wrapper_is_looked_into():
    inner = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 3))
    body = {"features": inner, "pool": nn.AdaptiveAvgPool2d(1), "fc": nn.Linear(2, 2)}
    network = Network(nn.ModuleDict(body), "", "", {}, "fc", None, find_source("a:b"))
    assert stages_of(network) == (("features.0", "features.1", "features.2"), ("features.3", "pool"))
    assert taps_of(network) == ("features.1", "features.3")


def test_a_head_in_a_child_of_its_own_makes_no_stage():
    body = {"features": nn.Conv2d(1, 2, 3), "classifier": nn.Sequential(nn.Dropout(), nn.Linear(2, 2))}
    network = Network(nn.ModuleDict(body), "", "", {}, "classifier.1", None, find_source("a:b"))
    assert stages_of(network) == (("features", "classifier.0"),)
    assert taps_of(network) == ("features",)


def test_what_a_network_tells_of_itself_are_its_stages():
    class Telling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.bn = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
            self.blocks = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1))
            self.last, self.fc = nn.Conv2d(2, 2, 1), nn.Linear(2, 2)
            self.feature_info = [{"module": "bn"}, {"module": "blocks.0"}, {"module": "blocks.1"}]

    from dataclasses import replace

    source = replace(find_source("a:b"), tapped=True)
    network = Network(Telling(), "", "", {}, "fc", "stem", source)
    assert stages_of(network) == (("stem", "bn"), ("blocks.0",), ("blocks.1", "last"))
    assert taps_of(network) == ("bn", "blocks.0", "blocks.1")
