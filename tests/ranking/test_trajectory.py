"""Reading a probe on its way is the same as probing for each length."""

from __future__ import annotations

import pytest
import torch

from acnorm.core.convert import convert
from acnorm.data.loading import load_data
from acnorm.errors import UserError
from acnorm.models.sources import Network, build_network
from acnorm.ranking.ac_corr import ac_corr
from acnorm.ranking.affine_drift import affine_drift
from acnorm.ranking.probed import probed
from acnorm.ranking.trajectory import Reading, mean_of, read_layers, steps_of, trajectory
from tiny_runs import NETWORK, eyes, spread_norms


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory):
    return load_data(eyes(tmp_path_factory.mktemp("trajectory") / "eyes.npz", cases=40)).train


def network(seed: int) -> tuple[Network, list[str] | None]:
    torch.manual_seed(seed)
    built = build_network(NETWORK, classes=2, channels=3)
    spread_norms(built.module)
    return built, None


def test_each_length_is_a_probe_of_its_own(train):
    found = trajectory(network, train, range(2, 4), ["2", "1", "epoch", "2epochs"], batch_size=8)
    alone = {
        "1": probed(network, train, range(2, 4), steps=1, batch_size=8),
        "2": probed(network, train, range(2, 4), steps=2, batch_size=8),
        "epoch": probed(network, train, range(2, 4), epochs=1, batch_size=8),
        "2epochs": probed(network, train, range(2, 4), epochs=2, batch_size=8),
    }
    assert list(found) == ["2", "1", "epoch", "2epochs"]
    for length, readings in found.items():
        assert [reading.paper for reading in readings] == pytest.approx(list(alone[length].paper), rel=1e-12)
        assert [reading.per_channel for reading in readings] == pytest.approx(
            list(alone[length].per_channel), rel=1e-12
        )
        assert [reading.drift for reading in readings] == pytest.approx(list(alone[length].drift), rel=1e-12)
    assert found["1"] != found["2"] != found["epoch"] != found["2epochs"]


def test_equal_lengths_read_the_same(train):
    found = trajectory(network, train, range(1), ["epoch", "4"])  # 25 cases, a batch of 64: one step an epoch
    assert found["epoch"] == trajectory(network, train, range(1), ["1"])["1"]
    assert found["4"] != found["epoch"]


def test_layers_add_up_to_the_scores():
    built, _ = network(0)
    module = convert(built.module)
    module.bn1.norm.bias.data += 0.3
    reading, score = read_layers(module), ac_corr(module)
    assert list(reading.sums) == ["bn1", "bn2"]
    assert reading.paper == pytest.approx(score.paper, rel=1e-12)
    assert reading.per_channel == pytest.approx(score.per_channel, rel=1e-12)
    assert reading.drift == pytest.approx(affine_drift(module), rel=1e-12)
    assert reading.sums["bn1"] == pytest.approx(ac_corr(module, "bn1").paper, rel=1e-12)
    assert reading.drifts["bn1"] > reading.drifts["bn2"] == 0


def test_the_mean_over_seeds_is_that_of_each_layer():
    one = Reading({"a": 1.0, "b": 2.0}, {"a": 4, "b": 8}, {"a": 0.0, "b": 1.0})
    other = Reading({"a": 3.0, "b": 6.0}, {"a": 4, "b": 8}, {"a": 1.0, "b": 2.0})
    mean = mean_of([one, other])
    assert mean == Reading({"a": 2.0, "b": 4.0}, {"a": 4, "b": 8}, {"a": 0.5, "b": 1.5})
    assert mean.paper == (one.paper + other.paper) / 2


@pytest.mark.parametrize("length", ["0", "x", "-1", "1.5", "0epochs", "epoch3", ""])
def test_other_lengths_are_refused(length: str):
    with pytest.raises(
        UserError,
        match=f"^--ac-corr-steps: {length!r} is no length; give steps from 1, or epoch, or several such as 3epochs\\.$",
    ):
        steps_of(length, 4)
