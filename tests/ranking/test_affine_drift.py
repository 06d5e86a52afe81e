from __future__ import annotations

import numpy as np
import pytest
import torch

from acnorm.core.census import acnorm_layers
from acnorm.core.convert import convert
from acnorm.ranking.affine_drift import affine_drift
from networks import ToyNet, move, trained


def test_it_is_the_mean_over_layers_of_the_mean_move_of_the_ratios():
    model = move(convert(trained(dtype=torch.float64)))
    means = []
    for layer in acnorm_layers(model).values():
        target = layer.bias.detach() / (layer.weight.detach().abs() + 1e-5)
        source = layer.source_bias / (layer.source_weight.abs() + 1e-5)
        means.append(np.abs((target - source).numpy()).mean())
    assert affine_drift(model) == pytest.approx(np.mean(means), rel=1e-10)


def test_a_network_that_did_not_move_has_none():
    assert affine_drift(convert(trained())) == 0.0


def test_a_plain_network_is_refused():
    with pytest.raises(ValueError, match=r"^the model holds no AC-Norm layer; convert it before the probe\.$"):
        affine_drift(ToyNet())
