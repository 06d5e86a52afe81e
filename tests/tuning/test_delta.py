"""DELTA against brute force in float64: the distance, its gradient, and the attention where first order is exact."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest
import torch
from torch import nn

from acnorm.tuning.delta import DELTA, FeatureDistance, attention, weighted_distance, z_score
from acnorm.tuning.features import outputs_of
from acnorm.tuning.hooks import Setup
from acnorm.tuning.method import make_method
from networks import move
from tuning_setups import MAKERS, Training, batch_of, loss, setup_of

kinds = pytest.mark.parametrize("kind", MAKERS)
QUICK = DELTA(alpha=0.3, head_steps=2, batches=2)


def watched(penalty: FeatureDistance, network: nn.Module, batch: dict) -> torch.Tensor:
    with penalty.watching(network):
        loss(network, batch)
    return penalty(network, batch)


@kinds
@pytest.mark.parametrize("cases", [2, 3])
def test_value_is_that_of_the_formula_summed_map_by_map(kind: str, cases: int):
    setup = setup_of(kind, QUICK, cases=cases)
    network, batch, penalty = move(setup.network).eval(), batch_of(kind, cases=cases), QUICK.penalty(setup)
    value = watched(penalty, network, batch)
    weights = attention(setup, setup.source, QUICK)
    with torch.no_grad(), outputs_of(network, setup.taps) as own, outputs_of(setup.source, setup.taps) as wanted:
        network(batch["image"])
        setup.source(batch["image"])
    expected = 0.0
    for name in setup.taps:
        positions = own[name][0, 0].numel()
        for case in range(cases):
            for channel, weight in enumerate(weights[name]):
                apart = own[name][case, channel] - wanted[name][case, channel]
                expected += 0.3 * weight * (apart**2).sum() * len(weights[name]) / (2 * positions) / cases
    assert value.item() == pytest.approx(float(expected), rel=1e-9)
    assert value.dtype == torch.float64


def test_the_gradient_is_that_of_the_formula():
    maps = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    source, weights = torch.randn(2, 3, 2, 2, dtype=torch.float64), torch.tensor([0.2, 0.3, 0.5]).double()
    weighted_distance(maps, source, weights).backward()
    closed = (maps - source).detach() * weights[None, :, None, None] * 3 / 4 / 2
    torch.testing.assert_close(maps.grad, closed)


@kinds
def test_at_the_start_in_eval_there_is_no_distance_and_the_source_stays(kind: str):
    setup = setup_of(kind, QUICK)
    before = deepcopy(setup.source.state_dict())
    penalty = QUICK.penalty(setup)
    assert watched(penalty, setup.network.eval(), batch_of(kind)).item() == 0.0
    assert all(torch.equal(value, before[name]) for name, value in setup.source.state_dict().items())
    assert not penalty.state_dict()
    assert not list(penalty.parameters())


class Linear(nn.Module):
    """Its loss is linear in its feature map, so that first order is exact."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 5, 3), nn.Linear(5, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(images).mean((2, 3)))


def test_attention_is_that_of_setting_each_channel_to_0():
    network = Linear().double()
    batches = [{"image": torch.randn(4, 1, 6, 6, dtype=torch.float64)} for _ in range(3)]
    setup = Setup(
        network, "fc", (("conv",),), ("conv",), source=deepcopy(network).eval(),
        loss=lambda net, batch: net(batch["image"]).mean(), batches=lambda _: iter(batches),
    )  # fmt: skip
    method = DELTA(head_steps=1, batches=3, temperature=2.0)
    trained = deepcopy(network)
    slope = torch.autograd.grad(setup.loss(trained, batches[0]), list(trained.fc.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(trained.fc.parameters(), slope, strict=True):
            parameter.sub_(0.01 * gradient)
    rises = torch.zeros(5, dtype=torch.float64)
    for batch in batches:
        whole = setup.loss(trained, batch)
        for channel in range(5):
            with torch.no_grad():
                maps = trained.conv(batch["image"])
                maps[:, channel] = 0
                rises[channel] += trained.fc(maps.mean((2, 3))).mean() - whole
    expected = ((rises - rises.mean()) / rises.std() / 2).softmax(0)
    torch.testing.assert_close(attention(setup, setup.source, method)["conv"], expected, rtol=1e-9, atol=1e-12)


def test_channels_that_matter_alike_are_even():
    assert torch.equal(z_score(torch.full((4,), 3.0)), torch.zeros(4))
    values = torch.randn(9, dtype=torch.float64)
    torch.testing.assert_close(z_score(values), (values - values.mean()) / values.std())


def test_measuring_the_attention_leaves_the_generator_and_is_the_same_again():
    setup = setup_of("2D classifier", QUICK)
    torch.manual_seed(1)
    first = attention(setup, setup.source, QUICK)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = attention(setup, setup.source, QUICK)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert all(value.sum().item() == pytest.approx(1) for value in first.values())


def test_with_acnorm_the_source_is_the_plain_network():
    training = Training("2D classifier", make_method("acnorm+delta", QUICK), dtype=torch.float32).run(1, 2)
    assert not any("source_weight" in name for name, _ in training.setup.source.named_buffers())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_distances_of_half_precision_maps_are_in_single(dtype: torch.dtype):
    maps, source = torch.full((1, 1, 2, 2), 300.0, dtype=dtype), torch.zeros(1, 1, 2, 2, dtype=dtype)
    assert weighted_distance(maps, source, torch.ones(1)).item() == 45_000.0
    assert weighted_distance(maps * 100, source, torch.ones(1)).item() == pytest.approx(4.5e8, rel=1e-2)


def test_under_autocast_it_is_finite_and_near_that_of_single_precision():
    values = []
    for enabled in (False, True):
        setup = setup_of("2D classifier", QUICK, dtype=torch.float32)
        network, batch = move(setup.network), batch_of("2D classifier", dtype=torch.float32)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            values.append(watched(QUICK.penalty(setup), network.eval(), batch).item())
    assert values[1] == pytest.approx(values[0], rel=0.1)


def test_the_head_decays_and_the_encoder_does_not():
    training = Training("2D classifier", DELTA(beta=0.4), weight_decay=0.5)
    assert [group["weight_decay"] for group in training.optimizer.param_groups] == [0.0, 0.4]


def test_settings_and_networks_that_will_not_do_are_refused():
    assert DELTA(alpha=-1.0, temperature=0.0, batches=0).problems() == [
        "delta.alpha is -1.0, must be 0 or more and finite",
        "delta.temperature is 0.0, must be above 0 and finite",
        "delta.batches is 0, must be 1 or more",
    ]
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Linear(2, 1))
    batches = [{"image": torch.zeros(2, 1, 2, 2)}]
    setup = Setup(network, "2", (("1",),), ("1",), source=network, batches=lambda _: iter(batches))
    told = "1, a stage of its encoder, gives no feature map of 2 dimensions."
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        DELTA().check(setup)
    DELTA().check(setup_of("2D classifier", DELTA()))
