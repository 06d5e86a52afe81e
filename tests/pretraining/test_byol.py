from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from acnorm.pretraining.byol import BYOL, distance
from pretraining_setups import FLAT, images, vectors


def test_the_distance_is_that_of_unit_vectors():
    first, second = vectors(0), vectors(1)
    unit = [functional.normalize(vector, dim=1) for vector in (first, second)]
    wanted = float((unit[0] - unit[1]).square().sum(dim=1).mean())
    assert float(distance(first, second)) == pytest.approx(wanted, rel=1e-5)


def test_each_view_predicts_the_target_of_the_other(monkeypatch: pytest.MonkeyPatch):
    views = iter([images(seed=1), images(seed=2)])
    monkeypatch.setattr(BYOL, "view", lambda *_: next(views))
    torch.manual_seed(0)
    network = BYOL().build(FLAT).eval()
    with torch.no_grad():
        found = BYOL().loss(network, {"image": images()})
        predicted = [network(images(seed=seed)) for seed in (1, 2)]
        targets = [network.target(images(seed=seed)) for seed in (2, 1)]
        wanted = sum(
            2 - 2 * float(functional.cosine_similarity(one, other, dim=1).mean())
            for one, other in zip(predicted, targets, strict=True)
        )
    assert float(found) == pytest.approx(wanted, rel=1e-4)


def test_no_gradient_reaches_its_target_which_follows_along_a_cosine():
    torch.manual_seed(0)
    pretext = BYOL(momentum=0.9)
    network = pretext.build(FLAT)
    pretext.loss(network, {"image": images()}).backward()
    assert all(value.grad is None for value in network.target.parameters())
    for progress, momentum in ((0.0, 0.9), (0.5, 0.95), (1.0, 1.0)):
        before = network.target.encoder.body.conv1.weight.clone()
        network.encoder.body.conv1.weight.data += 1
        wanted = momentum * before + (1 - momentum) * network.encoder.body.conv1.weight
        pretext.after_step(network, progress)
        assert torch.allclose(network.target.encoder.body.conv1.weight, wanted, atol=1e-6)


def test_the_projector_of_the_target_follows_but_the_predictor_has_no_copy():
    pretext = BYOL(momentum=0.5, hidden=6, outputs=3)
    network = pretext.build(FLAT)
    assert [name for name, _ in network.target.named_children()] == ["encoder", "head"]
    before = network.target.head[0].weight.clone()
    network.head["projector"][0].weight.data += 1
    pretext.after_step(network, 0.0)
    assert torch.allclose(network.target.head[0].weight, before + 0.5, atol=1e-6)
    assert network(images()).shape == (4, 3)
    assert network.head["predictor"][0].weight.shape == (6, 3)
