from __future__ import annotations

import torch
from torch.nn import functional

from acnorm.pretraining.projection import Projected, projector
from pretraining_setups import FLAT, images, vectors


def test_a_projector_is_two_linear_layers_with_relu_between():
    layers = projector(3, 5, 2, norm=False).double()
    given = vectors(0)
    wanted = functional.relu(given @ layers[0].weight.T + layers[0].bias) @ layers[2].weight.T + layers[2].bias
    assert torch.allclose(layers(given), wanted)


def test_with_a_norm_the_middle_is_normalised_over_the_batch():
    layers = projector(3, 5, 2).double().train()
    middle = layers[1](layers[0](vectors(0, cases=200)))
    assert layers[0].bias is None  # the norm would take it out
    assert torch.allclose(middle.mean(dim=0), torch.zeros(5, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(middle.std(dim=0, correction=0), torch.ones(5, dtype=torch.float64), atol=1e-2)


def test_projections_are_those_of_the_encoder_s_features():
    torch.manual_seed(0)
    network = Projected(FLAT.encoder(), 16, 8).eval()
    with torch.no_grad():
        assert torch.equal(network(images()), network.head(network.encoder(images())))
