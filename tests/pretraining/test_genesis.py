from __future__ import annotations

import pytest
import torch

from acnorm.pretraining import genesis
from acnorm.pretraining.genesis import ModelsGenesis
from pretraining_setups import DEEP, FLAT, Fixed, images

NOTHING = {"nonlinear": 0.0, "shuffling": 0.0, "painting": 0.0}


def test_the_loss_is_the_error_against_the_image_before_it_was_distorted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(genesis, "mirrored", lambda given: given)
    network = Fixed(images() + 0.5)
    torch.manual_seed(0)
    found = ModelsGenesis().loss(network, {"image": images()})
    assert float(found) == pytest.approx(0.25, rel=1e-5)
    torch.manual_seed(0)
    assert torch.equal(network.seen[0], genesis.distorted(images()))
    assert not torch.equal(network.seen[0], images())


@pytest.mark.parametrize("change", ["nonlinear", "shuffling", "painting"])
def test_a_share_of_none_leaves_images_as_they_are_and_one_of_all_changes_them(change: str):
    torch.manual_seed(0)
    given = images(8, side=40)
    assert torch.equal(ModelsGenesis(**NOTHING).distorted(given), given)
    changed = ModelsGenesis(**NOTHING | {change: 1.0}).distorted(given)
    assert all(not torch.allclose(one, other, atol=1e-3) for one, other in zip(changed, given, strict=True))


def test_half_of_the_images_are_changed_where_half_is_asked_for():
    torch.manual_seed(0)
    given = images(200, side=8)
    changed = ModelsGenesis(**NOTHING | {"nonlinear": 0.5}).distorted(given)
    count = sum(not torch.equal(one, other) for one, other in zip(changed, given, strict=True))
    assert 75 <= count <= 125


def test_painting_inside_keeps_more_than_outside():
    torch.manual_seed(0)
    given = images(16, side=40)
    kept = []
    for inner in (0.0, 1.0):
        painted = ModelsGenesis(**NOTHING | {"painting": 1.0, "inner": inner}).distorted(given)
        kept.append(float(((painted - given).abs() < 1e-4).float().mean()))
    assert kept[1] > kept[0] + 0.1


@pytest.mark.parametrize("blueprint", [FLAT, DEEP])
def test_the_network_gives_images_back_in_their_size(blueprint):
    given = images(2, side=16, dimensions=blueprint.dimensions)
    assert ModelsGenesis().build(blueprint)(given).shape == given.shape
