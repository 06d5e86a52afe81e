from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from acnorm.errors import UserError
from acnorm.pretraining.rotation import TURNS, Rotation, turned
from pretraining_setups import DEEP, FLAT, images


@pytest.mark.parametrize("dimensions", [2, 3])
def test_turns_are_all_different_and_come_back(dimensions: int):
    image = torch.arange(3.0**dimensions).reshape(1, 1, *(3,) * dimensions)
    turns = range(len(TURNS[dimensions]))
    seen = [turned(image, torch.tensor([turn])) for turn in turns]
    assert torch.equal(seen[0], image)
    assert len({tuple(one.flatten().tolist()) for one in seen}) == len(seen) == {2: 4, 3: 10}[dimensions]
    for turn in turns:
        back = image
        for _ in range(4):
            back = turned(back, torch.tensor([turn]))
        assert torch.equal(back, image)


@pytest.mark.parametrize(("blueprint", "turns"), [(FLAT, 4), (DEEP, 10)])
def test_the_loss_is_the_cross_entropy_of_the_turns(blueprint, turns: int):
    torch.manual_seed(0)
    network = Rotation().build(blueprint)
    assert network.head.out_features == turns
    given = images(64, side=4 if turns == 10 else 32, dimensions=blueprint.dimensions)
    network.encoder.body = nn.Flatten()
    network.head = nn.Linear(given[0].numel(), turns)
    network.head.weight.data.zero_()
    network.head.bias.data = torch.tensor([2.0, *[0.0] * (turns - 1)])
    torch.manual_seed(5)
    loss = float(Rotation().loss(network, {"image": given}).detach())
    torch.manual_seed(5)
    drawn = torch.randint(turns, (64,))
    wanted = math.log(math.exp(2) + turns - 1) - 2 * float((drawn == 0).double().mean())
    assert loss == pytest.approx(wanted, rel=1e-5)


def test_the_network_sees_the_turned_images(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("acnorm.pretraining.rotation.recoloured", lambda given: given)
    seen = []
    network = nn.Sequential(nn.Flatten(), nn.Linear(1024, 4))
    network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    torch.manual_seed(3)
    Rotation().loss(network, {"image": images()})
    torch.manual_seed(3)
    assert torch.equal(seen[0], turned(images(), torch.randint(4, (4,))))


def test_it_needs_squares():
    with pytest.raises(UserError, match=r"--method rotation: needs square images or cubes, these are 32 × 24; give"):
        Rotation().loss(nn.Identity(), {"image": torch.zeros(1, 1, 32, 24)})
