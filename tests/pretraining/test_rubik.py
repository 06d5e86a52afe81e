from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from acnorm.errors import UserError
from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.rubik import RubiksCube
from acnorm.pretraining.tiles import joined
from pretraining_setups import DEEP, FLAT, Spy, images, places_of


@pytest.mark.parametrize("blueprint", [FLAT, DEEP])
def test_half_turns_and_order_undone_give_the_image_back(blueprint: Blueprint):
    torch.manual_seed(0)
    pretext = RubiksCube(gap=0.0)
    network = pretext.build(blueprint)
    given = places_of((16, blueprint.dimensions, *(8,) * blueprint.dimensions))
    cubes, order, turns = pretext._scrambled(network, given)
    assert turns.shape == (16, 2**blueprint.dimensions, blueprint.dimensions - 1)
    assert 0.3 < float(turns.mean()) < 0.7
    for image, cube, number, turned in zip(given, cubes, order, turns, strict=True):
        back = cube.clone()
        for at in range(len(cube)):
            for plane, on in zip(((-2, -1), (-3, -1)), turned[at], strict=False):
                back[at] = back[at].rot90(2, plane) if on else back[at]
        natural = back[network.orders[number].argsort()]
        assert torch.equal(joined(natural[None], 2)[0], image)


@pytest.mark.parametrize("blueprint", [FLAT, DEEP])
@pytest.mark.parametrize(("orders", "turning"), [(24, 1.0), (6, 0.25)])
def test_an_encoder_that_tells_nothing_is_at_chance(blueprint: Blueprint, orders: int, turning: float):
    torch.manual_seed(0)
    pretext = RubiksCube(orders=orders, turning=turning, hidden=6)
    network = pretext.build(blueprint)
    tiles = network.orders.shape[1]
    assert network.head[0].out_features == 6
    assert network.head[-1].out_features == orders + tiles * (blueprint.dimensions - 1)
    network.encoder = Spy()
    network.head = nn.Linear(4 * tiles, network.head[-1].out_features)
    network.head.bias.data.zero_()
    loss = pretext.loss(network, {"image": images(side=18, dimensions=blueprint.dimensions)})
    assert float(loss.detach()) == pytest.approx(math.log(orders) + turning * math.log(2), rel=1e-5)


def test_the_loss_is_that_of_the_order_and_of_the_turns():
    pretext = RubiksCube(turning=0.5)
    network = pretext.build(DEEP).eval()
    given = images(3, side=16, dimensions=3)
    with torch.no_grad():
        torch.manual_seed(4)
        found = pretext.loss(network, {"image": given})
        torch.manual_seed(4)
        cubes, order, turns = pretext._scrambled(network, given)
        logits = network(cubes).double()
    of_order = -logits[:, :24].log_softmax(dim=1)[torch.arange(3), order].mean()
    right = torch.where(turns.flatten(1).bool(), logits[:, 24:], -logits[:, 24:])
    assert float(found) == pytest.approx(float(of_order - 0.5 * functional.logsigmoid(right).mean()), rel=1e-5)


def test_more_orders_than_there_are_are_refused():
    with pytest.raises(UserError, match=r"^rubik\.orders is 25, must be 24 or less: 4 tiles have no more orders\.$"):
        RubiksCube(orders=25).build(FLAT)
    assert RubiksCube(orders=25).build(DEEP).orders.shape == (25, 8)
