"""Figures of an inspection: many layers, many groups, few epochs."""

from __future__ import annotations

import numpy as np
import pytest

import inspected
from acnorm.inspecting.spaces import SPACES
from acnorm.report import inspection_figures as figures


@pytest.fixture(scope="module")
def found() -> object:
    return inspected.inspection()


def test_every_domain_method_and_layer_is_named(found):
    assert all(name in figures.movement_lines(found.movement) for name in ("eyes", "lungs", "vanilla", "acnorm"))
    maps = figures.movement_maps(found.movement)
    assert all(f"{domain}, {method}" in maps for domain in ("eyes", "lungs") for method in ("vanilla", "acnorm"))
    assert all(layer in figures.alignment(found.alignment) for layer in inspected.LAYERS)
    assert all(
        title in figures.places(found.places, SPACES) for title in ("affine ratios", "features of the same images")
    )


def test_of_many_layers_some_are_named():
    many = inspected.inspection(tuple(f"block{at:03}.bn" for at in range(60)))
    svg = figures.alignment(many.alignment)
    assert "block000.bn" in svg
    assert "block001.bn" not in svg
    assert svg.count(".bn</text>") == 20


def test_of_many_groups_some_are_mapped():
    many = inspected.inspection(domains=tuple(f"domain{at}" for at in range(9)))
    svg = figures.movement_maps(many.movement)
    assert (svg.count(", vanilla</text>"), svg.count(", acnorm</text>")) == (9, 3)


def test_a_start_and_an_end_are_drawn(found):
    ends = found.movement[found.movement["epoch"].isin([0, 3])]
    assert figures.movement_lines(ends).count("<use") > figures.movement_lines(found.movement).count("<use")
    assert "eyes, vanilla" in figures.movement_maps(ends)


def test_what_never_moved_and_what_is_not_defined_is_drawn(found):
    assert "<svg" in figures.movement_maps(found.movement.assign(ratio_median=0.0))
    assert "<svg" in figures.alignment(found.alignment.assign(percentile=np.nan))


def test_one_space_fills_the_sheet(found):
    assert "affine γ and β" not in figures.places(found.places[found.places["space"] == "ratio"], SPACES)
