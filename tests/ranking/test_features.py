"""The pass over the cases, the cache by content, and the source's own head."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from acnorm.data.loading import PreparedData, load_data
from acnorm.errors import UserError
from acnorm.models.sources import Network, build_network
from acnorm.ranking import features as module
from acnorm.ranking.features import features_key, features_of, source_probabilities
from tiny_runs import NETWORK, checkpoint, eyes, spread_norms


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return load_data(eyes(tmp_path_factory.mktemp("features") / "eyes.npz", cases=40))


def network(name: str = NETWORK, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    built = build_network(name, classes=2, channels=3)
    spread_norms(built.module)
    return built


def test_features_are_the_input_of_the_head_in_eval_mode_case_by_case(data: PreparedData):
    built = network("tiny_runs:dropping")
    found, cached = features_of(built, data.train)
    assert (found.dtype, cached) == (np.float32, False)
    whole = copy.deepcopy(built.module).eval()
    whole.fc = nn.Identity()
    for row in range(len(data.train)):
        expected = whole(data.train[0, row]["image"][None])[0]
        assert found[row] == pytest.approx(expected.detach().numpy(), abs=1e-5)


def test_the_network_is_left_as_it_was(data: PreparedData):
    built = network()
    built.module.train()
    built.module.bn1.eval()
    before = copy.deepcopy(built.module.state_dict())
    features_of(built, data.train)
    assert built.module.training
    assert not built.module.bn1.training
    assert all(torch.equal(value, before[name]) for name, value in built.module.state_dict().items())
    assert not built.module.fc._forward_pre_hooks
    assert all(parameter.grad is None for parameter in built.module.parameters())


def test_volumes_give_features_too(tmp_path: Path):
    draw, parts = np.random.default_rng(0), {}
    for split, cases in (("train", 6), ("val", 4), ("test", 4)):
        parts[f"{split}_images"] = draw.integers(0, 255, (cases, 16, 16, 16)).astype(np.uint8)
        parts[f"{split}_labels"] = (np.arange(cases) % 2)[:, None]
    np.savez(tmp_path / "nodules.npz", **parts)
    data = load_data(tmp_path / "nodules.npz")
    torch.manual_seed(0)
    built = build_network("monai/resnet10", classes=2, channels=data.preprocessing.channels, dimensions=3)
    assert features_of(built, data.train)[0].shape == (6, 512)


def test_the_cache_gives_the_same_without_a_pass(data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first, cached = features_of(network(), data.train, tmp_path / "new")
    assert not cached
    assert [file.suffix for file in (tmp_path / "new").iterdir()] == [".safetensors"]
    monkeypatch.setattr(module, "_pass", lambda *_: pytest.fail("a pass"))
    second, cached = features_of(network(), data.train, tmp_path / "new")
    assert cached
    assert np.array_equal(first, second)


@pytest.mark.parametrize("broken", [b"", b"no safetensors", None])
def test_a_broken_file_of_the_cache_is_made_anew(data: PreparedData, tmp_path: Path, broken: bytes | None):
    first, _ = features_of(network(), data.train, tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-40] if broken is None else broken)
    second, cached = features_of(network(), data.train, tmp_path)
    assert not cached
    assert np.array_equal(first, second)
    assert features_of(network(), data.train, tmp_path)[1]


def test_the_key_depends_on_all_that_features_depend_on_and_on_nothing_else(
    data: PreparedData, monkeypatch: pytest.MonkeyPatch
):
    key = features_key(network(), data.train)
    headless = network()
    nn.init.zeros_(headless.module.fc.weight)
    assert features_key(headless, data.train) == key
    others = [
        features_key(network(seed=1), data.train),
        features_key(network("tiny_runs:dropping"), data.train),
        features_key(network(), data.val),
    ]
    moved = network()
    moved.module.bn2.running_var[3] += 1e-3
    others.append(features_key(moved, data.train))
    seen = copy.copy(data.train)
    seen.preprocessing = dataclasses.replace(seen.preprocessing, mean=(0.1, 0.2, 0.3))
    others.append(features_key(network(), seen))
    turned = copy.copy(data.train)
    turned.cases = turned.cases[::-1]
    others.append(features_key(network(), turned))
    monkeypatch.setattr(module, "__version__", "0.0.0")
    others.append(features_key(network(), data.train))
    assert len({key, *others}) == len(others) + 1


def test_a_head_that_looks_at_several_places_gives_their_mean(data: PreparedData):
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(images.flatten(2).mT).mean(dim=1)

    built = dataclasses.replace(network(), module=Tokens(), head="head")
    images = torch.stack([data.train[0, row]["image"] for row in range(len(data.train))])
    assert features_of(built, data.train)[0] == pytest.approx(images.mean(dim=(2, 3)).numpy(), abs=1e-5)


def test_a_head_that_is_not_used_is_refused(data: PreparedData):
    built = network()
    built.module.spare = nn.Linear(8, 2)
    told = r"^--model tiny_runs:tiny: its head spare is not called once on all images; no features can be read\.$"
    with pytest.raises(UserError, match=told):
        features_of(dataclasses.replace(built, head="spare"), data.train)


def test_the_sources_own_head_gives_probabilities(data: PreparedData, tmp_path: Path):
    file = checkpoint(tmp_path / "a.pth", classes=5)
    built = network()
    features = np.random.default_rng(0).normal(size=(7, 8)).astype(np.float32)
    found = source_probabilities(built, file, features)
    state = torch.load(file, weights_only=True)["state_dict"]
    logits = features @ state["module.fc.weight"].numpy().T + state["module.fc.bias"].numpy()
    assert found == pytest.approx(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), abs=1e-6)


@pytest.mark.parametrize("classes", [0, 1])
def test_a_file_without_a_head_of_two_classes_gives_none(tmp_path: Path, classes: int):
    state = network().module.state_dict()
    del state["fc.bias"]
    state["fc.weight"] = torch.zeros(classes, 8)
    if not classes:
        del state["fc.weight"]
    torch.save(state, tmp_path / "a.pth")
    assert source_probabilities(network(), tmp_path / "a.pth", np.zeros((3, 8), np.float32)) is None
