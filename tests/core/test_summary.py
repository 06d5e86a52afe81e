"""The figures of a converted network, against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from acnorm.core.convert import convert, revert
from acnorm.core.summary import summary
from networks import ToyNet, move, paper_correlation, trained


def test_figures_are_those_of_the_definitions():
    model = move(convert(trained(dtype=torch.float64), exclude="bn2"))
    found = summary(model)
    assert [layer.name for layer in found.layers] == ["bn1", "bn3"]
    for row, layer in zip(found.layers, (model.bn1, model.bn3), strict=True):
        weight, bias = layer.weight.detach(), layer.bias.detach()
        matrix = paper_correlation(weight, bias, layer.source_weight, layer.source_bias)
        drift = bias / (weight.abs() + 1e-5) - layer.source_bias / (layer.source_weight.abs() + 1e-5)
        assert row.channels == len(weight)
        assert row.gain == pytest.approx(float((weight + matrix @ weight).abs().sum() / weight.abs().sum()))
        assert row.sparsity == pytest.approx(float((matrix == 0).double().mean()), abs=1e-6)
        assert row.drift == pytest.approx(float(drift.abs().mean()))


def test_parameters_are_those_of_the_plain_network():
    plain = trained()
    plain.conv1.weight.requires_grad = False
    total = sum(value.numel() for value in plain.parameters())
    for model in (plain, convert(plain)):
        found = summary(model)
        assert (found.total, found.trainable) == (total, total - 72)
    assert len(summary(plain).layers) == 3
    assert summary(revert(plain)).layers == ()


def test_identity_init_gains_nothing_at_the_start():
    assert [row.gain for row in summary(convert(trained(), init="identity")).layers] == pytest.approx([1.0] * 3)
    assert all(row.gain > 1.01 for row in summary(convert(trained())).layers)


def test_a_weight_of_zero_has_no_gain():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    nn.init.zeros_(model[0].weight)
    model[0].bias.data = torch.arange(3.0)
    row = summary(convert(model)).layers[0]
    assert row.gain != row.gain
    assert "nan" in str(summary(model))


def test_the_table():
    table = str(summary(convert(trained()))).splitlines()
    assert table[0] == "1,355 trainable of 1,355 parameters, 3 AC-Norm layers"
    assert table[1].split() == ["layer", "channels", "gain", "sparsity", "drift"]
    assert [line.split()[:2] for line in table[2:]] == [["bn1", "8"], ["bn2", "16"], ["bn3", "16"]]
    assert len({len(line) for line in table[1:]}) == 1
    assert str(summary(ToyNet())) == "1,355 trainable of 1,355 parameters, 0 AC-Norm layers"
