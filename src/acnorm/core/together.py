"""The correlations of all layers of equal width at once, whenever a converted network runs on a CPU.

Layer by layer it takes some sixty small operations, whose start costs more than their work. As its forward begins, the
network that ``convert`` was given does them once for all its layers of one width whose affine has changed, and the
layers remember the result with the values that it was made from. Each compares them again before it uses the result,
so that nothing can be stale, and has a gradient of its own: one shared by several layers would reach parameters that
a loss does not depend on, whose hooks (those of DistributedDataParallel among them) must not be called.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import nn

from acnorm.core.correlation import merged_apart
from acnorm.core.layer import ACNorm
from acnorm.core.partners import PAPER


def work_together(model: nn.Module) -> None:
    """Let a forward of ``model`` compute what its AC-Norm layers need together from now on.

    Examples:
        >>> model = nn.Sequential(ACNorm(nn.BatchNorm1d(4)), ACNorm(nn.BatchNorm1d(4)))
        >>> work_together(model)
        >>> model(torch.ones(2, 4)).shape
        torch.Size([2, 4])
    """
    work_alone(model)
    model.register_forward_pre_hook(_compute_together)


def work_alone(model: nn.Module) -> None:
    """Take back ``work_together``.

    Examples:
        >>> model = nn.Sequential(ACNorm(nn.BatchNorm1d(4)))
        >>> work_together(model)
        >>> work_alone(model)
        >>> len(model._forward_pre_hooks)
        0
    """
    for key in [key for key, hook in model._forward_pre_hooks.items() if hook is _compute_together]:
        del model._forward_pre_hooks[key]


def _compute_together(model: nn.Module, _: Any) -> None:
    # without gradient little changes between forwards, and to look twice at every layer costs more than it saves
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return
    alike = defaultdict(list)
    for layer in model.modules():
        if isinstance(layer, ACNorm) and layer.enabled and layer.can_compare() and not layer.remembers():
            weight, _, source_weight, _ = layer.affines()
            if layer.partners == PAPER:
                kind = weight.shape, weight.dtype, source_weight.dtype, layer.temperature, layer.affine_eps
                alike[kind].append(layer)
    with torch.no_grad():
        for (*_, temperature, eps), layers in alike.items():
            affines = [layer.affines() for layer in layers]
            target = torch.stack([value for own in affines for value in own[:2]])
            source = torch.stack([value for own in affines for value in own[2:]])
            pairs = len(layers), 2, -1
            parts = merged_apart(target.view(pairs), source.view(pairs), temperature=temperature, eps=eps)
            targets, sources, of_layers = target.unbind(), source.unbind(), [part.unbind() for part in parts]
            for at, layer in enumerate(layers):
                own = slice(2 * at, 2 * at + 2)
                layer.remember(targets[own] + sources[own], tuple(part[at] for part in of_layers))
