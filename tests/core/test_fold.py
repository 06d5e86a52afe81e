"""Folding: plain layers with equal outputs, measured, or the model as it was."""

from __future__ import annotations

import logging
from copy import deepcopy

import pytest
import torch
from torch import nn

from acnorm.core.census import ConversionError, acnorm_layers, census
from acnorm.core.convert import convert
from acnorm.core.fold import fold
from acnorm.core.layer import ACNorm
from networks import NETWORKS, ToyNet, images_for, move, norm_layers, relative_difference, trained


@pytest.mark.parametrize(("name", "init"), [*((name, "paper") for name in NETWORKS), ("toy", "identity")])
def test_folded_equals_unfolded(name: str, init: str):
    model, images = move(convert(trained(name), init=init)).eval(), images_for(name)
    unfolded = deepcopy(model)
    statistics = deepcopy(dict(model.named_buffers()))
    plain, difference = fold(model, images, return_difference=True)
    assert plain is model
    assert not acnorm_layers(plain)
    assert difference == 0.0  # the same numbers go into the same operations
    with torch.no_grad():
        assert torch.equal(plain(images), unfolded(images))
    for key, value in statistics.items():
        if "source_" not in key and "offset" not in key and name != "always-batch-statistics":
            assert torch.equal(plain.get_buffer(key.replace(".norm.", ".")), value)
    assert plain.state_dict().keys() == trained(name).state_dict().keys()


def test_measuring_leaves_running_statistics_and_modes_alone():
    model, images = convert(trained("always-batch-statistics")), images_for("always-batch-statistics")
    model[1].eval()
    before = [(norm.running_mean.clone(), norm.training) for norm in norm_layers(model).values()]
    fold(model, images)
    for (mean, training), norm in zip(before, norm_layers(model).values(), strict=True):
        assert torch.equal(norm.running_mean, mean)
        assert norm.training == training
    assert model.training


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_folding_in_another_dtype(dtype: torch.dtype):
    model, images = move(convert(trained().to(dtype))).eval(), images_for().to(dtype)
    before = model(images)
    assert torch.equal(fold(model, images)(images), before)
    assert model.bn1.weight.dtype == dtype


def test_folding_goes_on_training_as_a_plain_network():
    model = convert(trained())
    model.bn2.bias.requires_grad = False
    fold(model)
    assert isinstance(model.bn1.weight, nn.Parameter)
    assert [norm.bias.requires_grad for norm in norm_layers(model).values()] == [True, False, True]
    model(images_for()).sum().backward()
    assert model.bn1.weight.grad is not None


def test_a_parameter_tied_to_a_layer_outside_stays_there():
    model = trained()
    model.other = nn.Module()
    model.other.scale = model.bn1.weight
    before = model.other.scale.detach().clone()
    fold(convert(model))
    assert torch.equal(model.other.scale, before)
    assert not torch.equal(model.bn1.weight, before)


def test_what_was_folded_is_said(caplog: pytest.LogCaptureFixture):
    model = convert(trained())
    caplog.set_level(logging.INFO, logger="acnorm")
    fold(model, images_for())
    assert caplog.messages[-1:] == ["AC-Norm: folded 3 layers; largest relative difference 0.0e+00"]
    assert census(model).layers == census(trained()).layers


def test_nothing_to_fold_is_refused():
    with pytest.raises(ConversionError) as caught:
        fold(trained())
    assert str(caught.value) == "the model holds no AC-Norm layer; there is nothing to fold."
    layer = ACNorm(trained().bn1)
    before = layer.weight.detach().clone()
    with pytest.raises(ConversionError) as caught:
        fold(layer)
    assert str(caught.value) == (
        "the model is a single ACNorm, which cannot be replaced in place; fold a module that holds it, such as "
        "nn.Sequential(layer)."
    )
    assert torch.equal(layer.weight, before)


class ReadsTheWeight(ToyNet):
    """Its output depends on the affine itself, which folding changes."""

    def forward(self, images):
        return super().forward(images) * self.bn1.weight.sum()


class Random(ToyNet):
    def forward(self, images):
        return super().forward(images) + torch.rand(())


class BreaksWhenPlain(ToyNet):
    def forward(self, images):
        assert isinstance(self.bn1, ACNorm), "not wrapped"
        return super().forward(images)


class NotFiniteWhenPlain(ToyNet):
    def forward(self, images):
        return super().forward(images) * (1.0 if isinstance(self.bn1, ACNorm) else torch.nan)


class MoreWhenPlain(ToyNet):
    def forward(self, images):
        output = super().forward(images)
        return output if isinstance(self.bn1, ACNorm) else (output, output)


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        (ReadsTheWeight, ConversionError, "than the tolerance 1.2e-05; the model is unchanged. Does its forward read"),
        (Random, ConversionError, "is unchanged. Does its forward read a norm's weight, or is it random?"),
        (NotFiniteWhenPlain, ConversionError, "folding moved the output by inf of its largest value, more than"),
        (BreaksWhenPlain, AssertionError, "not wrapped"),
        (MoreWhenPlain, ValueError, "longer than argument 1"),
    ],
)
def test_a_fold_that_fails_leaves_the_model_as_it_was(kind: type[nn.Module], error: type[Exception], text: str):
    torch.manual_seed(0)
    model = kind()
    model.load_state_dict(trained().state_dict())
    move(convert(model))
    before, layers = deepcopy(model.state_dict()), acnorm_layers(model)
    parameters = {name: id(value) for name, value in model.named_parameters()}
    with pytest.raises(error, match=text):
        fold(model, images_for())
    assert acnorm_layers(model) == layers
    assert {name: id(value) for name, value in model.named_parameters()} == parameters
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert len(census(model).converted) == 3


def test_a_tolerance_lets_it_through():
    torch.manual_seed(0)
    model = Random()
    model.load_state_dict(trained().state_dict())
    _, difference = fold(convert(model), images_for(), tolerance=10.0, return_difference=True)
    assert 1e-5 < difference < 10


class Many(ToyNet):
    """Outputs of several kinds, some of them not finite whatever the norm layers do."""

    def forward(self, images, scale):
        logits = super().forward(images) * scale
        blank = torch.full((2,), torch.nan)
        return {
            "logits": logits,
            "mask": logits > 0,
            "blank": blank,
            "none": logits[:0],
            "text": "x",
            "top": logits * 0,
        }


def test_several_inputs_and_outputs():
    model = Many()
    model.load_state_dict(trained().state_dict())
    _, difference = fold(convert(model), (images_for(), torch.tensor(2.0)), return_difference=True)
    assert difference == 0.0


def test_wide_layers_fold_too():
    model = nn.Sequential(nn.Linear(4, 1500), nn.BatchNorm1d(1500)).eval()
    nn.init.normal_(model[1].bias)
    features = torch.randn(3, 4)
    before = move(convert(model))(features).detach()
    assert relative_difference(fold(model, features)(features).detach(), before) == 0.0
