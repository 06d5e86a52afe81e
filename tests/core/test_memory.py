"""What a layer remembers is never stale, whatever changed its parameters, its source or its options."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from acnorm.core.layer import ACNorm
from networks import TwoPassNorm, images_of, random_layer, relative_difference, shift


def fresh_output(layer: ACNorm, images: Tensor) -> Tensor:
    """What a layer built now from the same values gives: nothing kept from earlier can be in it."""
    rebuilt = TwoPassNorm(deepcopy(layer.norm), layer.temperature).train(layer.training)
    rebuilt.source = (layer.source_weight.clone(), layer.source_bias.clone())
    return rebuilt(images)


def by_fused_step(layer: ACNorm) -> None:
    layer(images_of(6)).square().sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.05, fused=True).step()


def by_data_edit(layer: ACNorm) -> None:
    layer.weight.data.mul_(1.5)
    layer.bias.data[0] += 1.0


def by_loading(layer: ACNorm) -> None:
    layer.load_state_dict(ACNorm(random_layer(seed=5), init=layer.init).state_dict())


def by_loading_with_assign(layer: ACNorm) -> None:
    layer.load_state_dict(ACNorm(random_layer(seed=5), init=layer.init).state_dict(), assign=True)


def by_source_edit(layer: ACNorm) -> None:
    layer.source_bias.data.add_(torch.arange(6))


def by_new_parameter(layer: ACNorm) -> None:
    layer.weight = nn.Parameter(layer.weight.detach() * 1.3)


def by_options(layer: ACNorm) -> None:
    layer.temperature = 0.2


def by_raw_memory(layer: ACNorm) -> None:
    layer.weight.detach().numpy()[:] += 0.5  # unknown to torch altogether


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("init", ["paper", "identity"])
@pytest.mark.parametrize(
    "change",
    [
        by_fused_step,
        by_data_edit,
        by_loading,
        by_loading_with_assign,
        by_source_edit,
        by_new_parameter,
        by_options,
        by_raw_memory,
    ],
)
def test_never_stale(change, init: str, grad: bool):
    layer, images = ACNorm(random_layer(), init=init).eval(), images_of(6)
    shift(layer)
    with torch.set_grad_enabled(grad):
        before = layer(images).detach()
    change(layer)
    with torch.set_grad_enabled(grad):
        after = layer(images).detach()
    if init == "identity":
        layer._buffers["weight_offset"], layer._buffers["bias_offset"] = torch.zeros(2, 6)
        with torch.set_grad_enabled(grad):
            after = layer(images).detach()
    assert relative_difference(after, before) > 1e-3
    assert relative_difference(after, fresh_output(layer, images).detach()) < 1e-12


def test_never_stale_after_a_move():
    layer, images = ACNorm(random_layer(dtype=torch.float32)).eval(), images_of(6)
    shift(layer)
    layer(images.float())
    layer.to(torch.float64)
    assert layer.source_weight.dtype == torch.float64
    assert relative_difference(layer(images).detach(), fresh_output(layer, images).detach()) < 1e-12
    if torch.cuda.is_available():
        layer.cuda()
        assert layer(images.cuda()).is_cuda
        assert relative_difference(layer(images.cuda()).detach().cpu(), fresh_output(layer.cpu(), images)) < 1e-12


def test_the_same_values_are_answered_from_memory_and_copies_hold_nothing():
    layer, images = ACNorm(random_layer()), images_of(6)
    layer(images)
    parts = layer.parts()
    layer.weight.data.copy_(layer.weight.clone())
    layer(images)
    assert layer.parts() is parts
    assert not deepcopy(layer).remembers()
    layer.source_weight.data[1] += 1
    assert not layer.remembers()


def test_what_is_shared_is_taken_once():
    layer = ACNorm(random_layer())
    shared = layer.merged_affine()
    layer.share(shared)
    assert [layer._merged_affine()[0] is shared[0] for _ in range(2)] == [True, False]


def test_what_is_shared_is_not_taken_for_another_parameter_of_equal_values():
    layer = ACNorm(random_layer())
    shared = layer.merged_affine()
    layer.share(shared)
    layer.weight = nn.Parameter(layer.weight.detach().clone())
    assert layer._merged_affine()[0] is not shared[0]
