from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from acnorm.pretraining.moco import MoCo, info_nce
from pretraining_setups import FLAT, images, vectors


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_info_nce_is_equation_1_of_the_paper(temperature: float):
    queries, keys, queue = (functional.normalize(vectors(seed), dim=1) for seed in (0, 1, 2))
    total = 0.0
    for query, key in zip(queries, keys, strict=True):
        own = math.exp(float(query @ key) / temperature)
        total -= math.log(own / (own + sum(math.exp(float(query @ other) / temperature) for other in queue)))
    assert float(info_nce(queries, keys, queue, temperature)) == pytest.approx(total / len(queries), rel=1e-9)


def test_its_loss_is_that_of_queries_and_slow_keys_at_its_temperature(monkeypatch: pytest.MonkeyPatch):
    views = iter([images(seed=1), images(seed=2)])
    monkeypatch.setattr(MoCo, "view", lambda *_: next(views))
    torch.manual_seed(0)
    pretext = MoCo(temperature=0.5, keys=16)
    network = pretext.build(FLAT).eval()
    with torch.no_grad():
        found = pretext.loss(network, {"image": images()})
        queries = functional.normalize(network.head(network.encoder(images(seed=1))), dim=1).double()
        keys = functional.normalize(network.keys(images(seed=2)), dim=1).double()
        wanted = info_nce(queries, keys, network.queue.double(), 0.5)
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)


def test_the_queue_takes_in_the_newest_keys_and_keeps_its_length():
    torch.manual_seed(0)
    pretext = MoCo(keys=10)
    network = pretext.build(FLAT).train()
    before = network.queue.clone()
    pretext.loss(network, {"image": images()}).backward()
    assert network.queue.shape == before.shape
    assert torch.equal(network.queue[:6], before[4:])
    assert torch.allclose(network.queue.norm(dim=1), torch.ones(10), atol=1e-5)
    assert not network.queue.requires_grad
    network.eval()
    kept = network.queue.clone()
    pretext.loss(network, {"image": images()})
    assert torch.equal(network.queue, kept)
    assert "queue" in network.state_dict()


def test_a_batch_larger_than_the_queue_leaves_its_last_keys_in_it():
    torch.manual_seed(0)
    pretext = MoCo(keys=3)
    network = pretext.build(FLAT).train()
    pretext.loss(network, {"image": images(5)})
    assert network.queue.shape == (3, 128)


def test_keys_follow_by_its_momentum_and_no_gradient_reaches_them():
    torch.manual_seed(0)
    pretext = MoCo(momentum=0.75)
    network = pretext.build(FLAT)
    pretext.loss(network, {"image": images()}).backward()
    assert all(value.grad is None for value in network.keys.parameters())
    before = network.keys.head[0].weight.clone()
    network.head[0].weight.data += 1
    pretext.after_step(network, 0.5)
    assert torch.allclose(network.keys.head[0].weight, before + 0.25, atol=1e-6)


def test_its_projector_has_no_norm_and_is_as_wide_as_asked_for():
    network = MoCo(hidden=20, outputs=7, keys=5).build(FLAT)
    assert [layer.weight.shape for layer in (network.head[0], network.head[-1])] == [(20, 64), (7, 20)]
    assert len(network.head) == 3  # linear, ReLU, linear
    assert network.queue.shape == (5, 7)
