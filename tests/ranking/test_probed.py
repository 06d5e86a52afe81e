from __future__ import annotations

import pytest
import torch

from acnorm.core.convert import convert
from acnorm.data.loading import load_data
from acnorm.errors import UserError
from acnorm.models.sources import Network, build_network
from acnorm.ranking.ac_corr import ac_corr
from acnorm.ranking.affine_drift import affine_drift
from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.probe import probe
from acnorm.ranking.probed import probed
from tiny_runs import NETWORK, eyes, spread_norms


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory):
    return load_data(eyes(tmp_path_factory.mktemp("probed") / "eyes.npz", cases=40)).train


def network(seed: int, spread: bool = True) -> tuple[Network, list[str] | None]:
    torch.manual_seed(seed)
    built = build_network(NETWORK, classes=2, channels=3)
    if spread:
        spread_norms(built.module)
    return built, None


def test_each_seed_is_one_probe(train):
    found = probed(network, train, range(4, 6), steps=2)
    for at, seed in enumerate((4, 5)):
        built, _ = network(seed)
        module = convert(built.module)
        probe(module, built.head, train, seed=seed, steps=2)
        score = ac_corr(module)
        assert (found.paper[at], found.per_channel[at], found.drift[at]) == (
            score.paper,
            score.per_channel,
            affine_drift(module),
        )
    assert len(found.paper) == 2


def test_what_was_not_trained_is_refused(train):
    with pytest.raises(NotDefined, match="constant over channels: not trained"):
        probed(lambda seed: network(seed, spread=False), train, range(1))

    def hardly(seed: int) -> tuple[Network, list[str] | None]:
        built, _ = network(seed, spread=False)
        built.module.bn1.bias.data[0] = built.module.bn2.bias.data[0] = 1e-4
        return built, None

    with pytest.raises(
        NotDefined, match=r"^its affine ratios hardly differ \(median spread 3\.\de-05\): it looks untrained$"
    ):
        probed(hardly, train, range(1))


def test_a_pattern_without_a_layer_is_refused_before_the_probe(train, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("acnorm.ranking.probed.probe", lambda *_, **__: pytest.fail("a probe"))
    with pytest.raises(UserError, match=r"^--layers: no AC-Norm layer matches 'layer\*'; there are bn1, bn2\.$"):
        probed(network, train, range(1), layers="layer*")


def test_the_same_seeds_give_the_same(train):
    assert probed(network, train, range(1)) == probed(network, train, range(1))
