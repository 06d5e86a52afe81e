"""The product C·v without the matrix C, in O(C log C), for layers of many channels.

Row i of C keeps exactly the sources within |r_t,i − r_s,i| of r_t,i: a contiguous window once the sources
are sorted. Split at r_t,i, the softmax weights are exp(s_q − t) to the left and exp(t − s_q) to the right,
so a kept sum is a difference of two running sums on each side. The running sums are decayed: the one that
ends at q is measured relative to s_q, as

    B[p] = Σ_{q<p} exp(s_q − s_{p−1}) v_q          A[p] = Σ_{q>=p} exp(s_p − s_q) v_q,

so every factor lies in [0, 1]: nothing overflows however far apart the ratios are, and the cancellation in
a difference is bounded by the rounding of the row's own softmax sum, by which the result is divided.
Both are laid out in the direction in which they run, B ascending and then A descending. Read from its end this
layout is itself again with A in the place of B, so the transposed product, which the gradient needs, scatters with
the same four weights at the places counted from the end and takes the very same running sums. Leading dimensions are
layers of equal width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from acnorm.core.values import has_values


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
    """What ``add_transposed_product`` needs: which running sums, with which weights, each row of C is made of.

    ``entries`` are the sources in ascending and then in descending order; ``spacing`` is what ``_decayed_sums`` takes;
    ``places`` are those of B and A, counted from their end, of the four running sums of each row, rows being in the
    ascending order of their sources.
    """

    entries: Int[Tensor, "*layers 2*channel"]
    spacing: Float[Tensor, "*layers 2 spacing"]
    places: Int[Tensor, "*layers 4*channel"]
    weights: Float[Tensor, "*layers 4 channel"]


class Sources(NamedTuple):
    """Source ratios in ascending order, and what follows from them alone.

    ``order`` are their channels, ``edges`` the ratios with one more on either side, ``entries`` and ``spacing`` those
    of ``Window``.
    """

    ordered: Float[Tensor, "*layers channel"]
    order: Int[Tensor, "*layers channel"]
    edges: Float[Tensor, "*layers channel+2"]
    entries: Int[Tensor, "*layers 2*channel"]
    spacing: Float[Tensor, "*layers 2 spacing"]


def sort_sources(source: Float[Tensor, "*layers channel"]) -> Sources:
    """Return what ``windowed_product`` needs of source ratios, which stay as they are while the target's change.

    Examples:
        >>> sort_sources(torch.tensor([2.0, 1.0])).ordered
        tensor([1., 2.])
    """
    ordered, order = source.sort()
    # beyond the ends: so far that its weight is zero, and finite, so that differences are no NaN
    edges = pad(ordered, (1, 1), value=torch.finfo(ordered.dtype).max / 4)
    return Sources(ordered, order, edges, torch.cat((order, order.flip(-1)), dim=-1), _spacing(ordered))


def windowed_product(
    values: Float[Tensor, "*layers row channel"],
    target: Float[Tensor, "*layers channel"],
    source: Float[Tensor, "*layers channel"] | Sources,
) -> tuple[Float[Tensor, "*layers row channel"], Window]:
    """Return C·v for every row v of ``values``, C being the channel correlation at temperature 1.

    Args:
        values: what is borrowed, γ and β as two rows.
        target: r_t / temperature.
        source: r_s / temperature, or what ``sort_sources`` gave for them.

    Returns:
        The product, and the window with which ``add_transposed_product`` gives v + Cᵀ·v.

    Examples:
        >>> ratio = torch.tensor([0.0, 1.0])
        >>> windowed_product(torch.ones(1, 2), ratio, ratio)[0]
        tensor([[0.7311, 0.7311]])
    """
    ordered, order, edges, entries, spacing = source if isinstance(source, Sources) else sort_sources(source)
    # from here on row i is that of the i-th source in ascending order: near the source targets ascend as well, and
    # processors look up in order what comes in order three times as fast
    target = target.gather(-1, order)
    low_edge, high_edge = (edge.contiguous() for edge in kept_interval(target, ordered))
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

    rows, last = values.shape[-2], 2 * ordered.shape[-1] + 1
    places = torch.cat((middle, last - middle, low, last - high), dim=-1)
    ordered_values = pad(_along(values, entries), (0, 0, 0, 1), value=1.0)  # the last row sums the softmax
    sums = pad(_decayed_sums(torch.unflatten(ordered_values, -1, (2, -1)), spacing), (1, 0)).flatten(-2)
    sums = torch.unflatten(_along(sums, places), -1, (4, -1))
    weights = torch.cat((near, -far), dim=-2)
    weights /= (near * sums[..., rows, :2, :]).sum(-2, keepdim=True)
    product = (weights[..., None, :, :] * sums[..., :rows, :, :]).sum(-2)
    product = product.scatter(-1, order.unsqueeze(-2).expand_as(product), product)  # back to the order of channels
    return product, Window(entries, spacing, last - places, weights)


def add_transposed_product(
    values: Float[Tensor, "*layers row channel"], window: Window
) -> Float[Tensor, "*layers row channel"]:
    """Return v + Cᵀ·v for every row v of ``values``.

    Examples:
        >>> ratio = torch.tensor([0.0, 1.0])
        >>> add_transposed_product(torch.ones(1, 2), windowed_product(torch.ones(1, 2), ratio, ratio)[1])
        tensor([[1.7311, 1.7311]])
    """
    entries, spacing, places, weights = window
    rows, channels = values.shape[:-1], values.shape[-1]
    shares = _along(values, entries[..., :channels])
    shares = (weights.unsqueeze(-3) * shares.unsqueeze(-2)).view(*rows, 4 * channels)
    sums = values.new_zeros(*rows, 2 * channels + 2).scatter_add(-1, places.unsqueeze(-2).expand_as(shares), shares)
    # the last of each direction is the empty sum, to which nothing belongs
    gathered = _decayed_sums(sums.view(*rows, 2, channels + 1)[..., :-1], spacing).view(*rows, 2 * channels)
    return values.scatter_add(-1, entries.unsqueeze(-2).expand_as(gathered), gathered)


def _along(rows: Tensor, places: Tensor) -> Tensor:
    """The same places of every row."""
    return rows.gather(-1, places.unsqueeze(-2).expand(*rows.shape[:-1], -1))


FAR = 50.0  # exp(-50) is nothing beside the 1e-16 to which a float64 is exact
WIDEST = 1200.0  # exp(±600) is within float64 with room for sums


def _spacing(ordered: Tensor) -> Tensor:
    """Return what ``_decayed_sums`` needs of ascending ratios s and of the same descending, as two rows.

    C values each, exp(s) and exp(−s), where all fit in a float64, gaps over 50 being cut to 50; otherwise the C − 1
    decays exp(−|s_p − s_{p−1}|).
    """
    gaps = ordered[..., 1:] - ordered[..., :-1]
    if ordered.dtype == torch.float64 and has_values(ordered) and ordered.shape[-1] > 1:
        position = pad(gaps.clamp(max=FAR).cumsum(-1), (1, 0))
        if float(position[..., -1].max()) < WIDEST:
            position -= position[..., -1:] / 2
            return torch.exp(torch.stack((position, -position.flip(-1)), dim=-2))
    return torch.exp(torch.stack((-gaps, -gaps.flip(-1)), dim=-2))


def _decayed_sums(values: Tensor, spacing: Tensor) -> Tensor:
    """Return Σ_{q<=p} exp(−|s_p − s_q|) v_q for every p of every row."""
    spacing = spacing.unsqueeze(-3)
    if spacing.shape[-1] == values.shape[-1]:
        return (values * spacing).cumsum(-1) / spacing
    # whatever the ratios: double the reach log2(C) times
    total, decay, step = values, spacing, 1
    while step < values.shape[-1]:
        reached = torch.addcmul(total[..., step:], total[..., :-step], decay)
        total = torch.cat((total[..., :step], reached), dim=-1)
        decay = decay[..., step:] * decay[..., :-step]
        step *= 2
    return total
