from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from acnorm.core.convert import convert
from acnorm.training.norm_statistics import (
    FEW_VALUES,
    fewest_values,
    freeze_statistics,
    reestimate_statistics,
    statistics_gap,
    too_few_values,
)
from tiny_runs import spread_norms


def network() -> nn.Sequential:
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
    )
    spread_norms(made)
    return made


def batches(count: int, size: int = 5) -> list[dict[str, Tensor]]:
    torch.manual_seed(1)
    return [{"image": torch.randn(size, 1, 9, 9) * 3 + 1} for _ in range(count)]


@pytest.mark.parametrize("converted", [False, True])
def test_statistics_taken_anew_are_the_means_over_the_batches(converted: bool):
    made = network()
    made = convert(made) if converted else made
    first = next(layer for layer in made.modules() if isinstance(layer, nn.BatchNorm2d))
    given = batches(4)
    seen: list[Tensor] = []
    first.register_forward_pre_hook(lambda _, images: seen.append(images[0].detach()))
    made.eval()
    reestimate_statistics(made, iter(given))
    torch.testing.assert_close(first.running_mean, torch.stack([part.mean((0, 2, 3)) for part in seen]).mean(0))
    torch.testing.assert_close(first.running_var, torch.stack([part.var((0, 2, 3)) for part in seen]).mean(0))
    assert first.momentum == 0.1
    assert not any(layer.training for layer in made.modules())


def test_the_gap_is_that_of_both_statistics_and_the_network_stays():
    made = network().eval()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    given = batches(3)
    gap = statistics_gap(made, iter(given), lambda net, batch: net(batch["image"]).square().mean())
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    running = [made(batch["image"]).square().mean().item() for batch in given]
    assert gap["loss_running"] == pytest.approx(sum(running) / 3, rel=1e-5)
    for layer in made.modules():
        layer.train(isinstance(layer, nn.BatchNorm2d))
    own = [made(batch["image"]).square().mean().item() for batch in given]
    assert gap["loss_batch"] == pytest.approx(sum(own) / 3, rel=1e-5)
    assert gap["loss_batch"] != pytest.approx(gap["loss_running"], rel=1e-3)
    assert gap["batches"] == 3


def test_only_layers_outside_the_head_are_frozen():
    made = nn.ModuleDict({"encoder": network(), "decoder": network(), "decoders": network()}).train()
    freeze_statistics(made, "decoder")
    for name in ("encoder", "decoder", "decoders"):
        layers = [layer for layer in made[name] if isinstance(layer, nn.BatchNorm2d)]
        assert [layer.training for layer in layers] == [name == "decoder"] * 2


def test_few_values_are_told_at_the_limit():
    made = nn.Sequential(nn.BatchNorm3d(1), nn.MaxPool3d(4), nn.BatchNorm3d(1))
    images = torch.rand(2, 1, 8, 8, 8)
    assert fewest_values(made, images) == ("2", 8)
    assert too_few_values(made, images, FEW_VALUES // 8) is None
    told = too_few_values(made, images, FEW_VALUES // 8 - 1)
    assert told is not None
    assert told.startswith("BatchNorm layer 2 averages over 24 values a step (3 images of 8), too few for steady")
    assert fewest_values(nn.Sequential(nn.ReLU()), images) is None
