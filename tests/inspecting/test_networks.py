"""Networks of a run and what they answer: against hooks by hand, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from acnorm.errors import UserError
from acnorm.inspecting.folders import InspectedRun, read_runs
from acnorm.inspecting.networks import activations, data_of, features, prepared, source_network
from acnorm.models.sources import build_network
from tiny_runs import NETWORK, TinyNet, spread_norms


@pytest.fixture(scope="module")
def run(runs: dict[str, Path]) -> InspectedRun:
    return read_runs([runs["near acnorm 0"]], model=NETWORK)[0]


def tiny() -> TinyNet:
    torch.manual_seed(0)
    made = TinyNet(2, 3)
    spread_norms(made)
    return made.eval()


def test_activations_are_what_the_layers_give():
    network, images = tiny(), torch.rand(5, 3, 16, 16)
    found = activations(network, ["bn1", "bn2"], images, places=10**6)
    with torch.no_grad():
        first = network.bn1(network.conv1(images))
        second = network.bn2(network.conv2(first.relu()))
    for name, expected in (("bn1", first), ("bn2", second)):
        rows = expected.flatten(2).movedim(1, 2).flatten(0, 1).numpy()
        assert found[name].shape == rows.shape
        order = np.lexsort(found[name].T), np.lexsort(rows.T)
        assert np.allclose(found[name][order[0]], rows[order[1]], atol=1e-6)


def test_two_networks_are_looked_at_in_the_same_places():
    network, images = tiny(), torch.rand(70, 3, 16, 16)
    one = activations(network, ["bn1"], images, places=7)["bn1"]
    assert one.shape == (490, 6)
    assert (activations(network, ["bn1"], images, places=7)["bn1"] == one).all()
    assert not (activations(network, ["bn1"], images, places=7, seed=1)["bn1"] == one).all()
    order = torch.arange(69, -1, -1)
    turned = activations(network, ["bn1"], images[order], places=7)["bn1"]
    assert np.allclose(turned.reshape(70, 7, 6)[::-1], one.reshape(70, 7, 6), atol=1e-6)


def test_vectors_have_one_place_and_layer_norm_is_left_out():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.LayerNorm(4))
    assert {name: value.shape for name, value in activations(network, ["1", "2"], torch.rand(6, 3)).items()} == {
        "1": (6, 4)
    }


def test_features_are_mean_and_deviation_of_the_heads_input():
    network = build_network(NETWORK, classes=2, channels=3)
    images = torch.rand(9, 3, 16, 16)
    inputs: list[torch.Tensor] = []
    network.module.fc.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    with torch.no_grad():
        network.module.eval()(images)
    expected = inputs[0].double()
    found = features(network, images)
    assert np.allclose(found, torch.cat([expected.mean(0), expected.std(0, correction=0)]).numpy(), atol=1e-6)
    assert not network.module.fc._forward_pre_hooks.keys() - {next(iter(network.module.fc._forward_pre_hooks))}


def test_the_source_is_the_checkpoint_on_the_runs_images(run: InspectedRun):
    module, trained = source_network(run.config, run.shipped, run.source)
    state = torch.load(run.config.weights, weights_only=True)["state_dict"]
    assert trained == ("bn1", "bn2")
    assert torch.equal(module.conv2.weight, state["module.conv2.weight"])
    assert not module.training


def test_a_source_that_is_gone_or_another_is_told(run: InspectedRun, tmp_path: Path):
    with pytest.raises(UserError, match=r"is another file than the run began with$"):
        source_network(run.config, run.shipped, "0" * 64)
    with pytest.raises(UserError, match="it began with random weights, not with a checkpoint"):
        source_network(replace(run.config, weights=None, method="vanilla"), run.shipped, "")
    with pytest.raises(UserError, match="gone.pth"):
        source_network(replace(run.config, weights=str(tmp_path / "gone.pth")), run.shipped, "")


def test_images_are_brought_to_the_network_as_in_the_run(run: InspectedRun):
    cases = data_of(run.config, run.folder).test.cases[:4]
    images = prepared(cases, run.shipped.preprocessing)
    assert images.shape == (4, 3, 16, 16)
    with pytest.raises(UserError, match="has 2 axes, 3 are needed; give volumes, or a folder for each DICOM series"):
        prepared(cases, replace(run.shipped.preprocessing, dimensions=3, mean=(0.0,) * 3))
