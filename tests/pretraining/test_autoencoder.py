from __future__ import annotations

import pytest
import torch
from torch import nn

from acnorm.pretraining import autoencoder
from acnorm.pretraining.autoencoder import Autoencoder
from pretraining_setups import DEEP, FLAT, Fixed, Spy, images


def test_the_loss_is_the_mean_square_error_of_what_comes_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(autoencoder, "mirrored", lambda given: given)
    network = Fixed(images() + 0.5)
    assert float(Autoencoder().loss(network, {"image": images()})) == pytest.approx(0.25, rel=1e-5)
    assert torch.equal(network.seen[0], images())


@pytest.mark.parametrize(("blueprint", "sides"), [(FLAT, (32, 28)), (FLAT, (9, 17)), (DEEP, (16, 12, 20))])
def test_images_of_any_size_come_back_in_that_size(blueprint, sides: tuple[int, ...]):
    given = torch.randn(2, 1, *sides)
    assert Autoencoder().build(blueprint)(given).shape == given.shape


def test_nothing_but_the_features_reaches_the_decoder():
    torch.manual_seed(0)
    network = Autoencoder().build(FLAT).eval()
    network.encoder = Spy()
    network.head["unfold"] = nn.Linear(Spy.width, 64 * 16)
    with torch.no_grad():
        first, second = network(images(2))
    assert torch.equal(network.encoder.seen, images(2))
    assert torch.equal(first, second)  # two images of equal features


def test_the_decoder_is_as_wide_as_asked_for():
    network = Autoencoder(width=32).build(FLAT)
    assert network.head["unfold"].out_features == 32 * 16
    assert [block[0].out_channels for block in network.head["blocks"]] == [16, 8, 8]
    assert Autoencoder(width=8).build(FLAT)(images()).shape == (4, 1, 32, 32)
