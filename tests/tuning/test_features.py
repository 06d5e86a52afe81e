"""Features are kept only inside the block, of every kind of network, and what is kept is what was computed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from acnorm.models.genesis import GenesisUNet
from acnorm.tuning.features import head_inputs, outputs_of, pooled
from acnorm.tuning.stages import taps_of
from tuning_setups import MAKERS, batch_of, network_of

kinds = pytest.mark.parametrize("kind", MAKERS)


def hooks(network: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())


@kinds
def test_the_head_is_given_what_is_kept(kind: str):
    made = network_of(kind)
    network, images = made.module.eval(), batch_of(kind)["image"]
    with head_inputs(network, made.head) as found:
        output = network(images)
    (features,) = found
    assert hooks(network) == 0
    if "segmenter" in kind:
        assert torch.equal(features, network.features(images)[-1])
    else:
        assert torch.equal(network.get_submodule(made.head)(features), output)


@kinds
def test_the_stages_outputs_are_kept(kind: str):
    made = network_of(kind)
    network, images = made.module.eval(), batch_of(kind)["image"]
    with outputs_of(network, taps_of(made)) as found:
        network(images)
    assert list(found) == list(taps_of(made))
    assert all(value.ndim == images.ndim for value in found.values())
    assert hooks(network) == 0
    if "segmenter" in kind:
        assert torch.equal(found[taps_of(made)[-1]], network.features(images)[-1])


def test_nothing_is_left_where_the_forward_fails():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    for watch in (outputs_of(network, ["0"]), head_inputs(network, "1")):
        with pytest.raises(RuntimeError, match="shapes"), watch:
            network(torch.zeros(1, 3))
    assert hooks(network) == 0


def test_a_head_that_is_a_container_is_watched_at_its_first_layer():
    network = GenesisUNet(2, 1).eval()
    with head_inputs(network, "out_tr") as found:
        network(torch.zeros(1, 1, 8, 8, 8))
    assert [value.shape for value in found] == [(1, 64, 8, 8, 8)]


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)])
def test_pooling_is_the_mean_over_space(shape: tuple[int, ...]):
    values = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(pooled(values), values.reshape(2, 3, -1).mean(2))
