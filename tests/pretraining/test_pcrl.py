from __future__ import annotations

import pytest
import torch

from acnorm.pretraining.pcrl import PreservationalContrast
from acnorm.pretraining.simclr import SimCLR
from pretraining_setups import DEEP, FLAT, Fixed, images, vectors


@pytest.mark.parametrize(("restoring", "temperature"), [(0.5, 0.5), (0.0, 0.1)])
def test_it_is_contrast_plus_restoration(monkeypatch: pytest.MonkeyPatch, restoring: float, temperature: float):
    for name in ("mirrored", "recoloured", "distorted"):
        monkeypatch.setattr(f"acnorm.pretraining.pcrl.{name}", lambda given: given)
    asked: list[float] = []
    monkeypatch.setattr("acnorm.pretraining.pcrl.cropped", lambda given, least: asked.append(least) or given)
    restored, first, second = torch.zeros(5, 1, 32, 32), vectors(0), vectors(1)
    contrast = SimCLR(temperature=temperature).loss(Fixed(first, second), {"image": images(5)})
    pretext = PreservationalContrast(restoring=restoring, temperature=temperature, least_area=0.6)
    found = pretext.loss(Fixed((restored, first), (restored, second)), {"image": images(5)})
    wanted = float(contrast) + restoring * float(images(5).square().mean())
    assert float(found) == pytest.approx(wanted, rel=1e-5)
    assert asked == [0.6, 0.6]


def test_the_network_restores_the_view_before_it_was_distorted(monkeypatch: pytest.MonkeyPatch):
    for name in ("cropped", "recoloured", "mirrored"):
        monkeypatch.setattr(f"acnorm.pretraining.pcrl.{name}", lambda given, *_: given)
    monkeypatch.setattr("acnorm.pretraining.pcrl.distorted", lambda given: given + 1)
    network = Fixed((images(5), vectors(0)), (images(5), vectors(1)))
    with_error = PreservationalContrast().loss(network, {"image": images(5)})
    contrast = SimCLR().loss(Fixed(vectors(0), vectors(1)), {"image": images(5)})
    assert all(torch.equal(seen, images(5) + 1) for seen in network.seen)
    assert float(with_error) == pytest.approx(float(contrast), rel=1e-5)  # restored as they were: no error


@pytest.mark.parametrize("blueprint", [FLAT, DEEP])
def test_the_two_answers_have_the_sizes_asked_for(blueprint):
    network = PreservationalContrast(hidden=20, outputs=7).build(blueprint)
    given = images(2, side=32, dimensions=blueprint.dimensions)
    restored, seen = network(given)
    assert restored.shape == given.shape
    assert seen.shape == (2, 7)
    assert network.training
