"""γ + Cγ and β + Cβ with their gradient: that of g is g + Cᵀ·g, C being a constant to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from acnorm.core.values import wide
from acnorm.core.windowed import Window, add_transposed_product


def merge(
    weight: Float[Tensor, " channel"],
    bias: Float[Tensor, " channel"],
    merged: Float[Tensor, "2 channel"],
    *constant: Tensor,
) -> tuple[Float[Tensor, " channel"], Float[Tensor, " channel"]]:
    """Return γ + Cγ and β + Cβ with their gradient, from what ``merged_apart`` gave for γ and β.

    Examples:
        >>> from acnorm.core.correlation import merged_apart
        >>> weight, bias = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0])
        >>> affine = torch.stack((weight, bias))
        >>> merge(weight, bias, *merged_apart(affine, affine, eps=0.0))
        (tensor([1.7311, 1.7311]), tensor([0.0000, 1.7311]))
    """
    learns = torch.is_grad_enabled() and (weight.requires_grad or bias.requires_grad)
    compiling = torch.compiler.is_compiling()
    if (compiling and learns) or (not compiling and torch._C._are_functorch_transforms_active()):
        merged_weight, merged_bias = _MergeSaving.apply(weight, bias, merged, *constant)  # type: ignore[no-untyped-call]
    elif learns:
        merged_weight, merged_bias = _Merge.apply(weight, bias, merged, *constant)  # type: ignore[no-untyped-call]
    else:
        merged_weight, merged_bias = merged.to(wide(weight.dtype)).unbind()
    return merged_weight, merged_bias


def merge_together(affines: Sequence[Tensor], merged: Tensor, *constant: Tensor) -> tuple[Tensor, ...]:
    """Return what ``merge`` gives for several layers of equal width, with one step of the gradient for all of them.

    A backward that reaches some of the layers alone gives the others no gradient.

    Args:
        affines: γ and β of each layer, one after the other, [channel] each; all of them learn.
        merged: [layer, 2, channel], and the constants, as ``merged_apart`` gave them for the layers side by side.

    Examples:
        >>> from acnorm.core.correlation import merged_apart
        >>> first, second = torch.ones(2, 1, requires_grad=True), torch.ones(2, 1, requires_grad=True)
        >>> affine = torch.stack((first, second)).detach()
        >>> together = merge_together([*first.unbind(), *second.unbind()], *merged_apart(affine, affine))
        >>> [round(value.item(), 3) for value in together]
        [2.0, 2.0, 2.0, 2.0]
    """
    return cast(tuple[Tensor, ...], _MergeTogether.apply(constant, merged, *affines))  # type: ignore[no-untyped-call]


class _Merge(torch.autograd.Function):
    """v + C·v as it is given; backward g + Cᵀ·g.

    Autograd saves nothing here, so activation checkpointing sees the same whether or not the constants were remembered.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, merged: Tensor, *constant: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG004
        ctx.constant, ctx.dtype, ctx.exact = constant, weight.dtype, merged.dtype
        ctx.set_materialize_grads(False)
        return merged.to(wide(weight.dtype)).unbind()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        return _returned(gradients, ctx.constant, ctx.exact, ctx.dtype)


class _MergeTogether(torch.autograd.Function):
    """The same for several layers of equal width; it saves nothing either."""

    @staticmethod
    def forward(ctx: Any, constant: tuple[Tensor, ...], merged: Tensor, *affines: Tensor) -> tuple[Tensor, ...]:
        ctx.constant, ctx.dtype, ctx.exact = constant, affines[0].dtype, merged.dtype
        ctx.set_materialize_grads(False)
        return merged.to(wide(ctx.dtype)).flatten(0, 1).unbind()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        pairs = list(zip(gradients[::2], gradients[1::2], strict=True))
        reached = [any(gradient is not None for gradient in pair) for pair in pairs]
        if not any(reached):
            return (None,) * (2 + len(gradients))
        nothing = torch.zeros_like(next(gradient for gradient in gradients if gradient is not None))
        known = torch.stack([nothing if gradient is None else gradient for gradient in gradients])
        total = _with_borrowed(known.view(len(pairs), 2, -1).to(ctx.exact), ctx.constant)
        found = total.to(ctx.dtype).view(len(gradients), -1).unbind()
        return None, None, *(value if reached[at // 2] else None for at, value in enumerate(found))


class _MergeSaving(torch.autograd.Function):
    """The same for a compiler and for the transforms of torch.func, which want to see what is saved."""

    generate_vmap_rule = True

    @staticmethod
    def forward(weight: Tensor, bias: Tensor, merged: Tensor, *constant: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG004
        return merged.to(wide(weight.dtype)).unbind()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: object) -> None:  # noqa: ARG004
        weight, _, merged, *constant = inputs
        ctx.dtype, ctx.exact = weight.dtype, merged.dtype
        ctx.save_for_backward(*constant)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        return _returned(gradients, ctx.saved_tensors, ctx.exact, ctx.dtype)


def _returned(
    gradients: Sequence[Tensor | None], constant: Sequence[Tensor], exact: torch.dtype, dtype: torch.dtype
) -> tuple[Tensor | None, ...]:
    nothing = (None,) * (1 + len(constant))
    weight, bias = gradients
    if weight is None and bias is None:
        return None, None, *nothing
    weight = torch.zeros_like(cast(Tensor, bias)) if weight is None else weight
    bias = torch.zeros_like(weight) if bias is None else bias
    gradient = _with_borrowed(torch.stack((weight, bias)).to(exact), constant)
    return *gradient.to(dtype).unbind(), *nothing


def _with_borrowed(gradient: Float[Tensor, "*layers 2 channel"], constant: Sequence[Tensor]) -> Tensor:
    """g + Cᵀ·g, of C or of the parts of its window."""
    if len(constant) > 1:
        return add_transposed_product(gradient, Window(*constant))
    add = torch.addmm if gradient.ndim == 2 else torch.baddbmm
    with torch.autocast(gradient.device.type, enabled=False):
        return add(gradient, gradient, constant[0])
