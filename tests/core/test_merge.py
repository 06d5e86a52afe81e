"""The gradient of the merged affine: I + C with C held constant, for one layer, several, and twice over."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from acnorm.core import correlation
from acnorm.core.correlation import merged_apart, recalibrate
from acnorm.core.merge import merge, merge_together
from networks import paper_correlation, relative_difference


def random_affines(layers: int, channels: int, seed: int) -> Tensor:
    """γ_t, β_t, γ_s and β_s of several layers: [layer, 4, channel]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(layers, 4, channels, generator=generator, dtype=torch.float64) + 0.5


@pytest.mark.parametrize("dense", [True, False])
def test_gradients_of_gradients_and_batches(dense: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(correlation, "DENSE_CHANNELS", 10**6 if dense else 0)
    weight, bias, *source = random_affines(1, 9, seed=8)[0]
    matrix = paper_correlation(weight, bias, *source)
    identity = torch.eye(9, dtype=torch.float64)

    def merged_weight(weight: Tensor) -> Tensor:
        return recalibrate(weight, bias, *source)[0]

    def squares(weight: Tensor) -> Tensor:
        return merged_weight(weight).square().sum()

    rows = torch.func.vmap(torch.func.vjp(merged_weight, weight)[1])(identity)[0]
    assert relative_difference(rows, identity + matrix) < 1e-13
    several = torch.stack((weight, 2 * weight))
    merged = torch.func.vmap(merged_weight)(several)
    assert relative_difference(merged[1], merged_weight(2 * weight)) < 1e-13
    weight.requires_grad_()
    (first,) = torch.autograd.grad(squares(weight), weight, create_graph=True)
    (second,) = torch.autograd.grad(first[0], weight)
    both_ways = (identity + matrix).T @ (identity + matrix)
    assert relative_difference(second, 2 * both_ways[0]) < 1e-12


@pytest.mark.parametrize("dense", [True, False])
def test_several_layers_at_once_are_as_each_alone(dense: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(correlation, "DENSE_CHANNELS", 10**6 if dense else 0)
    values = random_affines(3, 11, seed=2)
    targets = [value.clone().requires_grad_() for value in values[:, :2].flatten(0, 1)]
    merged = merge_together(targets, *merged_apart(values[:, :2], values[:, 2:]))
    upward = torch.randn(4, 11, dtype=torch.float64)
    together = sum((value * up).sum() for value, up in zip(merged[:4], upward, strict=True))
    found = torch.autograd.grad(together, targets, allow_unused=True)
    for at in range(2):
        weight, bias = (value.detach().requires_grad_() for value in targets[2 * at : 2 * at + 2])
        own = merge(weight, bias, *merged_apart(values[at, :2], values[at, 2:]))
        matrix = paper_correlation(*values[at])
        for place, (mine, alone) in enumerate(zip(merged[2 * at : 2 * at + 2], own, strict=True)):
            assert relative_difference(mine.detach(), alone.detach()) < 1e-14
            expected = upward[2 * at + place] + matrix.T @ upward[2 * at + place]
            assert relative_difference(found[2 * at + place], expected) < 1e-13
    assert found[4:] == (None, None)


def test_without_gradient_nothing_is_recorded():
    weight, bias, *source = random_affines(1, 5, seed=1)[0]
    parts = merged_apart(torch.stack((weight, bias)), torch.stack(tuple(source)))
    assert not merge(weight, bias, *parts)[0].requires_grad
    assert merge(weight.requires_grad_(), bias, *parts)[1].requires_grad
    with torch.no_grad():
        assert not merge(weight, bias, *parts)[0].requires_grad
