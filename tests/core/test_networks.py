"""The laws of AC-Norm, on every network of the table."""

from __future__ import annotations

from copy import deepcopy
from statistics import median

import pytest
import torch
from torch import Tensor, nn

from acnorm.core import correlation
from acnorm.core.census import acnorm_layers, census
from acnorm.core.convert import convert, revert
from acnorm.core.layer import ACNorm, without_recalibration
from networks import (
    NETWORKS,
    AlwaysBatchNorm,
    FusedNorm,
    images_for,
    momentum_of,
    move,
    norm_layers,
    relative_difference,
    trained,
    two_pass,
)

LIGHT = [name for name in NETWORKS if not name.startswith("flexible")]


def one_pass(model: nn.Module, images: Tensor, training: bool) -> dict[str, Tensor]:
    """Output, every gradient and every running statistic, under the names of the plain network."""
    model.train(training).zero_grad()
    images = images.clone().requires_grad_()
    output = model(images)
    upward = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    output.backward(upward)
    found = {"output": output.detach(), "input": images.grad}
    named = [*((name, value.grad) for name, value in model.named_parameters()), *model.named_buffers()]
    for name, value in named:
        plain_name = name.replace(".norm.", ".")
        if value is not None and not plain_name.endswith(("num_batches_tracked", "source_weight", "source_bias")):
            found[plain_name] = value.detach().clone()
    return found


