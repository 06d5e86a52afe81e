"""StochNorm against its formula in float64: the draws, the statistics, and what is given back."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest
import torch
from torch import nn

from acnorm.tuning.stochnorm import StochNorm, StochNormTuning
from networks import NETWORKS, images_for, norm_layers, trained
from tiny_runs import spread_norms
from tuning_setups import MAKERS, Training, batch_of, loss, setup_of

LAYERS = {
    (6, 5): nn.BatchNorm1d, (6, 5, 7): nn.BatchNorm1d, (6, 5, 4, 3): nn.BatchNorm2d, (4, 5, 4, 3, 2): nn.BatchNorm3d,
    (2, 5, 4, 4): nn.BatchNorm2d,
}  # fmt: skip


def by_hand(images: torch.Tensor, norm: nn.Module, drawn: torch.Tensor) -> torch.Tensor:
    """The formula, channel by channel."""
    result = torch.empty_like(images)
    for at in range(images.shape[1]):
        values = images[:, at]
        if drawn[at]:
            mean, variance = values.mean(), values.var(unbiased=False)
        else:
            mean, variance = norm.running_mean[at], norm.running_var[at]
        result[:, at] = (values - mean) / (variance + norm.eps).sqrt() * norm.weight[at] + norm.bias[at]
    return result


@pytest.mark.parametrize("shape", LAYERS)
def test_values_gradients_and_statistics_are_those_of_the_formula(shape: tuple[int, ...]):
    norm = LAYERS[shape](5).double()
    spread_norms(norm)
    plain, before = deepcopy(norm), deepcopy(norm)
    layer = StochNorm(norm, 0.5)
    images = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(2)
    drawn = torch.rand(5) < 0.5
    assert 0 < int(drawn.sum()) < 5
    torch.manual_seed(2)
    output = layer(images)
    expected = by_hand(images, before, drawn)
    torch.testing.assert_close(output, expected, rtol=1e-10, atol=1e-12)
    weights = torch.randn(shape, dtype=torch.float64)
    slopes = torch.autograd.grad((output * weights).sum(), [images, norm.weight, norm.bias])
    wanted = torch.autograd.grad((expected * weights).sum(), [images, before.weight, before.bias])
    for slope, want in zip(slopes, wanted, strict=True):
        torch.testing.assert_close(slope, want, rtol=1e-9, atol=1e-11)
    plain(images)
    assert torch.equal(norm.running_mean, plain.running_mean)
    assert torch.equal(norm.running_var, plain.running_var)
    assert int(norm.num_batches_tracked) == 1
    assert torch.equal(layer.eval()(images), plain.eval()(images))


def test_every_forward_draws_anew_with_the_probability_asked():
    layer, images = StochNorm(nn.BatchNorm2d(400), 0.3), torch.randn(4, 400, 2, 2) + 3
    torch.manual_seed(0)
    from_batch = []
    for _ in range(20):
        layer.norm.reset_running_stats()
        from_batch.append(layer(images).mean((0, 2, 3)).abs() < 1)
    assert not torch.equal(from_batch[0], from_batch[1])
    assert torch.stack(from_batch).float().mean().item() == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("kind", MAKERS)
def test_the_whole_network_is_wrapped_trained_saved_rebuilt_and_given_back(kind: str):
    method = StochNormTuning()
    training = Training(kind, method, dtype=torch.float32, cases=2).run(1, 2)
    network, batch = training.setup.network.eval(), batch_of(kind, dtype=torch.float32)
    before = loss(network, batch)
    plain = setup_of(kind, StochNormTuning(), dtype=torch.float32)  # another, wrapped as well
    again = method.rebuild(StochNormTuning().finish(plain.network, batch["image"]), network.state_dict())
    assert torch.equal(loss(again.eval(), batch), before)
    finished = method.finish(network, batch["image"])
    assert not any(isinstance(layer, StochNorm) for layer in finished.modules())
    assert torch.equal(loss(finished, batch), before)


def test_only_loaded_and_plain_layers_are_wrapped():
    network = StochNormTuning().prepare(trained(), ["bn1", "bn3"])
    assert [name for name, layer in network.named_modules() if isinstance(layer, StochNorm)] == ["bn1", "bn3"]
    for name in ("fused-activation", "always-batch-statistics"):
        told = "no BatchNorm layer in Sequential to draw statistics in (2 there, none of them plain, with running statistics, and from the checkpoint)."
        with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
            StochNormTuning().prepare(trained(name), None)
    assert {type(layer) for layer in norm_layers(trained("toy")).values()} == {nn.BatchNorm1d, nn.BatchNorm2d}


def test_synchronised_norms_take_the_place_of_the_wrapped_ones():
    network = nn.SyncBatchNorm.convert_sync_batchnorm(StochNormTuning().prepare(trained(), None))
    wrapped = [layer for layer in network.modules() if isinstance(layer, StochNorm)]
    assert [type(layer.norm) for layer in wrapped] == [nn.SyncBatchNorm] * 3
    network.eval()
    assert torch.equal(network(images_for()), trained().eval()(images_for()))
    assert "toy" in NETWORKS


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype):
    layer, images = StochNorm(nn.BatchNorm2d(5)), torch.randn(4, 5, 3, 3).to(dtype).requires_grad_(True)
    output = layer(images)
    assert output.dtype == dtype
    output.float().square().sum().backward()
    assert bool(images.grad.isfinite().all())


def test_a_layer_whose_statistics_are_frozen_is_plain():
    layer, images = StochNorm(nn.BatchNorm2d(5)), torch.randn(4, 5, 3, 3)
    layer.norm.eval()
    assert torch.equal(layer(images), layer.norm(images))


def test_the_probability_is_one():
    assert StochNormTuning(probability=1.0).problems() == ["stochnorm.probability is 1.0, must be above 0 and below 1"]


def test_a_layer_left_alone_that_is_called_norm_is_not_taken_for_a_wrapper():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(2)

    def made() -> nn.Module:
        return nn.Sequential(nn.BatchNorm2d(2), Block())

    method = StochNormTuning()
    state = method.prepare(made(), ["0"]).state_dict()
    rebuilt = method.rebuild(made(), state)
    assert isinstance(rebuilt[0], StochNorm)
    assert isinstance(rebuilt[1], Block)
