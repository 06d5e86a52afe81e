"""The product C·v without the matrix C, in O(C log C), for layers of many channels.

Row i of C keeps exactly the sources within |r_t,i − r_s,i| of r_t,i: a contiguous window once the sources
are sorted. Split at r_t,i, the softmax weights are exp(s_q − t) to the left and exp(t − s_q) to the right,
so a kept sum is a difference of two running sums on each side. The running sums are decayed: the one that
ends at q is measured relative to s_q, as

    B[p] = Σ_{q<p} exp(s_q − s_{p−1}) v_q          A[p] = Σ_{q>=p} exp(s_p − s_q) v_q,

so every factor lies in [0, 1]: nothing overflows however far apart the ratios are, and the cancellation in
a difference is bounded by the rounding of the row's own softmax sum, by which the result is divided.
The transposed product, which the gradient needs, runs the same steps backwards: scatter with the same four
weights, then the running sums in the other direction.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable


def kept_interval(
    target: Float[Tensor, " channel"], source: Float[Tensor, " channel"]
) -> tuple[Float[Tensor, " channel"], Float[Tensor, " channel"]]:
    """Return the closed interval of source ratios at least as near to t_i as s_i is: from s_i to 2 t_i − s_i.

    Examples:
        >>> kept_interval(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 3.0]))
        (tensor([ 0., -1.]), tensor([2., 3.]))
    """
    mirror = 2 * target - source
    return torch.minimum(source, mirror), torch.maximum(source, mirror)


def windowed_product(
    values: Float[Tensor, "row channel"],
    target: Float[Tensor, " channel"],
    source: Float[Tensor, " channel"],
) -> Float[Tensor, "row channel"]:
    """Return C·v for every row v of ``values``, C being the channel correlation at temperature 1.

    Differentiable in ``values`` only; C is a constant.

    Args:
        values: what is borrowed, γ and β as two rows.
        target: r_t / temperature.
        source: r_s / temperature.

    Examples:
        >>> ratio = torch.tensor([0.0, 1.0])
        >>> windowed_product(torch.ones(1, 2), ratio, ratio)
        tensor([[0.7311, 0.7311]])
    """
    with torch.no_grad():
        order, window = _window(target, source)
    product: Tensor = _Product.apply(values, order, *window)  # type: ignore[no-untyped-call]
    return product


class _Window(NamedTuple):
    """Each row's window: the four running sums that it is made of, as places in (B, A), and their weights."""

    source: Float[Tensor, " channel"]
    places: Int[Tensor, " 4*channel"]
    weights: Float[Tensor, "4 channel"]


def _window(target: Tensor, source: Tensor) -> tuple[Tensor, _Window]:
    ordered, order = source.sort()
    # beyond the ends: so far that its weight is zero, and finite, so that differences are no NaN
    edges = torch.nn.functional.pad(ordered[None], (1, 1), value=torch.finfo(ordered.dtype).max / 4)[0]
    low_edge, high_edge = kept_interval(target, source)
    middle = torch.searchsorted(ordered, target, right=True)
    # min and max: rounding may put the mirror image of s_i on the wrong side of t_i
    low = torch.minimum(torch.searchsorted(ordered, low_edge), middle)
    high = torch.maximum(torch.searchsorted(ordered, high_edge, right=True), middle)
    inner, outer = edges[torch.stack((middle, middle + 1, low, high + 1))].chunk(2)
    distance = (inner - target).abs_()
    near = torch.exp(distance.amin(0) - distance)
    # outer minus inner, not outer minus t: between sources the difference is exact however far t is
    far = torch.exp((outer - inner).abs_().neg_()).mul_(near)
    after = source.numel() + 1
    places = torch.cat((middle, middle + after, low, high + after))
    return order, _Window(ordered, places, torch.cat((near, -far)))


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, order: Tensor, *window: Tensor) -> Tensor:
        source, places, weights = window
        ordered = torch.nn.functional.pad(values[:, order], (0, 0, 0, 1), value=1.0)  # the last row sums the softmax
        before, after = _decayed_sums(ordered, ordered, source)
        zero = ordered.new_zeros(len(ordered), 1)
        sums = torch.cat((zero, before, after, zero), dim=1)[:, places].view(len(ordered), 4, -1)
        weights = weights / (weights[:2] * sums[-1, :2]).sum(0)
        ctx.save_for_backward(order, source, places, weights)
        product: Tensor = (weights * sums[:-1]).sum(1)
        return product

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        order, source, places, weights = ctx.saved_tensors  # once: checkpointing allows no second look
        row, channel = gradient.shape
        sums = gradient.new_zeros(row, 2 * channel + 2)
        sums.index_add_(1, places, (weights * gradient[:, None]).flatten(1))
        # B[p] holds what q < p gave, so its gradient goes to them: up and down change places
        from_after, from_before = _decayed_sums(sums[:, channel + 1 : -1], sums[:, 1 : channel + 1], source)
        values = torch.empty_like(gradient)
        values[:, order] = from_after + from_before
        return values, None, None, None, None


def _decayed_sums(upward: Tensor, downward: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """Return Σ_{q<=p} exp(s_q − s_p) u_q and Σ_{q>=p} exp(s_p − s_q) d_q for ascending s.

    Doubles the reach log2(C) times, both directions at once.
    """
    total = torch.stack((upward, downward.flip(1)))
    decay = torch.exp(source[:-1] - source[1:])
    decay = torch.stack((decay, decay.flip(0)))[:, None]  # from the neighbour on the left, then from further left
    step = 1
    while step < source.numel():
        reached = torch.addcmul(total[..., step:], total[..., :-step], decay)
        total = torch.cat((total[..., :step], reached), dim=-1)
        decay = decay[..., step:] * decay[..., :-step]
        step *= 2
    return total[0], total[1].flip(1)
