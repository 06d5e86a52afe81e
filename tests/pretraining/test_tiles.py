"""Tiles go apart and together again."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acnorm.errors import UserError
from acnorm.pretraining.tiles import cut, gap_of, joined, permutations, reordered
from pretraining_setups import places_of

SHAPES = [(2, 3, 12, 18), (2, 1, 12, 6, 18)]


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
    orders = permutations(9, 30, method="jigsaw")
    assert orders[0].tolist() == list(range(9))
    assert all(sorted(order) == list(range(9)) for order in orders.tolist())
    apart = (orders[:, None] != orders[None]).sum(dim=2) + 9 * torch.eye(30, dtype=torch.long)
    assert int(apart.min()) >= 6
    assert torch.equal(orders, permutations(9, 30, method="jigsaw"))
    assert len({tuple(order) for order in permutations(4, 24, method="jigsaw").tolist()}) == math.factorial(4)


def test_each_image_takes_its_own_order():
    tiles = torch.arange(8.0).reshape(2, 4, 1, 1)
    orders = torch.tensor([[3, 2, 1, 0], [1, 0, 3, 2]])
    assert reordered(tiles, orders).flatten().tolist() == [3, 2, 1, 0, 5, 4, 7, 6]


def test_more_orders_than_there_are_are_refused():
    with pytest.raises(UserError, match=r"^rubik\.orders is 7, must be 6 or less: 3 tiles have no more orders\.$"):
        permutations(3, 7, method="rubik")


@pytest.mark.parametrize("share", [0.2, 0.25])
def test_a_gap_is_the_share_of_the_shortest_side_of_a_cell_rounded_down(share: float):
    for side in range(3, 400):
        images = torch.zeros(1, 1, side, side + 7)
        assert gap_of(images, 3, share) == side // 3 // round(1 / share)
