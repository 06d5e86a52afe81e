"""One wrapped layer: equal to the paper's two passes, never stale, and otherwise the layer that it wraps."""

from __future__ import annotations

import random
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from acnorm.core import correlation
from acnorm.core.layer import ACNorm, why_not, without_recalibration
from networks import (
    KINDS,
    AlwaysBatchNorm,
    FusedNorm,
    TwoPassNorm,
    images_of,
    momentum_of,
    random_layer,
    relative_difference,
    shift,
)


def run(layer: nn.Module, images: Tensor, upward: Tensor) -> dict[str, Tensor]:
    """Output, gradients and running statistics after one pass."""
    images = images.clone().requires_grad_()
    norm = layer.norm
    output = layer(images)
    names = ("input", "weight", "bias")
    gradients = torch.autograd.grad(output, (images, norm.weight, norm.bias), upward.to(output.dtype))
    found = {"output": output.detach(), **dict(zip(names, gradients, strict=True))}
    if norm.running_mean is not None:
        found |= {"running_mean": norm.running_mean.clone(), "running_var": norm.running_var.clone()}
    return found


def random_case(number: int) -> tuple[nn.Module, Tensor, float, bool]:
    """Kind, channels, batch, temperature, mode: drawn from the number of the case; every tenth is a wide layer."""
    draw = random.Random(number)
    dimensions, training = 1 + number % 3, bool(number // 3 % 2)
    channels = draw.randint(correlation.DENSE_CHANNELS + 1, 1200) if number % 10 == 9 else draw.randint(1, 120)
    batch, temperature = draw.randint(3, 9), draw.choice([0.1, 0.5, 1.0, 2.0, 10.0])
    layer = random_layer(channels, dimensions, seed=number)
    if draw.random() < 0.15:
        layer = KINDS[dimensions](channels, dtype=torch.float64, track_running_stats=False)
        layer.load_state_dict(dict(random_layer(channels, seed=number).named_parameters()))
    return layer.train(training), images_of(channels, dimensions, batch, seed=number), temperature, training


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("tens", range(24))
def test_equal_to_the_papers_two_passes(tens: int, dtype: torch.dtype, tolerance: float):
    for number in range(10 * tens, 10 * tens + 10):
        plain, images, temperature, training = random_case(number)
        plain, images = plain.to(dtype), images.to(dtype)
        mine = ACNorm(deepcopy(plain), temperature=temperature)
        paper = TwoPassNorm(deepcopy(plain).double(), temperature).train(training)
        shift(mine.norm, number)
        shift(paper.norm, number) if dtype == torch.float64 else paper.norm.load_state_dict(mine.norm.state_dict())
        upward = torch.randn(images.shape, generator=torch.Generator().manual_seed(number)).to(dtype)
        with momentum_of(mine, 0.19), momentum_of(paper, 0.1):
            found, expected = run(mine, images, upward), run(paper, images.double(), upward)
        assert found.keys() == expected.keys()
        for name, value in found.items():
            assert relative_difference(value, expected[name]) < tolerance, (number, name)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["fused", "always"])
def test_subclasses_keep_their_own_behaviour(kind: str, training: bool):
    layer = (FusedNorm(6) if kind == "fused" else AlwaysBatchNorm(6)).double()
    layer.load_state_dict(random_layer(6, 2).state_dict(), strict=False)
    images = images_of(6, 2 if kind == "fused" else 3)
    mine, paper = ACNorm(deepcopy(layer)).train(training), TwoPassNorm(deepcopy(layer)).train(training)
    shift(mine.norm)
    shift(paper.norm)
    with momentum_of(mine, 0.19):
        found, expected = run(mine, images, images), run(paper, images, images)
    for name, value in found.items():
        assert relative_difference(value, expected[name]) < 1e-12, name


def test_the_running_statistics_move_once_a_step_as_those_of_batchnorm():
    plain = random_layer()
    mine = ACNorm(deepcopy(plain))
    images = images_of(6)
    plain(images)
    mine(images)
    assert torch.equal(mine.running_mean, plain.running_mean)
    assert torch.equal(mine.running_var, plain.running_var)
    assert int(mine.num_batches_tracked) == 1


