"""The gradient ratio against gradients taken apart, and what it leaves alone."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from acnorm.ranking.gradient_ratio import gradient_ratio, triplet_loss
from acnorm.ranking.inputs import NotDefined
from networks import trained

IMAGES = torch.randn(12, 1, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(12) % 3


def loss_by_hand(features: Tensor, labels: Tensor) -> Tensor:
    rows, terms = [row / row.norm() for row in features], []
    for a in range(len(rows)):
        for p in range(len(rows)):
            for n in range(len(rows)):
                if a != p and labels[a] == labels[p] != labels[n]:
                    terms.append(torch.relu((rows[a] - rows[p]).norm() - (rows[a] - rows[n]).norm() + 1))
    return torch.stack(terms).mean()


def test_the_loss_is_the_mean_over_all_triplets():
    features = torch.randn(8, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 1])
    assert float(triplet_loss(features, labels)) == pytest.approx(float(loss_by_hand(features, labels)), abs=1e-9)


def test_the_ratio_is_that_of_the_gradients_by_finite_differences():
    network = trained(dtype=torch.float64)
    whole = deepcopy(network).eval()
    whole.head = nn.Identity()
    norms = []
    for kernel in (whole.conv1.weight, whole.conv2.weight):
        gradient = torch.zeros(kernel.numel(), dtype=torch.float64)
        for at in range(0, kernel.numel(), max(1, kernel.numel() // 40)):
            losses = []
            for step in (1e-6, -1e-6):
                with torch.no_grad():
                    kernel.view(-1)[at] += step
                    losses.append(float(triplet_loss(whole(IMAGES), LABELS)))
                    kernel.view(-1)[at] -= step
            gradient[at] = (losses[0] - losses[1]) / 2e-6
        exact = torch.autograd.grad(triplet_loss(whole(IMAGES), LABELS), kernel)[0].view(-1)
        tried = gradient != 0
        assert exact[tried].tolist() == pytest.approx(gradient[tried].tolist(), rel=1e-3, abs=1e-7)
        norms.append(float(exact.norm()))
    assert gradient_ratio(network, "head", IMAGES, LABELS) == pytest.approx(norms[1] / norms[0], rel=1e-9)


def test_the_order_of_cases_and_the_head_do_not_matter():
    network = trained(dtype=torch.float64)
    before = gradient_ratio(network, "head", IMAGES, LABELS)
    nn.init.normal_(network.head.weight)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    assert gradient_ratio(network, "head", IMAGES[order], LABELS[order]) == pytest.approx(before, rel=1e-9)


def test_the_network_is_left_as_it_was():
    network = trained(dtype=torch.float64).train()
    network.bn1.eval()
    network.conv1.weight.requires_grad_(False)
    before = deepcopy(network.state_dict())
    gradient_ratio(network, "head", IMAGES, LABELS)
    assert network.training
    assert not network.bn1.training
    assert not network.conv1.weight.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.head._forward_pre_hooks


def test_what_has_no_ratio_is_refused():
    network = trained(dtype=torch.float64)
    with pytest.raises(NotDefined, match=r"^no two cases of one class lie beside one of another in the batch$"):
        gradient_ratio(network, "head", IMAGES, torch.zeros(12, dtype=torch.int64))
    with pytest.raises(NotDefined, match=r"^a case may show several classes$"):
        gradient_ratio(network, "head", IMAGES, torch.zeros(12, 2))
    with pytest.raises(NotDefined, match=r"^the network has fewer than two convolutions$"):
        gradient_ratio(nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).double(), "1", IMAGES, LABELS)
    nn.init.zeros_(network.bn1.weight)
    nn.init.zeros_(network.conv2.weight)
    with pytest.raises(NotDefined, match=r"^the triplet loss has no gradient at the first convolution$"):
        gradient_ratio(network, "head", IMAGES, LABELS)
