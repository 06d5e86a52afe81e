"""Write the recalibrated affine into the plain layers: same outputs, nothing of ours left, no cost."""

from __future__ import annotations

import logging
from typing import Literal, cast, overload

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from acnorm.core.census import ConversionError
from acnorm.core.convert import Model, _forget, _layers_to, _replace
from acnorm.core.layer import ACNorm

logger = logging.getLogger("acnorm")


@overload
def fold(
    model: Model,
    example: Tensor | tuple[Tensor, ...] | None = ...,
    *,
    tolerance: float | None = ...,
    return_difference: Literal[False] = ...,
) -> Model: ...


@overload
def fold(
    model: Model,
    example: Tensor | tuple[Tensor, ...] | None = ...,
    *,
    tolerance: float | None = ...,
    return_difference: Literal[True],
) -> tuple[Model, float]: ...


def fold(
    model: Model,
    example: Tensor | tuple[Tensor, ...] | None = None,
    *,
    tolerance: float | None = None,
    return_difference: bool = False,
) -> Model | tuple[Model, float]:
    """Turn a converted network into a plain one with equal outputs, in place, and return it.

    γ + Cγ and β + Cβ become the weight and bias of the plain layers. C depends on parameters alone, so this
    is exact. How far the fold moved anything is always measured: on the affine of every layer and, with an
    ``example``, on the network's output in eval; the larger is logged and can be returned.

    Args:
        model: a converted network.
        example: an input of the network, or a tuple of inputs, on the model's device.
        tolerance: largest difference allowed, relative to the largest absolute value before folding;
            100 × the rounding unit of the parameters' dtype by default (1.2e-5 in float32).
        return_difference: return ``(model, difference)``.

    Raises:
        ConversionError: the model holds no AC-Norm layer, or the fold moved the output by more than the
            tolerance (the model is then as it was).

    Examples:
        >>> from acnorm.core.convert import convert
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
        >>> _ = nn.init.normal_(model[1].bias)
        >>> plain, difference = fold(convert(model), torch.randn(2, 3, 8, 8), return_difference=True)
        >>> type(plain[1]).__name__, difference < 1e-5
        ('BatchNorm2d', True)
    """
    layers = _layers_to("fold", model)
    dtype = next(iter(layers.values())).weight.dtype
    limit = 100 * torch.finfo(dtype).eps if tolerance is None else tolerance
    before = _outputs(model, example)
    originals = {name: (layer.weight, layer.bias) for name, layer in layers.items()}
    merged = [layer.merged_affine() for layer in layers.values()]
    for layer, (weight, bias) in zip(layers.values(), merged, strict=True):
        _set_affine(layer.norm, weight, bias)
    _replace(model, {id(layer): layer.norm for layer in layers.values()})
    difference = float("inf")
    try:
        moved = [_affine_difference(layer, affine) for layer, affine in zip(layers.values(), merged, strict=True)]
        moved += [_difference(old, new) for old, new in zip(before, _outputs(model, example), strict=True)]
        difference = max(moved)
    finally:
        if difference > limit:
            _unfold(model, layers, originals)
    if difference > limit:
        raise ConversionError(
            f"folding moved the output by {difference:.1e} of its largest value, more than the tolerance "
            f"{limit:.1e}; the model is unchanged. Does its forward read a norm's weight, or is it random?"
        )
    _forget(model)
    logger.info("AC-Norm: folded %d layers; largest relative difference %.1e", len(layers), difference)
    return (model, difference) if return_difference else model


def _unfold(model: nn.Module, layers: dict[str, ACNorm], affines: dict[str, tuple[Tensor, Tensor]]) -> None:
    for name, layer in layers.items():
        layer.norm._parameters["weight"], layer.norm._parameters["bias"] = (
            cast(nn.Parameter, value) for value in affines[name]
        )
    _replace(model, {id(layer.norm): layer for layer in layers.values()})


def _set_affine(norm: nn.Module, weight: Tensor, bias: Tensor) -> None:
    # New parameters, not writes in place: a parameter tied to another layer must not change there.
    for name, value in (("weight", weight), ("bias", bias)):
        old = norm.get_parameter(name)
        norm._parameters[name] = nn.Parameter(value.detach().clone(), requires_grad=old.requires_grad)


def _affine_difference(layer: ACNorm, merged: tuple[Tensor, Tensor]) -> float:
    folded = (layer.norm.get_parameter("weight"), layer.norm.get_parameter("bias"))
    return max(_difference(old, new) for old, new in zip(merged, folded, strict=True))


@torch.no_grad()
def _outputs(model: nn.Module, example: Tensor | tuple[Tensor, ...] | None) -> list[Tensor]:
    if example is None:
        return []
    modes = {module: module.training for module in model.modules()}
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    model.eval()
    try:
        output = model(*(example if isinstance(example, tuple) else (example,)))
    finally:
        for module, training in modes.items():
            module.training = training
        for buffer, value in buffers:  # a layer that updates its running statistics even in eval
            buffer.copy_(value)
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]


@torch.no_grad()
def _difference(old: Tensor, new: Tensor) -> float:
    if not old.numel():
        return 0.0
    old, new = old.double(), new.double()
    scale = float(old.abs().max()) or 1.0
    # max() loses a NaN: equal elements, both NaN included, have not moved, and any other NaN has without bound
    moved = (old - new).abs().masked_fill_((old == new) | (old.isnan() & new.isnan()), 0)
    difference = float(moved.max()) / scale if moved.any() else 0.0
    return difference if difference == difference else float("inf")
