"""The merged affine of all layers of equal width at once, whenever a converted network runs.

Layer by layer it takes some sixty small operations, whose start costs more than their work. The network that
``convert`` was given does them once for all its layers of one width as its forward begins, and its layers forget
the result as it ends: nothing is kept from one forward to the next, so nothing can be stale. A layer that runs
otherwise (alone, in a part of the network that is called by itself, compiled, or when activations are computed again
for the gradient) merges its own.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from acnorm.core.correlation import constant_part, merge
from acnorm.core.layer import ACNorm


def work_together(model: nn.Module) -> None:
    """Let a forward of ``model`` merge the affines of its AC-Norm layers together from now on.

    Examples:
        >>> model = nn.Sequential(ACNorm(nn.BatchNorm1d(4)), ACNorm(nn.BatchNorm1d(4)))
        >>> work_together(model)
        >>> model(torch.ones(2, 4)).shape
        torch.Size([2, 4])
    """
    model.register_forward_pre_hook(_give)
    model.register_forward_hook(_forget, always_call=True)


def work_alone(model: nn.Module) -> None:
    """Take back ``work_together``.

    Examples:
        >>> model = nn.Sequential(ACNorm(nn.BatchNorm1d(4)))
        >>> work_together(model)
        >>> work_alone(model)
        >>> len(model._forward_hooks)
        0
    """
    for hooks in (model._forward_pre_hooks, model._forward_hooks):
        for key in [key for key, hook in hooks.items() if hook in (_give, _forget)]:
            del hooks[key]
            model._forward_hooks_always_called.pop(key, None)


def _give(model: nn.Module, _: Any) -> None:
    # without gradient a layer remembers what it merged last, and a part of the forward may want the gradient again
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return
    alike = defaultdict(list)
    for layer in model.modules():
        if isinstance(layer, ACNorm) and layer.enabled and _is_ordinary(layer):
            weight = layer.weight
            alike[weight.shape, weight.dtype, weight.device, layer.temperature, layer.affine_eps].append(layer)
    for (*_, temperature, eps), layers in alike.items():
        affines = [value for layer in layers for value in (layer.weight, layer.bias)]
        sources = [value for layer in layers for value in (layer.source_weight, layer.source_bias)]
        target, source = (_side_by_side(values) for values in (affines, sources))
        merged = merge(affines, constant_part(target, source, temperature=temperature, eps=eps))
        for layer, weight, bias in zip(layers, merged[::2], merged[1::2], strict=True):
            layer.given = weight, bias


def _is_ordinary(layer: ACNorm) -> bool:
    # a parameter that is sharded over processes is not, and is there only while its own part of the network runs
    return type(layer.norm._parameters.get("weight")) in (nn.Parameter, Tensor)


@torch.no_grad()
def _side_by_side(affines: list[Tensor]) -> Tensor:
    return torch.stack(affines).view(len(affines) // 2, 2, -1)


def _forget(model: nn.Module, *_: Any) -> None:
    if torch.compiler.is_compiling():
        return
    for layer in model.modules():
        if isinstance(layer, ACNorm):
            layer.given = None
