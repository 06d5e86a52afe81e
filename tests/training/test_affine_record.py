"""affine.safetensors: what each epoch left in the norm layers, the same however often a run was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from acnorm.core.convert import convert
from acnorm.errors import UserError
from acnorm.training.affine_record import (
    RECORD,
    affines_of,
    read_trajectory,
    stride,
    write_trajectory,
)
from acnorm.tuning.stochnorm import StochNorm, StochNormTuning
from tiny_runs import TinyNet, spread_norms, weights_of


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    made = TinyNet(2, 3)
    spread_norms(made)
    return made


@pytest.mark.parametrize("method", ["vanilla", "acnorm"])
def test_a_run_records_its_start_and_each_epoch(request: pytest.FixtureRequest, folder: Path, method: str):
    run = request.getfixturevalue(method)
    record = read_trajectory(run / RECORD)
    source = torch.load(folder / "weights.pth", weights_only=True)["state_dict"]
    last = weights_of(run)
    assert record.epochs == (0, 1, 2, 3)
    assert record.layers == ("bn1", "bn2")
    for layer in record.layers:
        wrapped = f"{layer}.norm" if method == "acnorm" else layer
        for part, rows in (("weight", record.weights), ("bias", record.biases)):
            assert torch.equal(rows[layer][0], source[f"module.{layer}.{part}"])
            assert torch.equal(rows[layer][-1], last[f"network.{wrapped}.{part}"])
            assert not torch.equal(rows[layer][1], rows[layer][2])


def test_layers_go_by_their_plain_names_in_any_wrapper(network: nn.Module):
    plain = affines_of(network)
    assert list(plain) == ["bn1", "bn2"]
    stochastic = affines_of(StochNormTuning().prepare(network, {"bn1", "bn2"}))
    assert isinstance(network.bn1, StochNorm)
    network.bn1, network.bn2 = network.bn1.norm, network.bn2.norm
    for other in (stochastic, affines_of(convert(network))):
        assert list(other) == ["bn1", "bn2"]
        assert all(
            torch.equal(value, also) for name in plain for value, also in zip(plain[name], other[name], strict=True)
        )


def test_a_layer_that_is_called_norm_keeps_its_name():
    block = nn.Sequential()
    block.add_module("norm", nn.BatchNorm2d(4))
    assert list(affines_of(nn.Sequential(block))) == ["0.norm"]


def test_what_is_recorded_does_not_change_with_the_network(network: nn.Module):
    kept = affines_of(network)["bn1"][0].clone()
    found = affines_of(network)["bn1"][0]
    network.bn1.weight.data.zero_()
    assert torch.equal(found, kept)


@pytest.mark.parametrize("row", [8, 1000, 5504, 2**20, 2**23, 2**25])
@pytest.mark.parametrize("epochs", [1, 2, 20, 97, 1000])
def test_the_file_stays_below_its_limit(row: int, epochs: int):
    limit = 2**24
    every = stride(row, epochs, limit)
    kept = {epoch for epoch in range(epochs + 1) if epoch % every == 0} | {epochs}
    assert len(kept) <= max(2, limit // row)
    assert every == 1 or (epochs + 1) * row > limit


@pytest.mark.parametrize("broken", [b"", b"not tensors"])
def test_a_damaged_record_is_named(tmp_path: Path, broken: bytes):
    (tmp_path / RECORD).write_bytes(broken)
    with pytest.raises(UserError, match=r"affine\.safetensors: is damaged \(.+\); delete it to go without it\.$"):
        read_trajectory(tmp_path / RECORD)


def test_another_safetensors_file_is_no_record(folder: Path, tmp_path: Path):
    affine = (torch.ones(4), torch.zeros(4))
    write_trajectory(tmp_path / RECORD, [(0, {"a b": affine}), (2, {"a b": affine})])
    read = read_trajectory(tmp_path / RECORD)
    assert (read.epochs, read.layers) == ((0, 2), ("a b",))
    from safetensors.torch import save_file

    save_file(
        {"epoch": torch.arange(3), "a.weight": torch.ones(2, 4), "a.bias": torch.ones(2, 4)},
        tmp_path / RECORD,
        metadata={"layers": '["a"]'},
    )
    with pytest.raises(UserError, match="its layers have other epochs"):
        read_trajectory(tmp_path / RECORD)