def largest_difference(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Over all tensors; a gradient that is zero in exact arithmetic is measured against the largest gradient."""
    assert found.keys() == expected.keys()
    scale = max(float(value.abs().max()) for name, value in expected.items() if name != "output") * 1e-4
    return max(
        float((found[name].double() - value.double()).abs().max()) / max(float(value.double().abs().max()), scale)
        for name, value in expected.items()
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_equal_to_the_papers_two_passes(name: str, training: bool):
    plain = trained(name, dtype=torch.float64)
    images = images_for(name, dtype=torch.float64)
    paper, mine = move(two_pass(plain)), move(convert(plain))
    with momentum_of(mine, 0.19):
        found, expected = one_pass(mine, images, training), one_pass(paper, images, training)
    assert largest_difference(found, expected) < 1e-10


@pytest.mark.parametrize("name", ["monai-resnet18-2d", "fused-activation"])
def test_equal_to_the_papers_two_passes_in_the_windowed_form(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(correlation, "DENSE_CHANNELS", 0)
    test_equal_to_the_papers_two_passes(name, True)


def in_both_precisions(model: nn.Module) -> list[tuple[nn.Module, torch.dtype]]:
    return [(deepcopy(model).to(dtype), dtype) for dtype in (torch.float32, torch.float64)]


@torch.no_grad()
def error_of_outputs(model: nn.Module, name: str, training: bool) -> float:
    """Difference of float32 from float64, the median over a few batches.

    Not the largest: a channel that is almost constant in a batch, or a ReLU that rounding flips, outweighs all else.
    """
    batches = [images_for(name, seed=seed) for seed in range(5)]
    single, double = ([m.train(training)(batch.to(d)) for batch in batches] for m, d in in_both_precisions(model))
    return median(map(relative_difference, single, double))


def error_of_all_tensors(model: nn.Module, name: str) -> float:
    """The same in eval with the gradients; in train ReLUs that rounding flips are too many in them."""
    errors, both = [], in_both_precisions(model)
    for seed in range(5):
        passes = [one_pass(m, images_for(name, seed=seed).to(d), False) for m, d in both]
        errors.append(largest_difference(*passes))
    return median(errors)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", [*LIGHT, "flexible-unet-2d", pytest.param("flexible-unet-3d", marks=pytest.mark.slow)])
def test_float32_is_as_exact_as_that_of_plain_batchnorm(name: str, training: bool):
    plain, mine = move(trained(name)), move(convert(trained(name)))
    assert 0 < error_of_outputs(mine, name, training) <= 2 * error_of_outputs(plain, name, training)


@pytest.mark.parametrize("name", [*LIGHT, "flexible-unet-2d"])
def test_float32_gradients_are_as_exact_as_those_of_plain_batchnorm(name: str):
    plain, mine = move(trained(name)), move(convert(trained(name)))
    assert 0 < error_of_all_tensors(mine, name) <= 2 * error_of_all_tensors(plain, name)


@pytest.mark.parametrize("name", NETWORKS)
def test_revert_gives_the_original_bit_for_bit(name: str):
    model = trained(name).eval()
    before, images = deepcopy(model), images_for(name)
    values = before.state_dict()
    parameters = {key: id(value) for key, value in model.named_parameters()}
    types = [(key, type(module)) for key, module in model.named_modules()]
    assert revert(convert(model)) is model
    assert list(model.state_dict()) == list(values)
    assert all(torch.equal(value, values[key]) for key, value in model.state_dict().items())
    assert {key: id(value) for key, value in model.named_parameters()} == parameters
    assert [(key, type(module)) for key, module in model.named_modules()] == types
    with torch.no_grad():
        assert torch.equal(model(images), before(images))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_is_converted_and_changes_the_output(name: str):
    plain, images = trained(name).eval(), images_for(name)
    model = convert(deepcopy(plain))
    assert len(census(model).converted) == len(norm_layers(plain)) == len(acnorm_layers(model))
    assert census(model).left_alone == ()
    with torch.no_grad():
        assert relative_difference(model(images), plain(images)) > 1e-3
        with without_recalibration(model):
            assert relative_difference(model(images), plain(images)) == 0


@pytest.mark.parametrize("name", LIGHT)
def test_identity_init_starts_equal(name: str):
    plain, images = trained(name).eval(), images_for(name)
    model = convert(deepcopy(plain), init="identity")
    with torch.no_grad():
        assert relative_difference(model(images), plain(images)) < 2e-5


def train(model: nn.Module, images: Tensor, steps: int = 1) -> nn.Module:
    """Plain gradient descent, dropout and all."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    torch.manual_seed(0)
    for _ in range(steps):
        optimiser.zero_grad()
        model.train()(images).square().mean().backward()
        optimiser.step()
    return model


@pytest.mark.parametrize("name", LIGHT)
def test_one_step_is_not_that_of_the_baseline(name: str):
    images = images_for(name)
    plain, model, off = trained(name), convert(trained(name)), convert(trained(name))
    train(plain, images, steps=2)
    train(model, images, steps=2)
    with without_recalibration(off):
        train(off, images, steps=2)
    mine, baseline = revert(model).state_dict(), revert(off).state_dict()
    assert all(torch.equal(value, baseline[key]) for key, value in plain.state_dict().items())
    moved = max(relative_difference(mine[key], value) for key, value in plain.state_dict().items() if "weight" in key)
    assert moved > 1e-4


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layer", [nn.BatchNorm2d(12), FusedNorm(12), AlwaysBatchNorm(12)])
def test_permuting_channels_permutes_outputs(layer: nn.Module, training: bool):
    layer, order = move(deepcopy(layer).double(), size=0.5), torch.randperm(12)
    images = torch.randn(5, 12, *(3,) * (3 if isinstance(layer, AlwaysBatchNorm) else 2), dtype=torch.float64)
    permuted = deepcopy(layer)
    for key, value in permuted.state_dict().items():
        if value.dim():
            value.copy_(layer.state_dict()[key][order])
    first, second = move(ACNorm(layer)).train(training), ACNorm(permuted).train(training)
    for name in ("weight", "bias"):
        getattr(second, name).data.copy_(getattr(first, name).data[order])
    assert relative_difference(second(images[:, order]).detach(), first(images).detach()[:, order]) < 1e-13


def test_permuting_the_channels_inside_a_network_changes_nothing():
    model, images = convert(trained(dtype=torch.float64)).eval(), images_for(dtype=torch.float64)
    move(model)
    expected, order = model(images).detach(), torch.randperm(8)
    with torch.no_grad():
        model.conv1.weight.copy_(model.conv1.weight[order])
        model.conv2.weight.copy_(model.conv2.weight[:, order])
        for value in model.bn1.state_dict().values():
            if value.shape == order.shape:
                value.copy_(value[order])
    assert relative_difference(model(images).detach(), expected) < 1e-13


def test_gradient_accumulation_adds_up():
    model, images = convert(trained(dtype=torch.float64)).eval(), images_for(dtype=torch.float64)
    whole, parts = deepcopy(model), deepcopy(model)
    whole(images).square().sum().backward()
    for part in images.split(2):
        parts(part).square().sum().backward()
    for one, many in zip(whole.parameters(), parts.parameters(), strict=True):
        assert relative_difference(many.grad, one.grad) < 1e-12


@pytest.mark.parametrize("plain_kind", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
def test_sync_batchnorm_conversion_keeps_the_wrapper(plain_kind: type[nn.Module]):
    layer = plain_kind(6)
    model = move(nn.Sequential(layer, nn.Identity())).eval()
    images = torch.randn(4, 6, *{nn.BatchNorm1d: (5,), nn.BatchNorm2d: (3, 3), nn.BatchNorm3d: (2, 2, 2)}[plain_kind])
    expected = convert(model)(images).detach()
    source = model[0].source_weight
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert type(converted[0]) is ACNorm
    assert type(converted[0].norm) is nn.SyncBatchNorm
    assert converted[0].source_weight is source
    assert torch.equal(converted(images), expected)
    assert type(revert(nn.SyncBatchNorm.convert_sync_batchnorm(converted))[0]) is nn.SyncBatchNorm


@pytest.mark.parametrize("name", ["fused-activation", "always-batch-statistics"])
def test_sync_batchnorm_conversion_refuses_to_strip_a_subclass(name: str):
    model = convert(trained(name))
    kind = type(model[1].norm).__name__
    with pytest.raises(TypeError) as caught:
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert str(caught.value) == (
        f"convert_sync_batchnorm would turn {kind} into a bare SyncBatchNorm and lose what it adds (an activation, "
        "say). Convert such layers with their own library's function (timm.layers.convert_sync_batchnorm) before "
        "acnorm.convert."
    )
    assert type(model[1].norm).__name__ == kind


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_in_half_precision(dtype: torch.dtype):
    model, images = convert(trained().to(dtype)), images_for().to(dtype)
    train(model, images)
    assert all(bool(value.isfinite().all()) for value in model.state_dict().values())
    later = convert(trained()).to(dtype)
    assert later.bn1.source_weight.dtype == dtype
    assert bool(later.eval()(images).isfinite().all())
