from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from acnorm.errors import UserError
from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.jigsaw import Jigsaw
from pretraining_setups import DEEP, FLAT, Spy, images, places_of


@pytest.mark.parametrize(("blueprint", "given"), [(FLAT, None), (FLAT, 2), (FLAT, 4), (DEEP, None), (DEEP, 3)])
def test_a_puzzle_is_the_image_in_the_order_asked_for(blueprint: Blueprint, given: int | None):
    torch.manual_seed(0)
    pretext = Jigsaw(orders=8, parts=given)
    network = pretext.build(blueprint)
    parts = given or {2: 3, 3: 2}[blueprint.dimensions]
    side = 6 * parts
    puzzles, answers = pretext._puzzles(network, places_of((16, blueprint.dimensions, *(side,) * blueprint.dimensions)))
    assert puzzles.shape[1] == parts**blueprint.dimensions
    for puzzle, answer in zip(puzzles, answers, strict=True):
        cells = [[int(tile[axis].mean()) // 6 for axis in range(blueprint.dimensions)] for tile in puzzle]
        numbers = [
            sum(at * parts ** (blueprint.dimensions - 1 - axis) for axis, at in enumerate(cell)) for cell in cells
        ]
        assert numbers == network.orders[answer].tolist()


@pytest.mark.parametrize("gap", [0.0, 0.2, 0.5])
def test_tiles_are_smaller_than_their_cells_by_the_gap(gap: float):
    pretext = Jigsaw(gap=gap, orders=2)
    puzzles, _ = pretext._puzzles(pretext.build(FLAT), images(side=30))
    assert puzzles.shape[3:] == (10 - int(10 * gap),) * 2


@pytest.mark.parametrize("blueprint", [FLAT, DEEP])
@pytest.mark.parametrize("orders", [5, 64])
def test_an_encoder_that_tells_nothing_is_at_chance(blueprint: Blueprint, orders: int):
    torch.manual_seed(0)
    pretext = Jigsaw(orders=orders, hidden=6)
    network = pretext.build(blueprint)
    assert [layer.out_features for layer in (network.head[0], network.head[-1])] == [6, orders]
    network.encoder = Spy()
    network.head = nn.Linear(4 * network.orders.shape[1], orders)
    network.head.bias.data.zero_()
    loss = pretext.loss(network, {"image": images(side=18, dimensions=blueprint.dimensions)})
    assert float(loss.detach()) == pytest.approx(math.log(orders), rel=1e-5)
    assert len(network.encoder.seen) == 4 * network.orders.shape[1]


def test_more_orders_than_there_are_are_refused():
    with pytest.raises(UserError, match=r"^jigsaw\.orders is 64, must be 24 or less: 4 tiles have no more orders\.$"):
        Jigsaw(parts=2).build(FLAT)
    assert len(Jigsaw(parts=2, orders=24).build(FLAT).orders.unique(dim=0)) == 24
