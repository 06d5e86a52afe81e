"""AC-Corr against its definition, written out in float64, and what the two forms promise."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from acnorm.core.census import acnorm_layers
from acnorm.core.convert import convert
from acnorm.ranking.ac_corr import ACCorr, ac_corr
from networks import ToyNet, move, trained

SEED = st.integers(0, 999)


def sum_of_correlations(layer: nn.Module, temperature: float, eps: float) -> float:
    """Σ_ij C_ij entry by entry: a softmax over the source channels, cut off below the own channel."""
    target = [b / (abs(w) + eps) for w, b in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)]
    pairs = zip(layer.source_weight.tolist(), layer.source_bias.tolist(), strict=True)
    source = [b / (abs(w) + eps) for w, b in pairs]
    total = 0.0
    for i, ratio in enumerate(target):
        distances = [abs(ratio - other) for other in source]
        closeness = [math.exp((min(distances) - distance) / temperature) for distance in distances]
        probability = [value / math.fsum(closeness) for value in closeness]
        total += math.fsum(value for value in probability if value >= probability[i])
    return total


def definition(model: nn.Module, temperature: float = 1.0, eps: float = 1e-5) -> tuple[float, float]:
    layers = acnorm_layers(model).values()
    sums = [sum_of_correlations(layer, temperature, eps) for layer in layers]
    shares = [total / len(layer.weight) for total, layer in zip(sums, layers, strict=True)]
    return sum(sums) / len(sums), sum(shares) / len(shares)


def scores(model: nn.Module) -> tuple[float, float]:
    score = ac_corr(model)
    return score.paper, score.per_channel


def one_layer(weight: Tensor, bias: Tensor) -> nn.Module:
    """A converted network of one norm layer with that source."""
    model = nn.Sequential(nn.Linear(2, len(weight)), nn.BatchNorm1d(len(weight))).double()
    model[1].weight.data, model[1].bias.data = weight.double(), bias.double()
    return convert(model, ["1"])


def random_layer(channels: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weight, bias = torch.randn(2, channels, generator=generator, dtype=torch.float64)
    return weight + 1.5, bias


@settings(deadline=None)
@given(SEED, st.floats(0.01, 2.0), st.sampled_from([0.1, 1.0, 3.0]), st.sampled_from([1e-5, 1e-2]))
def test_both_forms_are_the_definition(seed: int, size: float, temperature: float, eps: float):
    model = convert(trained(dtype=torch.float64), temperature=temperature, eps=eps)
    move(model, seed=seed, size=size)
    assert scores(model) == pytest.approx(definition(model, temperature, eps), rel=1e-10)


@pytest.mark.parametrize("name", ["cifar-resnet20", "fused-activation", "monai-resnet18-3d"])
def test_real_networks_in_float32_come_close_to_the_definition(name: str):
    model = move(convert(trained(name)))
    assert scores(model) == pytest.approx(definition(model), rel=1e-4)


def test_layers_count_alike_whatever_their_width():
    narrow, wide = (one_layer(*random_layer(channels, seed=channels)) for channels in (3, 40))
    both = nn.ModuleList([narrow, wide])
    means = [(one + other) / 2 for one, other in zip(scores(narrow), scores(wide), strict=True)]
    assert scores(both) == pytest.approx(means, rel=1e-12)


@settings(deadline=None)
@given(SEED, st.integers(2, 30), st.floats(0, 50))
def test_a_row_borrows_at_most_all_and_at_least_from_its_own(seed: int, channels: int, size: float):
    score = ac_corr(move(one_layer(*random_layer(channels, seed)), seed=seed, size=size))
    assert 0 < score.per_channel <= 1 + 1e-12
    assert score.paper == pytest.approx(channels * score.per_channel, rel=1e-12)


@given(st.integers(1, 20), st.floats(-3, 3), st.floats(0.1, 3))
def test_a_source_that_is_the_same_everywhere_gets_the_maximum(channels: int, bias: float, weight: float):
    model = one_layer(*random_layer(channels, 0))
    layer = model[1]
    for one in (layer.source_weight, layer.weight.data):
        one.fill_(weight)
    for one in (layer.source_bias, layer.bias.data):
        one.fill_(bias)
    assert scores(model) == pytest.approx((channels, 1.0))


@settings(deadline=None)
@given(SEED)
def test_the_order_of_channels_does_not_matter(seed: int):
    model = move(one_layer(*random_layer(12, seed)), seed=seed)
    before, layer = scores(model), model[1]
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    for values in (layer.weight.data, layer.bias.data, layer.source_weight, layer.source_bias):
        values.copy_(values[order].clone())
    assert scores(model) == pytest.approx(before, rel=1e-12)


@settings(deadline=None)
@given(SEED)
def test_the_sign_of_gamma_does_not_matter(seed: int):
    model = move(one_layer(*random_layer(12, seed)), seed=seed)
    before = scores(model)
    model[1].weight.data.neg_()
    model[1].source_weight[::2].neg_()
    assert scores(model) == pytest.approx(before, rel=1e-12)


def test_the_score_is_that_of_the_parameters_as_they_are():
    model = convert(trained(dtype=torch.float64))
    start = scores(model)
    assert scores(model) == start
    assert scores(move(model)) != pytest.approx(start, rel=1e-3)


def test_scoring_changes_nothing():
    model = convert(trained())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    score = ac_corr(model)
    assert type(score) is ACCorr
    assert type(score.paper) is type(score.per_channel) is float
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("model", [ToyNet(), nn.Linear(2, 2)], ids=["plain", "no norm"])
def test_a_plain_network_is_refused(model: nn.Module):
    with pytest.raises(ValueError, match=r"^the model holds no AC-Norm layer; convert it before the probe\.$"):
        ac_corr(model)


def test_layers_by_pattern_are_scored_alone():
    model = move(convert(trained(dtype=torch.float64)))
    alone = {name: ac_corr(model, name).paper for name in acnorm_layers(model)}
    assert len(set(alone.values())) == len(alone) > 1
    assert ac_corr(model, "*").paper == pytest.approx(sum(alone.values()) / len(alone))
    assert ac_corr(model, "bn[12]").paper == pytest.approx((alone["bn1"] + alone["bn2"]) / 2)
    with pytest.raises(ValueError, match=r"^no AC-Norm layer matches 'bn9'; there are bn1, "):
        ac_corr(model, "bn9")
