from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from acnorm.pretraining import supervised
from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.supervised import Supervised
from pretraining_setups import FLAT, Fixed, images


def test_one_label_and_several_are_cross_entropies(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    network = Supervised().build(FLAT).eval()
    monkeypatch.setattr(supervised, "cropped", lambda given, _: given)
    with torch.no_grad():
        logits = network(images())
        one = {"image": images(), "label": torch.tensor([0, 1, 2, 0])}
        assert torch.allclose(Supervised().loss(network, one), functional.cross_entropy(logits, one["label"]))
        several = {"image": images(), "label": torch.eye(4, 3)}
        wanted = functional.binary_cross_entropy_with_logits(logits, several["label"])
        assert torch.allclose(Supervised().loss(network, several), wanted)


def test_label_maps_are_dice_and_cross_entropy_of_whole_patches():
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.randint(3, (2, 8, 8), generator=torch.Generator().manual_seed(1))
    network = Fixed(logits)
    found = Supervised(least_area=0.1).loss(network, {"image": images(2, side=8), "mask": mask})
    shares = logits.double().softmax(dim=1)
    dice = []
    for label in (1, 2):  # not of the background, over the whole batch
        own, true = shares[:, label], (mask == label).double()
        dice.append(1 - (2 * (own * true).sum() + 1e-5) / (own.sum() + true.sum() + 1e-5))
    wanted = torch.stack(dice).mean() + functional.cross_entropy(logits.double(), mask)
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)
    assert torch.equal(network.seen[0], images(2, side=8))


def test_images_are_cropped_to_as_much_as_asked_for():
    network = Fixed(torch.zeros(4, 3), torch.zeros(4, 3))
    batch = {"image": images(), "label": torch.zeros(4, dtype=torch.long)}
    Supervised(least_area=1.0).loss(network, batch)
    Supervised(least_area=0.2).loss(network, batch)
    assert torch.allclose(network.seen[0], images(), atol=1e-5)
    assert not torch.allclose(network.seen[1], images(), atol=0.1)


def test_its_checkpoint_keeps_the_head_of_the_labels():
    network = Supervised().build(FLAT)
    assert network.encoder.weights()["linear.weight"].shape == (3, 64)
    assert torch.equal(network.encoder.weights()["linear.bias"], network.encoder.head.bias)


def test_of_label_maps_the_network_is_a_unet_with_an_output_a_label():
    network = Supervised().build(Blueprint("cifar/resnet20", 1, 2, classes=4, task="segmentation"))
    assert network(images()).shape == (4, 4, 32, 32)
    assert "conv1.weight" in network.encoder.weights()
