"""The facts told of a file are those of the network that it was made from."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from acnorm.checkpoints.doctor import CheckpointFacts, examine
from acnorm.checkpoints.read import read_checkpoint


def facts_of(folder: Path, module: nn.Module, candidates=()) -> CheckpointFacts:
    torch.save(module.state_dict(), folder / "a.pth")
    return examine(read_checkpoint(folder / "a.pth"), candidates)


def network(*, trained: bool = True, sides: int = 2) -> nn.Module:
    convolution, norm = ((nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d))[sides - 2]
    module = nn.Sequential(convolution(2, 6, 3), norm(6), nn.GroupNorm(2, 6), nn.Linear(6, 4))
    if trained:
        generator = torch.Generator().manual_seed(0)
        for layer in (module[1], module[2]):
            layer.weight.data = torch.rand(6, generator=generator) + 0.5
            layer.bias.data = torch.randn(6, generator=generator)
    return module


@pytest.mark.parametrize("sides", [2, 3])
def test_dimensions_channels_classes_and_counts(tmp_path: Path, sides: int):
    module = network(sides=sides)
    facts = facts_of(tmp_path, module)
    assert (facts.dimensions, facts.channels, facts.classes) == (sides, 2, 4)
    assert facts.parameters == sum(value.numel() for value in module.state_dict().values())
    assert facts.tensors == len(module.state_dict())
    assert facts.size == (tmp_path / "a.pth").stat().st_size


def test_how_trained_the_norm_layers_look(tmp_path: Path):
    module = network()
    norms = facts_of(tmp_path, module).norms
    assert (norms.layers, norms.running, norms.constant) == (2, 1, 0)
    module.requires_grad_(False)
    layers = [module[1], module[2]]
    ratios = [(layer.bias / layer.weight.abs()).double() for layer in layers]
    assert norms.gamma == pytest.approx(min(float(layer.weight.mean()) for layer in layers), rel=1e-6)
    assert norms.ratio_spread == pytest.approx(min(float(ratio.std(correction=0)) for ratio in ratios), rel=1e-6)


def test_norm_layers_that_were_never_trained_are_counted(tmp_path: Path):
    norms = facts_of(tmp_path, network(trained=False)).norms
    assert (norms.layers, norms.constant, norms.gamma, norms.ratio_spread) == (2, 2, 1.0, 0.0)


def test_a_file_without_convolutions_or_norm_layers(tmp_path: Path):
    facts = facts_of(tmp_path, nn.Linear(3, 2))
    assert (facts.dimensions, facts.channels, facts.norms.layers, facts.norms.gamma) == (None, None, 0, None)


def test_the_network_that_it_was_made_from_is_guessed_first(tmp_path: Path):
    def candidate(depth: int):
        def build(channels: int) -> tuple[nn.Module, str]:
            layers = [nn.Conv2d(channels, 8, 3), *(nn.Conv2d(8, 8, 3) for _ in range(depth)), nn.Flatten()]
            return nn.Sequential(*layers, nn.Linear(8, 2)), str(depth + 2)

        return f"own/net{depth}", 2, build

    made = candidate(3)[2](1)[0]
    made[5] = nn.Linear(8, 7)
    guesses = facts_of(tmp_path, made, [candidate(depth) for depth in (1, 2, 3, 4)]).guesses
    assert (guesses[0].model, guesses[0].share, guesses[0].used) == ("own/net3", 1.0, 1.0)
    assert all(guess.share * guess.used < 1 for guess in guesses[1:])


def test_networks_of_other_dimensions_are_not_built(tmp_path: Path):
    def never(channels: int) -> tuple[nn.Module, str]:
        raise AssertionError

    assert facts_of(tmp_path, network(sides=3), [("own/flat", 2, never)]).guesses == ()


def test_what_is_not_finite_or_does_not_belong_together_is_no_trouble(tmp_path: Path):
    torch.save(
        {
            "a.weight": torch.tensor([torch.nan, 1.0]),
            "a.bias": torch.ones(2),
            "b.weight": torch.ones(3),
            "b.bias": torch.ones(2),
        },
        tmp_path / "a.pth",
    )
    facts = examine(read_checkpoint(tmp_path / "a.pth"))
    assert facts.norms.layers == 1
    assert facts.to_dict()["norms"]["gamma"] is None


def test_the_stem_of_one_channel_in_a_file_without_order(tmp_path: Path):
    save_file({"z.weight": torch.zeros(4, 1, 3, 3), "a.weight": torch.zeros(8, 4, 3, 3)}, tmp_path / "a.safetensors")
    assert examine(read_checkpoint(tmp_path / "a.safetensors")).channels == 1


def test_a_second_network_beside_the_first_does_not_hide_what_the_file_is_for(tmp_path: Path):
    def build(channels: int) -> tuple[nn.Module, str]:
        layers = {"conv": nn.Conv2d(channels, 8, 3), "body": nn.Sequential(*(nn.Conv2d(8, 8, 3) for _ in range(3)))}
        return nn.Sequential(OrderedDict(layers, fc=nn.Linear(8, 2))), "fc"

    own = build(3)[0].state_dict()
    state = {
        f"module.{half}.{name}": value.clone()
        for half in ("encoder_q", "encoder_k", "old")
        for name, value in own.items()
    }
    torch.save(state, tmp_path / "a.pth")
    (guess,) = examine(read_checkpoint(tmp_path / "a.pth"), [("own/net", 2, build)]).guesses
    assert (guess.share, guess.used) == (1.0, 1.0)
    deeper = {name.replace("body.2", f"body.{at}"): value.clone() for at in range(2, 9) for name, value in own.items()}
    torch.save(deeper, tmp_path / "a.pth")  # more layers alike are no second network
    (guess,) = examine(read_checkpoint(tmp_path / "a.pth"), [("own/net", 2, build)]).guesses or [None]
    assert guess is None or guess.used < 0.7


def test_of_the_authors_layers_the_target_affine_is_looked_at(tmp_path: Path):
    affine = {"bn.weight_target": torch.tensor([1.0, 3.0]), "bn.bias_target": torch.tensor([0.0, 3.0])}
    source = {"bn.weight_source": torch.ones(2), "bn.bias_source": torch.zeros(2)}
    torch.save({**source, **affine, "bn.running_mean": torch.zeros(2)}, tmp_path / "a.pth")
    norms = examine(read_checkpoint(tmp_path / "a.pth")).norms
    assert (norms.layers, norms.running, norms.constant, norms.gamma, norms.ratio_spread) == (1, 1, 0, 2.0, 0.5)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int8])
def test_an_affine_that_is_no_real_number_is_none(tmp_path: Path, dtype: torch.dtype):
    torch.save({"a.weight": torch.ones(2).to(dtype), "a.bias": torch.ones(2)}, tmp_path / "a.pth")
    assert examine(read_checkpoint(tmp_path / "a.pth")).norms.layers == 0
