from __future__ import annotations

import torch
from torch import nn

from acnorm.pretraining.averaging import follow, follower_of


def test_a_follower_is_a_copy_that_follows():
    network = nn.Linear(3, 2)
    follower = follower_of(network)
    assert torch.equal(follower.weight, network.weight)
    network.weight.data += 1
    follow(follower, network, 1.0)
    assert torch.allclose(follower.weight + 1, network.weight)
    follow(follower, network, 0.0)
    assert torch.equal(follower.weight, network.weight)


def test_many_steps_are_the_weighted_sum_of_all_that_was():
    network = nn.Linear(1, 1, bias=False).double()
    follower = follower_of(network)
    seen = [network.weight.item()]
    for step in range(5):
        network.weight.data.fill_(float(step**2))
        follow(follower, network, 0.8)
        seen.append(float(step**2))
    wanted = 0.8**5 * seen[0] + sum(0.2 * 0.8 ** (4 - at) * value for at, value in enumerate(seen[1:]))
    assert abs(follower.weight.item() - wanted) < 1e-12


def test_no_gradient_reaches_it_and_its_buffers_are_its_own():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    follower = follower_of(network)
    before = network[1].running_mean.clone()
    follower.train()(torch.randn(4, 2)).detach()
    assert torch.equal(network[1].running_mean, before)
    assert not torch.equal(follower[1].running_mean, before)
    assert not any(value.requires_grad for value in follower.parameters())
    assert all(value.requires_grad for value in network.parameters())
