"""The formulas of Affine Collaborative Normalization (Zhang et al., arXiv 2307.15282) as pure functions.

Everything is computed in float32 or wider, whatever the dtype of the parameters, and outside autocast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acnorm.core.partners import PAPER, choose_partners
from acnorm.core.windowed import Sources, Window, add_transposed_product, kept_interval, sort_sources, windowed_product

EPS = 1e-5
TEMPERATURE = 1.0
# Above this many channels the windowed product is cheaper than the dense matrix (benchmarks/layer_cost.py).
DENSE_CHANNELS = 200


def affine_ratio(
    weight: Float[Tensor, " channel"], bias: Float[Tensor, " channel"], *, eps: float = EPS
) -> Float[Tensor, " channel"]:
    """Return r = β / (|γ| + ε), the mark of how active each channel is after the ReLU.

    Args:
        weight: γ of a norm layer, one value a channel.
        bias: β of the same layer.
        eps: ε, keeps the ratio finite where γ = 0.

    Returns:
        The ratios, in float32 or in the wider dtype of ``weight``.

    Examples:
        >>> affine_ratio(torch.tensor([2.0, -1.0]), torch.tensor([1.0, 1.0]), eps=0.0)
        tensor([0.5000, 1.0000])
    """
    dtype = _wide(weight.dtype)
    return bias.to(dtype) / (weight.to(dtype).abs() + eps)


def channel_correlation(
    target_ratio: Float[Tensor, "*layers channel"],
    source_ratio: Float[Tensor, "*layers channel"],
    *,
    temperature: float = TEMPERATURE,
    partners: str = PAPER,
    order: Int[Tensor, " channel"] | None = None,
) -> Float[Tensor, "*layers channel channel"]:
    """Return C: how much target channel i borrows from source channel j.

    P is the softmax over j of −|r_t,i − r_s,j| / temperature; C keeps P_ij where P_ij >= P_ii and is zero
    elsewhere. The own channel is always kept and rows are not normalised again. P_ij >= P_ii is decided on
    the distances, where it cannot be lost to underflow.

    Args:
        target_ratio: r_t, one value a channel; leading dimensions are layers.
        source_ratio: r_s, of the same shape.
        temperature: divides the distances; smaller values borrow from fewer channels.
        partners: another rule than P_ij >= P_ii, for ablations (``acnorm.core.partners``).
        order: the channel that stands in for each, where partners are "permuted".

    Returns:
        C, one row a target channel, entries in [0, 1].

    Examples:
        >>> ratio = torch.tensor([0.0, 1.0])
        >>> channel_correlation(ratio, ratio)  # each channel is nearest to itself
        tensor([[0.7311, 0.0000],
                [0.0000, 0.7311]])
        >>> channel_correlation(torch.tensor([1.0, 1.0]), ratio)
        tensor([[0.2689, 0.7311],
                [0.0000, 0.7311]])
    """
    dtype = _wide(target_ratio.dtype)
    target_ratio, source_ratio = target_ratio.to(dtype), source_ratio.to(dtype)
    low, high = kept_interval(target_ratio, source_ratio)
    sources = source_ratio[..., None, :]
    probability = torch.softmax((target_ratio[..., None] - sources).abs_().mul_(-1 / temperature), dim=-1)
    kept = sources >= low[..., None]
    kept &= sources <= high[..., None]
    if partners == PAPER:
        return probability.mul_(kept)
    return choose_partners(probability, probability * kept, partners, order)


def recalibrate(
    weight: Float[Tensor, " channel"],
    bias: Float[Tensor, " channel"],
    source_weight: Float[Tensor, " channel"],
    source_bias: Float[Tensor, " channel"],
    *,
    temperature: float = TEMPERATURE,
    eps: float = EPS,
    partners: str = PAPER,
    order: Int[Tensor, " channel"] | None = None,
) -> tuple[Float[Tensor, " channel"], Float[Tensor, " channel"]]:
    """Return γ + Cγ and β + Cβ, the affine with which AC-Norm scales and shifts the normalised input.

    C depends on all four arguments and is a constant to the gradient: ∂(γ + Cγ)/∂γ is I + C.
    The authors' code normalises the input twice (plain and recalibrated) and adds the results, which is the
    same function of the input; here it takes one call of the norm layer.

    Args:
        weight: γ_t of the target layer, the one that trains.
        bias: β_t of the target layer.
        source_weight: γ_s as it came from the checkpoint, frozen.
        source_bias: β_s as it came from the checkpoint, frozen.
        temperature: of the softmax in C.
        eps: of the affine ratio.
        partners: as in ``channel_correlation``.
        order: as in ``channel_correlation``.

    Returns:
        The merged weight and bias, in float32 or in the wider dtype of ``weight``.

    Examples:
        >>> weight, bias = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0])
        >>> recalibrate(weight, bias, weight, bias, eps=0.0)
        (tensor([1.7311, 1.7311]), tensor([0.0000, 1.7311]))
    """
    affine, source = torch.stack((weight, bias)), torch.stack((source_weight, source_bias))
    options: dict[str, Any] = {"temperature": temperature, "eps": eps, "partners": partners, "order": order}
    return merge(weight, bias, *merged_apart(affine.detach(), source, **options))


class Source(NamedTuple):
    """The source's part of C: its ratios, sorted where the product is windowed."""

    ratio: Float[Tensor, "*layers channel"]
    ordered: Sources | None


