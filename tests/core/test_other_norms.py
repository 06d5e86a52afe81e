"""Instance and group norms: the same affine with the same formula, only where they are asked for."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from acnorm.core.census import ConversionError, acnorm_layers, census
from acnorm.core.convert import convert, revert
from acnorm.core.correlation import recalibrate
from acnorm.core.fold import fold
from networks import relative_difference

KINDS = {"instance": nn.InstanceNorm2d(6, affine=True), "group": nn.GroupNorm(3, 6), "batch": nn.BatchNorm2d(6)}
every = pytest.mark.parametrize("norms", KINDS)


def network(norms: str) -> nn.Module:
    torch.manual_seed(0)
    layer = deepcopy(KINDS[norms])
    nn.init.normal_(layer.weight, 1, 0.3)
    nn.init.normal_(layer.bias)
    return nn.Sequential(nn.Conv2d(2, 6, 3), layer, nn.ReLU()).double()


def images() -> torch.Tensor:
    return torch.randn(4, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@every
@torch.no_grad()
def test_the_output_is_that_of_the_plain_layer_with_the_merged_affine(norms: str):
    plain = network(norms)
    converted = convert(deepcopy(plain), norms=norms)
    converted[1].weight.data += 0.1
    source = plain[1].weight.clone(), plain[1].bias.clone()
    weight, bias = recalibrate(plain[1].weight + 0.1, plain[1].bias, *source)
    plain[1].weight.data, plain[1].bias.data = weight, bias
    assert relative_difference(converted(images()), plain(images())) < 1e-12


@every
@torch.no_grad()
def test_fold_revert_and_a_saved_state_keep_their_laws(norms: str):
    plain = network(norms).eval()
    converted = convert(deepcopy(plain), norms=norms).eval()
    rebuilt = convert(deepcopy(plain), state=converted.state_dict()).eval()
    assert torch.equal(rebuilt(images()), converted(images()))
    assert relative_difference(fold(rebuilt)(images()), converted(images())) < 1e-12
    assert torch.equal(revert(converted)(images()), plain(images()))


@every
def test_only_the_kind_that_is_asked_for_is_converted(norms: str):
    mixed = nn.ModuleDict({name: network(name) for name in KINDS})
    assert list(acnorm_layers(convert(deepcopy(mixed), norms=norms))) == [f"{norms}.1"]
    assert len(census(mixed, norms="any").converted) == 3


def test_unknown_kinds_are_refused():
    with pytest.raises(
        ConversionError, match=r"^norms is 'layer'; it must be 'batch', 'instance', 'group' or 'any'\.$"
    ):
        convert(network("batch"), norms="layer")
