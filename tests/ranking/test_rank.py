from __future__ import annotations

from pathlib import Path

import pytest
import torch

from acnorm.data.phantoms import fundus_phantoms
from acnorm.errors import UserError
from acnorm.models.cifar import CifarResNet
from acnorm.ranking.rank import rank


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rank")
    fundus_phantoms(folder / "eyes.npz", domain="target", cases=60, size=16, seed=0)
    torch.manual_seed(0)
    for name, spread in (("a", 0.3), ("b", 1.0), ("fresh", 0.0)):
        source = CifarResNet(20)
        for layer in source.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(layer.bias, std=spread)
        torch.save(source.state_dict(), folder / f"{name}.pth")
    return folder


def candidates(folder: Path, *names: str, **settings):
    files = [folder / f"{name}.pth" for name in names]
    return rank(data=folder / "eyes.npz", model="cifar/resnet20", weights=files, probe_seeds=2, **settings)


def test_scores_are_repeatable_and_ordered(folder: Path):
    first, second = candidates(folder, "a", "b"), candidates(folder, "b", "a")
    assert [item.weights for item in first.candidates] == [item.weights for item in second.candidates]
    assert [item.paper for item in first.candidates] == [item.paper for item in second.candidates]
    assert first.candidates[0].paper >= first.candidates[1].paper > 0
    assert 0 < first.candidates[0].per_channel <= 1
    assert "one optimiser step" in first.protocol


def test_random_initialisation_gets_no_score(folder: Path):
    ranking = candidates(folder, "fresh", "a")
    assert ranking.candidates[-1].paper is None
    assert "constant over channels: not trained" in ranking.candidates[-1].refused
    assert ranking.tied == (str(folder / "a.pth"),)


def test_probe_epochs_change_the_protocol(folder: Path):
    ranking = candidates(folder, "a", probe_epochs=1)
    assert ranking.protocol.startswith("1 epoch of SGD")


def test_refusals(folder: Path):
    with pytest.raises(UserError, match="--weights: give the candidate checkpoints"):
        candidates(folder)
    with pytest.raises(UserError, match="is given twice; give each candidate once"):
        candidates(folder, "a", "a")
    with pytest.raises(UserError, match="--probe-epochs is 0, must be 1 or more"):
        candidates(folder, "a", probe_epochs=0)
    with pytest.raises(UserError, match="no such file"):
        candidates(folder, "a", "nowhere")


def test_one_file_is_one_candidate(folder: Path):
    ranking = rank(data=folder / "eyes.npz", model="cifar/resnet20", weights=str(folder / "a.pth"), probe_seeds=1)
    assert [item.weights for item in ranking.candidates] == [str(folder / "a.pth")]
    assert ranking.candidates[0].loaded == 1.0
