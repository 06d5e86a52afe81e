"""Tiles go apart and together again, and tasks on them ask what they say."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from acnorm.errors import UserError
from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.jigsaw import Jigsaw
from acnorm.pretraining.location import _pairs
from acnorm.pretraining.rubik import RubiksCube
from acnorm.pretraining.tiles import cut, joined, permutations, reordered

SHAPES = [(2, 3, 12, 18), (2, 1, 12, 6, 18)]
BLUEPRINTS = [Blueprint("cifar/resnet20", 1, 2), Blueprint("monai/resnet10", 1, 3)]


def places_of(shape: tuple[int, ...]) -> Tensor:
    """Images that hold the coordinates of their pixels."""
    grid = torch.stack(torch.meshgrid(*(torch.arange(side) for side in shape[2:]), indexing="ij")).float()
    return grid.expand(shape[0], *grid.shape).clone()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_tiles_come_together_again(shape: tuple[int, ...], parts: int):
    images = torch.randn(shape)
    tiles = cut(images, parts, method="jigsaw")
    assert tiles.shape[:2] == (2, parts ** (len(shape) - 2))
    assert torch.equal(joined(tiles, parts), images)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.sampled_from(SHAPES))
def test_a_tile_smaller_than_its_cell_lies_anywhere_in_it(seed: int, shape: tuple[int, ...]):
    torch.manual_seed(seed)
    tiles = cut(places_of(shape), 2, method="jigsaw", gap=1)
    cells = [side // 2 for side in shape[2:]]
    for number, tile in enumerate(tiles.unbind(1)):
        for axis, cell in enumerate(cells):
            at = number // 2 ** (len(cells) - 1 - axis) % 2
            assert float(tile[:, axis].min()) >= at * cell
            assert float(tile[:, axis].max()) < (at + 1) * cell
            assert tile.shape[2 + axis] == cell - 1


def test_images_too_small_are_told():
    told = "--method jigsaw: cannot cut images of 5 × 8 into 3 tiles a side; give larger ones."
    with pytest.raises(UserError, match=told):
        cut(torch.zeros(1, 1, 5, 8), 3, method="jigsaw")


def test_orders_are_different_begin_with_the_natural_one_and_are_always_the_same():
    orders = permutations(9, 30)
    assert orders[0].tolist() == list(range(9))
    assert all(sorted(order) == list(range(9)) for order in orders.tolist())
    apart = (orders[:, None] != orders[None]).sum(dim=2) + 9 * torch.eye(30, dtype=torch.long)
    assert int(apart.min()) >= 6
    assert torch.equal(orders, permutations(9, 30))
    assert len({tuple(order) for order in permutations(4, 24).tolist()}) == math.factorial(4)


def test_each_image_takes_its_own_order():
    tiles = torch.arange(8.0).reshape(2, 4, 1, 1)
    orders = torch.tensor([[3, 2, 1, 0], [1, 0, 3, 2]])
    assert reordered(tiles, orders).flatten().tolist() == [3, 2, 1, 0, 5, 4, 7, 6]


@pytest.mark.parametrize("shape", [(64, 2, 30, 30), (64, 3, 12, 12, 12)])
def test_the_place_of_the_second_patch_is_the_one_asked_for(shape: tuple[int, ...]):
    torch.manual_seed(0)
    middle, other, places = _pairs(places_of(shape))
    axes = len(shape) - 2
    assert len(places.unique()) > 3**axes / 2
    for one, second, place in zip(middle, other, places.tolist(), strict=True):
        number = place + (place >= 3**axes // 2)
        for axis, side in enumerate(shape[2:]):
            cell = side // 3
            assert int(one[axis].mean()) // cell == 1
            assert int(second[axis].mean()) // cell == number // 3 ** (axes - 1 - axis) % 3


class Spy(nn.Module):
    """Stands for the encoder: keeps what it is given, tells nothing."""

    width = 4

    def forward(self, tiles: Tensor) -> Tensor:
        self.seen = tiles
        return tiles.new_zeros(len(tiles), self.width)


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
def test_a_puzzle_is_the_image_in_the_order_asked_for(blueprint: Blueprint):
    torch.manual_seed(0)
    network = Jigsaw(orders=8).build(blueprint)
    images = places_of((16, blueprint.dimensions, *(18,) * blueprint.dimensions))
    puzzles, answers = Jigsaw(orders=8)._puzzles(network, images)
    parts = 3 if blueprint.dimensions == 2 else 2
    for puzzle, answer in zip(puzzles, answers, strict=True):
        cells = [[int(tile[axis].mean()) // (18 // parts) for axis in range(blueprint.dimensions)] for tile in puzzle]
        numbers = [
            sum(at * parts ** (blueprint.dimensions - 1 - axis) for axis, at in enumerate(cell)) for cell in cells
        ]
        assert numbers == network.orders[answer].tolist()


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
def test_half_turns_and_order_undone_give_the_image_back(blueprint: Blueprint):
    torch.manual_seed(0)
    pretext = RubiksCube()
    network = pretext.build(blueprint)
    images = places_of((16, blueprint.dimensions, *(8,) * blueprint.dimensions))  # cells of 4: no gap
    cubes, order, turns = pretext._scrambled(network, images)
    assert turns.shape == (16, 2**blueprint.dimensions, blueprint.dimensions - 1)
    assert 0.3 < float(turns.mean()) < 0.7
    for image, cube, number, turned in zip(images, cubes, order, turns, strict=True):
        back = cube.clone()
        for at in range(len(cube)):
            for plane, on in zip(((-2, -1), (-3, -1)), turned[at], strict=False):
                back[at] = back[at].flip(plane) if on else back[at]
        natural = back[network.orders[number].argsort()]
        assert torch.equal(joined(natural[None], 2)[0], image)


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
def test_an_encoder_that_tells_nothing_is_at_chance(blueprint: Blueprint):
    torch.manual_seed(0)
    for pretext, wanted in ((Jigsaw(), math.log(64)), (RubiksCube(), math.log(24) + math.log(2))):
        network = pretext.build(blueprint)
        network.encoder = Spy()
        network.head = nn.Linear(4 * network.orders.shape[1], network.head[-1].out_features)
        network.head.bias.data.zero_()
        loss = pretext.loss(network, {"image": torch.randn(4, 1, *(18,) * blueprint.dimensions)})
        assert float(loss.detach()) == pytest.approx(wanted, rel=1e-5)
        assert len(network.encoder.seen) == 4 * network.orders.shape[1]
