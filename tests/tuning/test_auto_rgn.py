"""Auto-RGN against a brute-force computation in float64, and what measuring leaves alone."""

from __future__ import annotations

from copy import deepcopy
from itertools import islice

import pytest
import torch

from acnorm.tuning.auto_rgn import LEAST, AutoRGN, relative_gradient_norms
from acnorm.tuning.hooks import Setup
from acnorm.tuning.method import make_method
from tuning_setups import MAKERS, Training, loss, setup_of


@pytest.mark.parametrize("kind", MAKERS)
def test_rates_are_relative_gradient_norms_over_the_largest(kind: str):
    setup = setup_of(kind, AutoRGN())
    network, norms = deepcopy(setup.network), {}
    for batch in islice(setup.batches(2), 3):
        named = dict(network.named_parameters())
        slopes = dict(zip(named, torch.autograd.grad(loss(network, batch), list(named.values())), strict=True))
        for layer in {name.rpartition(".")[0] for name in setup.encoder}:
            of_layer = [name for name in setup.encoder if name.rpartition(".")[0] == layer]
            gradient = torch.cat([slopes[name].flatten() for name in of_layer]).norm()
            weight = torch.cat([named[name].detach().flatten() for name in of_layer]).norm()
            norms.setdefault(layer, []).append((gradient / weight).item())
    means = {layer: sum(values) / 3 for layer, values in norms.items()}
    rates = AutoRGN(batches=3).epoch_rates(setup, 2)
    assert rates.keys() == set(setup.encoder)
    for name, rate in rates.items():
        assert rate == pytest.approx(means[name.rpartition(".")[0]] / max(means.values()), rel=1e-9)
    assert max(rates.values()) == 1.0


def test_measuring_changes_neither_the_network_nor_the_generator():
    setup = setup_of("2D classifier", AutoRGN())
    before = deepcopy(setup.network.state_dict())
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    relative_gradient_norms(setup, 0, 2)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(value, before[name]) for name, value in setup.network.state_dict().items())
    assert all(parameter.grad is None for parameter in setup.network.parameters())


def test_rates_of_an_epoch_replace_those_of_the_epoch_before_and_the_heads_stays():
    training = Training("2D classifier", AutoRGN(batches=1), epochs=3)
    for epoch in range(2):
        rates = AutoRGN(batches=1).epoch_rates(training.setup, epoch)
        expected = {name: 0.01 * rate for name, rate in rates.items()}
        cosine = (1 + torch.cos(torch.tensor(torch.pi * epoch / 3)).item()) / 2
        training.module.on_train_epoch_start()
        for group in training.optimizer.param_groups:
            start = expected[group["name"]] if "name" in group else 0.1
            assert group["lr"] == pytest.approx(start * cosine, rel=1e-6)
        training.run(1)


def test_a_layer_without_gradient_keeps_a_least_rate():
    class Half(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused, self.head = (torch.nn.Linear(1, 1) for _ in range(3))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(self.used(images))

    batch = {"image": torch.ones(2, 1)}
    setup = Setup(Half(), "head", loss=lambda net, b: net(b["image"]).sum(), batches=lambda _: iter([batch]))
    rates = AutoRGN().epoch_rates(setup, 0)
    assert rates == {"used.weight": 1.0, "used.bias": 1.0, "unused.weight": LEAST, "unused.bias": LEAST}


def test_batches_are_at_least_one():
    assert AutoRGN(batches=0).problems() == ["auto_rgn.batches is 0, must be 1 or more"]
    assert make_method("auto-rgn").own_rates


@pytest.mark.parametrize("name", ["auto-rgn+last-k", "auto-rgn+bn-only", "auto-rgn+gradual"])
def test_beside_freezing_the_largest_of_what_trains_has_the_whole_rate(name: str):
    training = Training("2D classifier", make_method(name), epochs=8, dtype=torch.float32)
    training.run(2)  # of gradual, one stage is free by then
    training.module.on_train_epoch_start()
    setup = training.setup
    rates = make_method("auto-rgn").epoch_rates(setup, 2)
    learning = [rates[name] for name in setup.encoder if setup.parameters[name].requires_grad]
    assert 0 < len(learning) < len(setup.encoder)
    assert max(learning) == 1.0
    assert max(rates.values()) == 1.0
    everything = deepcopy(setup.network).requires_grad_(True)
    whole = AutoRGN().epoch_rates(Setup(everything, setup.head, loss=setup.loss, batches=setup.batches), 2)
    free = [name for name in setup.encoder if setup.parameters[name].requires_grad]
    scale = max(whole[name] for name in free)
    assert [rates[name] for name in free] == pytest.approx([whole[name] / scale for name in free], rel=1e-4)