@torch.no_grad()
def prepare_source(
    source: Float[Tensor, "*layers 2 channel"],
    *,
    temperature: float = TEMPERATURE,
    eps: float = EPS,
    partners: str = PAPER,
) -> Source:
    """Return what ``merged_apart`` needs of γ_s and β_s, to be computed once for the steps of a training.

    Examples:
        >>> prepare_source(torch.tensor([[1.0, 2.0], [0.0, 2.0]]), eps=0.0).ratio.tolist()
        [0.0, 1.0]
    """
    source = exact(source)
    ratio = affine_ratio(source[..., 0, :], source[..., 1, :], eps=eps)
    windowed = partners == PAPER and ratio.shape[-1] > DENSE_CHANNELS
    return Source(ratio, sort_sources(ratio / temperature) if windowed else None)


@torch.no_grad()
def merged_apart(
    affine: Float[Tensor, "*layers 2 channel"],
    source: Float[Tensor, "*layers 2 channel"] | Source,
    *,
    temperature: float = TEMPERATURE,
    eps: float = EPS,
    partners: str = PAPER,
    order: Int[Tensor, " channel"] | None = None,
) -> tuple[Tensor, ...]:
    """Return v + C·v for v = γ_t, β_t without gradient, for one layer or for several of equal width side by side.

    Args:
        affine: γ_t and β_t.
        source: γ_s and β_s, or what ``prepare_source`` gave for them with the same options.
        temperature: of the softmax in C.
        eps: of the affine ratio.
        partners: as in ``channel_correlation``; other rules than the paper's take the dense matrix at any width.
        order: as in ``channel_correlation``.

    Returns:
        v + C·v in the shape of ``affine``, and what ``merge`` needs to give it its gradient: C, or above
        ``DENSE_CHANNELS`` channels the parts of its window.

    Examples:
        >>> affine = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
        >>> merged_apart(affine.half(), affine.half(), temperature=1e-3)[0].tolist()
        [[2.0, 2.0], [0.0, 2.0]]
    """
    with torch.autocast(affine.device.type, enabled=False):
        if not isinstance(source, Source):
            source = prepare_source(source, temperature=temperature, eps=eps, partners=partners)
        affine = exact(affine)
        ratio = affine_ratio(affine[..., 0, :], affine[..., 1, :], eps=eps)
        if source.ordered is not None:
            product, window = windowed_product(affine, ratio / temperature, source.ordered)
            return affine + product, *window
        options: dict[str, Any] = {"temperature": temperature, "partners": partners, "order": order}
        correlation = channel_correlation(ratio, source.ratio, **options)
        return affine + affine @ correlation.mT, correlation


def merge(
    weight: Float[Tensor, " channel"],
    bias: Float[Tensor, " channel"],
    merged: Float[Tensor, "2 channel"],
    *constant: Tensor,
) -> tuple[Float[Tensor, " channel"], Float[Tensor, " channel"]]:
    """Return γ + Cγ and β + Cβ with their gradient, from what ``merged_apart`` gave for γ and β.

    Examples:
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
        merged_weight, merged_bias = merged.to(_wide(weight.dtype)).unbind()
    return merged_weight, merged_bias


def merge_together(affines: Sequence[Tensor], merged: Tensor, *constant: Tensor) -> tuple[Tensor, ...]:
    """Return what ``merge`` gives for several layers of equal width, with one step of the gradient for all of them.

    A backward that reaches some of the layers alone gives the others no gradient.

    Args:
        affines: γ and β of each layer, one after the other, [channel] each; all of them learn.
        merged: [layer, 2, channel], and the constants, as ``merged_apart`` gave them for the layers side by side.

    Examples:
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
        return merged.to(_wide(weight.dtype)).unbind()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        return _returned(gradients, ctx.constant, ctx.exact, ctx.dtype)


class _MergeTogether(torch.autograd.Function):
    """The same for several layers of equal width; it saves nothing either."""

    @staticmethod
    def forward(ctx: Any, constant: tuple[Tensor, ...], merged: Tensor, *affines: Tensor) -> tuple[Tensor, ...]:
        ctx.constant, ctx.dtype, ctx.exact = constant, affines[0].dtype, merged.dtype
        ctx.set_materialize_grads(False)
        return merged.to(_wide(ctx.dtype)).flatten(0, 1).unbind()

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
        return merged.to(_wide(weight.dtype)).unbind()

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


def exact(values: Tensor) -> Tensor:
    """Return values in the dtype in which C is computed: float64 wherever the device has it.

    C is not continuous in the ratios: rounded to float32 they keep other channels now and then than exact ones do.

    Examples:
        >>> exact(torch.ones(2)).dtype
        torch.float64
    """
    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
