"""The product C·v without the matrix C, in O(C log C), for layers of many channels.

Row i of C keeps exactly the sources within |r_t,i − r_s,i| of r_t,i: a contiguous window once the sources
are sorted. Split at r_t,i, the softmax weights are exp(s_q − t) to the left and exp(t − s_q) to the right,
so a kept sum is a difference of two running sums on each side. The running sums are decayed: the one that
ends at q is measured relative to s_q, as

    B[p] = Σ_{q<p} exp(s_q − s_{p−1}) v_q          A[p] = Σ_{q>=p} exp(s_p − s_q) v_q,

so every factor lies in [0, 1]: nothing overflows however far apart the ratios are, and the cancellation in
a difference is bounded by the rounding of the row's own softmax sum, by which the result is divided.
The transposed product, which the gradient needs, runs the same steps backwards: scatter with the same four
weights, then the running sums in the other direction. Leading dimensions are layers of equal width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad


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


class Window(NamedTuple):
    """Each row's window: the four running sums that it is made of, as places in (B, A), and their weights."""

    order: Int[Tensor, "*layers channel"]
    source: Float[Tensor, "*layers channel"]
    places: Int[Tensor, "*layers 4*channel"]
    weights: Float[Tensor, "*layers 4 channel"]


def windowed_product(
    values: Float[Tensor, "*layers row channel"],
    target: Float[Tensor, "*layers channel"],
    source: Float[Tensor, "*layers channel"],
) -> tuple[Float[Tensor, "*layers row channel"], Window]:
    """Return C·v for every row v of ``values``, C being the channel correlation at temperature 1.

    Args:
        values: what is borrowed, γ and β as two rows.
        target: r_t / temperature.
        source: r_s / temperature.

    Returns:
        The product, and the window with which ``transposed_product`` gives Cᵀ·v.

    Examples:
        >>> ratio = torch.tensor([0.0, 1.0])
        >>> windowed_product(torch.ones(1, 2), ratio, ratio)[0]
        tensor([[0.7311, 0.7311]])
    """
    target, (ordered, order) = target.contiguous(), source.sort()
    # beyond the ends: so far that its weight is zero, and finite, so that differences are no NaN
    edges = pad(ordered, (1, 1), value=torch.finfo(ordered.dtype).max / 4)
    low_edge, high_edge = (edge.contiguous() for edge in kept_interval(target, source))
    middle = torch.searchsorted(ordered, target, right=True)
    # min and max: rounding may put the mirror image of s_i on the wrong side of t_i
    low = torch.minimum(torch.searchsorted(ordered, low_edge), middle)
    high = torch.maximum(torch.searchsorted(ordered, high_edge, right=True), middle)
    ends = torch.cat((middle, middle + 1, low, high + 1), dim=-1)
    inner, outer = torch.unflatten(edges.gather(-1, ends), -1, (2, 2, -1)).unbind(-3)
    distance = (inner - target[..., None, :]).abs_()
    near = torch.exp(distance.amin(-2, keepdim=True) - distance)
    # outer minus inner, not outer minus t: between sources the difference is exact however far t is
    far = torch.exp((outer - inner).abs_().neg_()).mul_(near)
    after = source.shape[-1] + 1
    places = torch.cat((middle, middle + after, low, high + after), dim=-1)

    rows = values.shape[-2]
    ordered_values = pad(_along(values, order), (0, 0, 0, 1), value=1.0)  # the last row sums the softmax
    before, behind = _decayed_sums(ordered_values, ordered_values, ordered)
    sums = _along(torch.cat((pad(before, (1, 0)), pad(behind, (0, 1))), dim=-1), places)
    sums = torch.unflatten(sums, -1, (4, -1))
    weights = torch.cat((near, -far), dim=-2)
    weights /= (near * sums[..., rows, :2, :]).sum(-2, keepdim=True)
    product = (weights[..., None, :, :] * sums[..., :rows, :, :]).sum(-2)
    return product, Window(order, ordered, places, weights)


def transposed_product(
    values: Float[Tensor, "*layers row channel"], window: Window
) -> Float[Tensor, "*layers row channel"]:
    """Return Cᵀ·v for every row v of ``values``.

    Examples:
        >>> ratio = torch.tensor([0.0, 1.0])
        >>> transposed_product(torch.ones(1, 2), windowed_product(torch.ones(1, 2), ratio, ratio)[1])
        tensor([[0.7311, 0.7311]])
    """
    order, source, places, weights = window
    channels = values.shape[-1]
    sums = values.new_zeros(*values.shape[:-1], 2 * channels + 2)
    shares = (weights[..., None, :, :] * values[..., None, :]).reshape(*values.shape[:-1], -1)
    sums = sums.scatter_add(-1, places[..., None, :].expand_as(shares), shares)
    # B[p] holds what q < p gave, so its gradient goes to them: up and down change places
    from_after, from_before = _decayed_sums(sums[..., channels + 1 : -1], sums[..., 1 : channels + 1], source)
    gathered = from_after + from_before
    return torch.empty_like(gathered).scatter(-1, order[..., None, :].expand_as(gathered), gathered)


def _along(rows: Tensor, places: Tensor) -> Tensor:
    """The same places of every row."""
    return rows.gather(-1, places[..., None, :].expand(*rows.shape[:-1], -1))


FAR = 50.0  # exp(-50) is nothing beside the 1e-16 to which a float64 is exact
WIDEST = 1200.0  # exp(±600) is within float64 with room for sums


def _decayed_sums(upward: Tensor, downward: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """Return Σ_{q<=p} exp(s_q − s_p) u_q and Σ_{q>=p} exp(s_p − s_q) d_q for ascending s.

    Where all exp(s) fit in a float64, gaps over 50 being cut to 50, these are two cumulative sums.
    """
    position = (source[..., 1:] - source[..., :-1]).clamp(max=FAR)
    if _can_look(source) and source.shape[-1] > 1:
        position = pad(position.cumsum(-1), (1, 0))
        if _below(WIDEST, position[..., -1]):
            growth = torch.exp(position - position[..., -1:] / 2)[..., None, :]
            before = (upward * growth).cumsum(-1) / growth
            behind = (downward / growth).flip(-1).cumsum(-1).flip(-1) * growth
            return before, behind
    return _doubled_sums(upward, downward, source)


def _can_look(source: Tensor) -> bool:
    # not at values that are on a GPU, which would wait for it, nor at those of a tensor that is traced
    looks = source.dtype == torch.float64 and source.device.type == "cpu" and type(source) is Tensor
    return looks and not torch.compiler.is_compiling()


def _below(limit: float, values: Tensor) -> bool:
    try:
        return float(values.max()) < limit
    except RuntimeError:  # a batch of torch.func.vmap, which has no single value
        return False


def _doubled_sums(upward: Tensor, downward: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """The same whatever the ratios: double the reach log2(C) times, both directions at once."""
    total = torch.stack((upward, downward.flip(-1)))
    decay = torch.exp(source[..., :-1] - source[..., 1:])
    decay = torch.stack((decay, decay.flip(-1)))[..., None, :]  # from the neighbour on the left, then from further left
    step = 1
    while step < source.shape[-1]:
        reached = torch.addcmul(total[..., step:], total[..., :-step], decay)
        total = torch.cat((total[..., :step], reached), dim=-1)
        decay = decay[..., step:] * decay[..., :-step]
        step *= 2
    return total[0], total[1].flip(-1)
