"""The formulas of Affine Collaborative Normalization (Zhang et al., arXiv 2307.15282) as pure functions.

Everything is computed in float32 or wider, whatever the dtype of the parameters, and outside autocast.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acnorm.core.merge import merge
from acnorm.core.partners import PAPER, choose_partners
from acnorm.core.values import exact, wide
from acnorm.core.windowed import Sources, kept_interval, sort_sources, windowed_product

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
    dtype = wide(weight.dtype)
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
    dtype = wide(target_ratio.dtype)
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
