"""L2-SP against its formula, in float64, with and without AC-Norm; L2 against the loss that it stands for."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from acnorm.tuning.l2 import L2
from acnorm.tuning.l2sp import L2SP
from acnorm.tuning.method import make_method
from networks import move
from tuning_setups import MAKERS, Training, batch_of, loss, setup_of

kinds = pytest.mark.parametrize("kind", MAKERS)


def gradients(network: torch.nn.Module, value: Tensor) -> dict[str, Tensor]:
    named = dict(network.named_parameters())
    return dict(zip(named, torch.autograd.grad(value, list(named.values()), allow_unused=True), strict=True))


@kinds
@pytest.mark.parametrize("name", ["l2sp", "acnorm+l2sp"])
def test_value_and_gradient_are_those_of_the_formula(kind: str, name: str):
    method = make_method(name, L2SP(alpha=0.3, beta=0.7))
    setup = setup_of(kind, method)
    source = {name: value.detach().clone() for name, value in setup.network.named_parameters()}
    penalty = method.penalty(setup)
    network = move(setup.network)
    with torch.no_grad():
        next(network.parameters()).add_(0.1)
    value = penalty(network, {})
    expected, slopes = 0.0, gradients(network, value)
    for name, weight in network.named_parameters():
        new = name.startswith(f"{setup.head}.")
        strength, apart = (0.7, weight) if new else (0.3, weight - source[name])
        expected += strength / 2 * apart.detach().square().sum()
        torch.testing.assert_close(slopes[name], strength * apart.detach(), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(value.detach(), expected, rtol=1e-12, atol=0)
    assert value.dtype == torch.float64


def test_with_acnorm_the_target_affine_is_compared_with_the_source_affine():
    setup = setup_of("2D classifier", make_method("acnorm+l2sp"))
    penalty = L2SP(alpha=2.0, beta=0.0).penalty(setup)
    layer = setup.network.bn1
    with torch.no_grad():
        layer.weight.add_(1.0)
        layer.bias.sub_(2.0)
    expected = (layer.weight - layer.source_weight).square().sum() + (layer.bias - layer.source_bias).square().sum()
    assert penalty(setup.network, {}).item() == pytest.approx(expected.item())


def test_at_the_start_there_is_only_the_head_and_the_gradient_is_finite():
    setup = setup_of("2D classifier", L2SP())
    value = L2SP(beta=0.0).penalty(setup)(setup.network, {})
    assert value.item() == 0.0
    assert all(bool(slope.isfinite().all()) for slope in gradients(setup.network, value).values() if slope is not None)


def test_what_did_not_load_is_drawn_to_zero():
    setup = setup_of("2D classifier", L2SP())
    object.__setattr__(setup, "loaded", setup.loaded - {"conv1.weight"})
    value = L2SP(alpha=5.0, beta=1.0).penalty(setup)(setup.network, {})
    new = [p for name, p in setup.network.named_parameters() if name.startswith(("conv1.", "linear."))]
    assert value.item() == pytest.approx(sum(p.square().sum().item() for p in new) / 2)


def test_no_weight_decay_acts_beside_the_penalty():
    training = Training("2D classifier", L2SP(), weight_decay=0.5)
    assert {group["weight_decay"] for group in training.optimizer.param_groups} == {0.0}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(dtype: torch.dtype):
    network = torch.nn.Linear(100, 100, bias=False, dtype=dtype)
    torch.nn.init.constant_(network.weight, 8.0)
    from acnorm.tuning.hooks import Setup

    value = L2SP(beta=2.0).penalty(Setup(network, ""))(network, {})
    assert value.item() == 640_000.0  # beyond float16


def test_the_reference_moves_with_the_module_and_stays_out_of_the_state():
    penalty = L2SP().penalty(setup_of("2D classifier", L2SP()))
    assert not penalty.state_dict()
    assert not list(penalty.parameters())
    assert {buffer.dtype for buffer in penalty.float().buffers()} == {torch.float32}


@kinds
def test_l2_takes_the_steps_of_the_loss_that_it_stands_for(kind: str):
    method = L2(alpha=0.3, beta=0.7)
    training = Training(kind, method, weight_decay=9.0)
    network = deepcopy(training.setup.network)
    training.run(1, steps=1)
    batch = batch_of(kind, 0)
    head = [p for name, p in network.named_parameters() if name.startswith(f"{training.setup.head}.")]
    encoder = [p for name, p in network.named_parameters() if not name.startswith(f"{training.setup.head}.")]
    network.train()
    squares = [sum(p.square().sum() for p in part) for part in (encoder, head)]
    value = loss(network, batch) + 0.3 / 2 * squares[0] + 0.7 / 2 * squares[1]
    value.backward()
    for name, weight in network.named_parameters():
        rate = 0.01 * (10 if name.startswith(f"{training.setup.head}.") else 1)
        expected = weight.detach() - rate * 1.9 * weight.grad  # Nesterov's first step: 1 + momentum
        torch.testing.assert_close(
            training.setup.network.get_parameter(name).detach(), expected, rtol=1e-10, atol=1e-12
        )


@pytest.mark.parametrize(("method", "told"), [
    (L2SP(alpha=-1.0), ["l2sp.alpha is -1.0, must be 0 or more and finite"]),
    (L2SP(beta=float("nan")), ["l2sp.beta is nan, must be 0 or more and finite"]),
    (L2(alpha=float("inf"), beta=-1), ["l2.alpha is inf, must be 0 or more and finite", "l2.beta is -1, must be 0 or more and finite"]),
])  # fmt: skip
def test_strengths_are_not_negative(method: L2 | L2SP, told: list[str]):
    assert method.problems() == told
