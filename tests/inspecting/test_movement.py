"""Movement of the affine, against a loop in float64."""

from __future__ import annotations

import numpy as np
import torch

from acnorm.inspecting.movement import movement


def trajectory(rows: int, channels: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(rows, channels, generator=draw), torch.randn(rows, channels, generator=draw)


def test_it_is_what_a_loop_over_channels_gives():
    weights, biases = {}, {}
    for layer, channels in (("bn1", 4), ("bn2", 7)):
        weights[layer], biases[layer] = trajectory(3, channels, channels)
    found = movement(weights, biases, (0, 2, 4), eps=0.1)
    assert list(found["layer"]) == ["bn1"] * 3 + ["bn2"] * 3
    assert list(found["channels"]) == [4] * 3 + [7] * 3
    assert list(found["epoch"]) == [0, 2, 4] * 2
    for row in found.itertuples():
        at = (0, 2, 4).index(row.epoch)
        weight, bias = (values[row.layer].double().numpy() for values in (weights, biases))
        ratios = [[b / (abs(w) + 0.1) for w, b in zip(weight[k], bias[k], strict=True)] for k in (at, 0)]
        moved = [abs(now - before) for now, before in zip(*ratios, strict=True)]
        assert np.isclose(row.ratio, sum(moved) / len(moved))
        assert np.isclose(row.weight, np.mean(np.abs(weight[at] - weight[0])))
        assert np.isclose(row.bias, np.mean(np.abs(bias[at] - bias[0])))
        assert np.isclose(row.ratio_median, np.median(moved))


def test_the_order_of_channels_does_not_matter():
    weight, bias = trajectory(4, 9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    plain = movement({"a": weight}, {"a": bias}, (0, 1, 2, 3))
    permuted = movement({"a": weight[:, order]}, {"a": bias[:, order]}, (0, 1, 2, 3))
    assert np.allclose(plain.drop(columns="layer"), permuted.drop(columns="layer"))


def test_what_stays_does_not_move():
    weight, bias = trajectory(1, 5)
    found = movement({"a": weight.expand(3, 5)}, {"a": bias.expand(3, 5)}, (0, 1, 2))
    assert (found[["ratio", "ratio_median", "weight", "bias"]] == 0).all(axis=None)


def test_a_channel_without_weight_carries_the_mean_and_not_the_median():
    weight, bias = torch.ones(2, 5), torch.zeros(2, 5)
    weight[1, 0], bias[1, 0] = 0.0, 1.0
    row = movement({"a": weight}, {"a": bias}, (0, 1)).iloc[1]
    assert row["ratio"] > 1000
    assert row["ratio_median"] == 0
