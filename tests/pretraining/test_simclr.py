from __future__ import annotations

import math

import pytest
import torch

from acnorm.pretraining import task
from acnorm.pretraining.simclr import COLDEST, SimCLR
from pretraining_setups import FLAT, Fixed, images, vectors


@pytest.mark.parametrize("temperature", [0.1, 0.3, 2.0])
def test_nt_xent_is_equation_1_of_the_paper(temperature: float):
    first, second = vectors(0), vectors(1)
    unit = [vector / vector.norm() for vector in torch.cat([first, second])]
    total, count = 0.0, len(first)
    for i in range(2 * count):
        own = (i + count) % (2 * count)
        alike = [math.exp(float(unit[i] @ unit[k]) / temperature) for k in range(2 * count)]
        total -= math.log(alike[own] / sum(value for k, value in enumerate(alike) if k != i))
    found = SimCLR(temperature=temperature).loss(Fixed(first, second), {"image": images(5)})
    assert float(found) == pytest.approx(total / (2 * count), rel=1e-5)


def test_two_views_are_compared_that_show_as_much_as_asked_for(monkeypatch: pytest.MonkeyPatch):
    asked: list[float] = []
    monkeypatch.setattr(task, "random_view", lambda given, least: asked.append(least) or given + len(asked))
    network = Fixed(vectors(0), vectors(1))
    SimCLR(least_area=0.7).loss(network, {"image": images(5)})
    assert asked == [0.7, 0.7]
    assert [torch.equal(seen, images(5) + at) for at, seen in enumerate(network.seen, 1)] == [True, True]


def test_its_projector_is_as_wide_as_asked_for():
    network = SimCLR(hidden=20, outputs=7).build(FLAT)
    assert [layer.weight.shape for layer in (network.head[0], network.head[-1])] == [(20, 64), (7, 20)]
    assert network(images()).shape == (4, 7)


def test_of_the_coldest_temperature_that_is_allowed_the_loss_is_finite():
    same = vectors(0)
    loss = SimCLR(temperature=COLDEST).loss(Fixed(same, same), {"image": images(5)})
    assert float(loss) == pytest.approx(0.0, abs=1e-3)
