from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from acnorm.errors import UserError
from acnorm.pretraining.location import RelativeLocation, _pairs
from pretraining_setups import DEEP, FLAT, Spy, images, places_of


@pytest.mark.parametrize("gap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("shape", [(64, 2, 30, 30), (64, 3, 12, 12, 12)])
def test_the_place_of_the_second_patch_is_the_one_asked_for(shape: tuple[int, ...], gap: float):
    torch.manual_seed(0)
    middle, other, places = _pairs(places_of(shape), gap)
    axes = len(shape) - 2
    assert len(places.unique()) > 3**axes / 2
    assert middle.shape[2] == other.shape[2] == shape[2] // 3 - int(gap * (shape[2] // 3))
    for one, second, place in zip(middle, other, places.tolist(), strict=True):
        number = place + (place >= 3**axes // 2)
        for axis, side in enumerate(shape[2:]):
            cell = side // 3
            assert int(one[axis].mean()) // cell == 1
            assert int(second[axis].mean()) // cell == number // 3 ** (axes - 1 - axis) % 3


@pytest.mark.parametrize(("blueprint", "places"), [(FLAT, 8), (DEEP, 26)])
def test_an_encoder_that_tells_nothing_is_at_chance(blueprint, places: int):
    torch.manual_seed(0)
    network = RelativeLocation(hidden=6).build(blueprint)
    assert [layer.out_features for layer in (network.head[0], network.head[-1])] == [6, places]
    network.encoder = Spy()
    network.head = nn.Linear(8, places)
    network.head.bias.data.zero_()
    loss = RelativeLocation().loss(network, {"image": images(side=18, dimensions=blueprint.dimensions)})
    assert float(loss.detach()) == pytest.approx(math.log(places), rel=1e-5)
    assert len(network.encoder.seen) == 8  # both patches of four images


def test_a_gap_that_leaves_too_little_is_told():
    told = "--method location: cannot cut images of 12 × 12 into 3 tiles a side; give larger ones or a smaller location.gap."
    with pytest.raises(UserError, match=told):
        RelativeLocation(gap=0.9).loss(nn.Identity(), {"image": images(side=12)})