def test_correlation_has_no_gradient_and_the_source_does_not_train():
    layer = ACNorm(random_layer())
    assert not layer.correlation().requires_grad
    assert [name for name, _ in layer.named_parameters()] == ["norm.weight", "norm.bias"]
    before = layer.source_weight.clone()
    layer(images_of(6)).square().sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.05).step()
    assert torch.equal(layer.source_weight, before)
    assert not torch.equal(layer.weight, before)


def test_attributes_of_the_plain_layer_read_and_write():
    layer = ACNorm(random_layer())
    assert layer.weight is layer.norm.weight
    assert (layer.num_features, layer.momentum, layer.eps) == (6, 0.1, 1e-5)
    layer.momentum, layer.eps = 0.3, 1e-3
    assert (layer.norm.momentum, layer.norm.eps, layer.affine_eps) == (0.3, 1e-3, 1e-5)
    layer.bias = nn.Parameter(torch.zeros(6, dtype=torch.float64))
    assert float(layer.norm.bias.detach().abs().max()) == 0
    layer.weight.data.fill_(2.0)
    assert float(layer.norm.weight.detach().min()) == 2
    layer.running_mean.zero_()
    layer.reset_running_stats()
    assert float(layer.norm.running_var.sum()) == 6
    layer.note = "mine"
    assert "note" not in vars(layer.norm)
    with pytest.raises(AttributeError, match="has no attribute 'nothing_like_it'"):
        _ = layer.nothing_like_it


@pytest.mark.parametrize("training", [True, False])
def test_identity_init_starts_as_the_plain_layer_and_then_moves(training: bool):
    plain = random_layer(dtype=torch.float32).train(training)
    layer, images = ACNorm(deepcopy(plain), init="identity"), images_of(6, dtype=torch.float32)
    assert layer.training == training
    assert relative_difference(layer(images).detach(), plain(images).detach()) < 1e-6
    shift(layer)
    paper = ACNorm(deepcopy(plain))
    at_start = [value.detach() for value in paper.merged_affine()]
    paper.norm.load_state_dict(layer.norm.state_dict())
    for mine, theirs, start, own in zip(
        layer.merged_affine(), paper.merged_affine(), at_start, (plain.weight, plain.bias), strict=True
    ):
        torch.testing.assert_close(mine, theirs - (start - own))
    assert (layer.init, paper.init) == ("identity", "paper")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("init", ["paper", "identity"])
def test_half_precision_parameters(dtype: torch.dtype, init: str):
    layer = ACNorm(random_layer(dtype=dtype), init=init)
    shift(layer)
    output = layer(images_of(6, dtype=dtype))
    output.float().square().sum().backward()
    assert output.dtype == layer.weight.grad.dtype == dtype
    for merged in layer.merged_affine():
        assert merged.dtype == dtype
    exact = deepcopy(layer).double().merged_affine()[0]
    assert relative_difference(layer.merged_affine()[0].detach(), exact.detach()) < torch.finfo(dtype).eps


def test_a_weight_that_is_hidden_is_refused_rather_than_passed_over():
    layer = ACNorm(random_layer())
    layer.norm.__dict__["weight"] = layer.norm._parameters["weight"]  # as FSDP 1 does while a module runs
    with pytest.raises(RuntimeError, match=r"hidden by another tensor\. .* \(FSDP 1\) does so: use DDP or FSDP 2"):
        layer(images_of(6))


@pytest.mark.parametrize("options", [[0.0, 1e-5], [1.0, -1.0], [1.0], [float("nan"), 1e-5]])
def test_options_of_a_damaged_state_are_refused(options: list[float]):
    layer = ACNorm(random_layer())
    with pytest.raises(
        ValueError, match=r"must be a positive number|the options of an ACNorm are temperature, eps and,"
    ):
        layer.set_extra_state(torch.tensor(options, dtype=torch.float64))
    assert (layer.temperature, layer.affine_eps) == (1.0, 1e-5)


def test_without_recalibration_is_the_plain_layer_and_comes_back_after_an_error():
    layer, images = ACNorm(random_layer()).eval(), images_of(6)
    on = layer(images)
    with without_recalibration(layer):
        assert torch.equal(layer(images), layer.norm(images))
        with without_recalibration(layer):
            pass
        assert torch.equal(layer(images), layer.norm(images))
    assert torch.equal(layer(images), on)
    with pytest.raises(RuntimeError, match="running_mean"), without_recalibration(layer):
        layer(images[:, :3])
    assert torch.equal(layer(images), on)
    assert not torch.equal(on, layer.norm(images))


