from __future__ import annotations

import pytest
import torch

from acnorm.pretraining.barlow_twins import BarlowTwins
from pretraining_setups import FLAT, Fixed, images, vectors


@pytest.mark.parametrize("redundancy", [5e-3, 0.5])
def test_the_loss_is_the_paper_s_sum_over_the_number_of_features(redundancy: float):
    first, second = vectors(0, 8), vectors(1, 8)
    zero, one = ((part - part.mean(0)) / part.std(0) for part in (first, second))
    correlation = zero.T @ one / 8
    total = sum(
        (1 - float(correlation[i, i])) ** 2 if i == j else redundancy * float(correlation[i, j]) ** 2
        for i in range(3)
        for j in range(3)
    )
    found = BarlowTwins(outputs=3, redundancy=redundancy).loss(Fixed(first, second), {"image": images(8)})
    assert float(found) == pytest.approx(total / 3, rel=1e-4)


def test_two_views_are_compared_in_a_space_as_wide_as_asked_for():
    torch.manual_seed(0)
    pretext = BarlowTwins(hidden=20, outputs=7)
    network = pretext.build(FLAT)
    assert network(images()).shape == (4, 7)
    assert network.head[0].weight.shape == (20, 64)
    spy = Fixed(vectors(0, width=7), vectors(1, width=7))
    pretext.loss(spy, {"image": images(5)})
    assert not torch.equal(*spy.seen)
