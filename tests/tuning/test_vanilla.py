"""Plain fine-tuning changes nothing: not the network, not what trains, not the outputs."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from acnorm.tuning.vanilla import Vanilla
from networks import ToyNet, images_for, move, trained


@pytest.mark.parametrize("loaded", [None, [], ["bn1"]])
def test_prepare_and_finish_give_the_network_untouched(loaded: list[str] | None):
    network = trained()
    before = deepcopy(network.state_dict())
    assert Vanilla().prepare(network, loaded) is network
    assert Vanilla().finish(network, images_for()) is network
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_saved_state_rebuilds_the_network():
    network, new = move(trained()).eval(), ToyNet().eval()
    assert not torch.equal(new(images_for()), network(images_for()))
    again = Vanilla().rebuild(new, network.state_dict())
    assert again is new
    assert torch.equal(again(images_for()), network(images_for()))


def test_a_state_that_does_not_fit_is_refused():
    state = {name: value for name, value in trained().state_dict().items() if name != "bn2.weight"}
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "bn2\.weight"'):
        Vanilla().rebuild(ToyNet(), state)