def test_hooks_of_the_wrapped_layer_still_fire():
    plain, seen = random_layer(), []
    plain.register_forward_pre_hook(lambda *_: seen.append("before"))
    plain.register_forward_hook(lambda *_: seen.append("after"))
    plain.register_full_backward_hook(lambda *_: seen.append("backward"))
    layer = ACNorm(plain)
    layer(images_of(6).requires_grad_()).sum().backward()
    assert seen == ["before", "after", "backward"]


@pytest.mark.parametrize("init", ["paper", "identity"])
def test_state_dict_round_trip(init: str):
    layer = ACNorm(random_layer(), temperature=0.7, eps=1e-4, init=init)
    shift(layer)
    other = ACNorm(random_layer(seed=3), init=init)
    other.load_state_dict(layer.state_dict())
    assert (other.temperature, other.affine_eps) == (0.7, 1e-4)
    assert torch.equal(other(images_of(6)), layer(images_of(6)))
    assert all(isinstance(value, Tensor) for value in layer.state_dict().values())


@pytest.mark.parametrize("init", ["paper", "identity"])
def test_a_plain_state_dict_loads_and_the_source_stays(init: str):
    layer, plain = ACNorm(random_layer(), init=init), random_layer(seed=3)
    source, state = layer.source_weight.clone(), plain.state_dict()
    layer.load_state_dict(state)
    assert torch.equal(layer.weight, plain.weight)
    assert torch.equal(layer.running_var, plain.running_var)
    assert torch.equal(layer.source_weight, source)
    assert list(state) == list(plain.state_dict())


def test_a_plain_state_dict_with_a_piece_missing_is_refused():
    state = random_layer().state_dict()
    del state["bias"]
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "norm.bias"'):
        ACNorm(random_layer()).load_state_dict(state)


def _with(**changes: float) -> nn.Module:
    layer = random_layer()
    for name, value in changes.items():
        getattr(layer, name).data[2] = value
    return layer


@pytest.mark.parametrize(
    ("norm", "reason"),
    [
        (nn.BatchNorm2d(4, affine=False), "it has no learnable weight and bias"),
        (nn.LazyBatchNorm2d(), "it is lazy and has not seen an input yet"),
        (nn.GroupNorm(2, 4, affine=False), "it has no learnable weight and bias"),
        (nn.InstanceNorm2d(4), "it has no learnable weight and bias"),
        (nn.LayerNorm(4), "only batch, instance and group norms can be converted"),
        (nn.utils.parametrizations.weight_norm(nn.BatchNorm2d(4), dim=None), "its affine is parametrized"),
        (ACNorm(nn.BatchNorm2d(4)), "it is an ACNorm already"),
        (nn.BatchNorm2d(4, device="meta"), "it is on the meta device and holds no values yet"),
    ],
)
def test_what_cannot_be_wrapped(norm: nn.Module, reason: str):
    assert why_not(norm) == reason
    with pytest.raises(TypeError) as caught:
        ACNorm(norm)
    assert str(caught.value) == f"ACNorm cannot wrap {type(norm).__name__}: {reason}."


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_broken_affine_is_refused(name: str, value: float):
    with pytest.raises(ValueError, match=r"^the affine of BatchNorm2d holds NaN or infinity; check the checkpoint\.$"):
        ACNorm(_with(**{name: value}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0; it must be a positive number."),
        ({"temperature": float("nan")}, "temperature is nan; it must be a positive number."),
        ({"eps": -1e-5}, "eps is -1e-05; it must be a positive number."),
        ({"eps": float("inf")}, "eps is inf; it must be a positive number."),
        ({"init": "zero"}, "init is 'zero'; it must be 'paper' or 'identity'."),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str):
    with pytest.raises(ValueError) as caught:
        ACNorm(random_layer(), **options)
    assert str(caught.value) == message


def test_options_show_in_repr():
    text = repr(ACNorm(random_layer(), temperature=0.5, init="identity"))
    assert "temperature=0.5, eps=1e-05, init='identity'" in text
    assert "(norm): BatchNorm2d(6" in text
