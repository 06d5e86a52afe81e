from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from acnorm.training.slices import mean_over_slices


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.booleans(), st.integers(0, 99))
def test_probabilities_are_the_mean_of_those_of_the_slices(
    cases: int, slices: int, classes: int, several: bool, seed: int
):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, classes)).double()
    images = 3 * torch.randn(cases, slices, 1, 2, 2, dtype=torch.float64)
    found = mean_over_slices(network, images, several=several)
    for case in range(cases):
        each = [network(part[None])[0] for part in images[case]]
        mean = sum(logits.sigmoid() if several else logits.softmax(0) for logits in each) / slices
        torch.testing.assert_close(found[case].sigmoid() if several else found[case].softmax(0), mean)


def test_logits_that_are_sure_stay_finite():
    network = nn.Flatten()
    images = torch.tensor([[[[[200.0, -200.0]]], [[[200.0, -200.0]]]]])
    for several in (False, True):
        found = mean_over_slices(network, images, several=several)
        assert bool(found.isfinite().all())
        assert found.argmax() == 0
