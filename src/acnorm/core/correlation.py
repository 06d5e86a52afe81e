"""The formulas of Affine Collaborative Normalization (Zhang et al., arXiv 2307.15282) as pure functions.

Everything is computed in float32 or wider, whatever the dtype of the parameters, and outside autocast.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from acnorm.core.windowed import kept_interval, windowed_product

EPS = 1e-5
TEMPERATURE = 1.0
# Above this many channels the windowed product is cheaper than the dense matrix (benchmarks/layer_cost.py).
DENSE_CHANNELS = 320


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
    target_ratio: Float[Tensor, " target"],
    source_ratio: Float[Tensor, " source"],
    *,
    temperature: float = TEMPERATURE,
) -> Float[Tensor, "target source"]:
    """Return C: how much target channel i borrows from source channel j.

    P is the softmax over j of −|r_t,i − r_s,j| / temperature; C keeps P_ij where P_ij >= P_ii and is zero
    elsewhere. The own channel is always kept and rows are not normalised again. P_ij >= P_ii is decided on
    the distances, where it cannot be lost to underflow.

    Args:
        target_ratio: r_t, one value a channel.
        source_ratio: r_s, as many channels as ``target_ratio``.
        temperature: divides the distances; smaller values borrow from fewer channels.

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
    target = target_ratio / temperature
    source = source_ratio / temperature
    probability = torch.softmax((target[:, None] - source).abs_().neg_(), dim=1)
    low, high = kept_interval(target, source)
    kept = source >= low[:, None]
    kept &= source <= high[:, None]
    return probability.mul_(kept)


def recalibrate(
    weight: Float[Tensor, " channel"],
    bias: Float[Tensor, " channel"],
    source_weight: Float[Tensor, " channel"],
    source_bias: Float[Tensor, " channel"],
    *,
    temperature: float = TEMPERATURE,
    eps: float = EPS,
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

    Returns:
        The merged weight and bias, in float32 or in the wider dtype of ``weight``.

    Examples:
        >>> weight, bias = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0])
        >>> recalibrate(weight, bias, weight, bias, eps=0.0)
        (tensor([1.7311, 1.7311]), tensor([0.0000, 1.7311]))
    """
    with torch.autocast(weight.device.type, enabled=False):
        affine = torch.stack((weight, bias)).to(_exact(weight))
        with torch.no_grad():
            target = affine_ratio(*affine.unbind(), eps=eps)
            source = affine_ratio(source_weight.to(affine.dtype), source_bias.to(affine.dtype), eps=eps)
        if target.numel() > DENSE_CHANNELS:
            borrowed = windowed_product(affine, target / temperature, source / temperature)
        else:
            with torch.no_grad():
                correlation = channel_correlation(target, source, temperature=temperature)
            borrowed = affine @ correlation.T
        merged_weight, merged_bias = (affine + borrowed).to(_wide(weight.dtype)).unbind()
    return merged_weight, merged_bias


def _exact(parameter: Tensor) -> torch.dtype:
    # C is not continuous in the ratios: rounded to float32 they keep other channels now and then than exact ones do
    return torch.float32 if parameter.device.type == "mps" else torch.float64


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
