"""AC-Norm's own figures: what it does in each layer, and the channel correlation of one layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from safetensors import SafetensorError, safe_open

from acnorm.core.correlation import affine_ratio, channel_correlation
from acnorm.core.partners import PERMUTED
from acnorm.errors import UserError
from acnorm.report.drawing import BLUES, MUTED, PALETTE, inline_svg, plain_numbers, sheet, shorten
from acnorm.report.records import ACNormFacts, LayerFacts

Array = npt.NDArray[np.float32]
NAMED = 40  # layers: above this only some are named under the axis
PIXELS = 256  # channels: above this the correlation is shown in blocks
RASTER = 500  # points: above this they are drawn as an image


@inline_svg("Gain, sparsity of the correlation and drift of the ratios, layer by layer")
def layers(facts: Sequence[LayerFacts]) -> Figure:
    """Gain, sparsity and drift of each recalibrated layer, from input to output.

    Examples:
        >>> layers([LayerFacts("bn1", channels=16, gain=1.1, sparsity=0.5, drift=0.02)])[:4]
        '<svg'
    """
    figure, axes = sheet(5.6, rows=3)
    places = np.arange(len(facts))
    step = -(-len(facts) // NAMED) if facts else 1
    for axis, title, values, base in (
        (axes[0], "Gain of the affine (1 = plain)", [layer.gain for layer in facts], 1.0),
        (axes[1], "Share of zeros in the correlation", [layer.sparsity for layer in facts], 0.0),
        (axes[2], "Mean drift of the ratio β / |γ|", [layer.drift for layer in facts], 0.0),
    ):
        axis.vlines(places, base, values, color=PALETTE[0], linewidth=2.2)
        axis.plot(places, values, "o", color=PALETTE[0], markersize=4.5)
        axis.axhline(base, color=MUTED, linewidth=0.8)
        axis.set_title(title)
        axis.set_xticks(places[::step], [""] * len(places[::step]))
        axis.set_xlim(-0.7, len(facts) - 0.3)
        axis.yaxis.set_major_formatter(plain_numbers())
        axis.grid(axis="x", visible=False)
    axes[1].set_ylim(0, 1.05)
    names = [_tail(layer.name) for layer in facts[::step]]
    axes[2].set_xticks(places[::step], names, rotation=50, ha="right", rotation_mode="anchor", fontsize=8)
    return figure


def _tail(name: str, length: int = 24) -> str:
    return name if len(name) <= length else "…" + name[1 - length :]


def most_drifted(facts: ACNormFacts) -> LayerFacts | None:
    """The layer whose ratios moved furthest from the source; None without layers or their tensors.

    Examples:
        >>> most_drifted(ACNormFacts(1.0, 1e-5, layers=(), left_alone=(), tensors=None)) is None
        True
    """
    if facts.tensors is None or not facts.layers:
        return None
    return max(facts.layers, key=lambda layer: layer.drift)


def correlation(facts: ACNormFacts, layer: LayerFacts) -> str:
    """The channel correlation of one layer as an image, and its ratios in source and target.

    Raises:
        UserError: `acnorm.safetensors` cannot be read, or lacks the layer.
    """
    if facts.tensors is None:
        raise ValueError("this run has no acnorm.safetensors")
    try:
        with safe_open(facts.tensors, framework="pt") as file:
            parts = [file.get_tensor(f"{layer.name}.{part}") for part in _PARTS]
            order = file.get_tensor(f"{layer.name}.partner_order") if facts.partners == PERMUTED else None
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"'{facts.tensors}' cannot be read for layer '{layer.name}' ({error}); "
            "run it again, or move that file away to leave its section out."
        ) from None
    weight, bias, source_weight, source_bias = parts
    target = affine_ratio(weight, bias, eps=facts.eps)
    source = affine_ratio(source_weight, source_bias, eps=facts.eps)
    matrix = channel_correlation(target, source, temperature=facts.temperature, partners=facts.partners, order=order)
    return _correlation(matrix.float().numpy(), source.float().numpy(), target.float().numpy(), layer.name)


_PARTS = ("weight", "bias", "source_weight", "source_bias")


@inline_svg("Channel correlation of one layer as a matrix, and the ratio of each channel in source and target")
def _correlation(matrix: Array, source: Array, target: Array, name: str) -> Figure:
    figure, (image, scatter) = sheet(4.3, columns=2)
    order = np.argsort(source, kind="stable")
    blocks = in_blocks(matrix[np.ix_(order, order)], PIXELS)
    shown = image.imshow(np.ma.masked_equal(blocks, 0), cmap=BLUES, vmin=0, interpolation="nearest")
    bar = figure.colorbar(shown, ax=image, shrink=0.8)
    bar.outline.set_visible(False)
    image.set(title=f"Correlation C of {shorten(name, 28)}", xlabel="source channel", ylabel="target channel")
    image.set_xticks([])
    image.set_yticks([])
    image.grid(visible=False)
    ends = [min(source.min(), target.min()), max(source.max(), target.max())]
    scatter.plot(ends, ends, color=MUTED, linewidth=1, linestyle=":")
    scatter.scatter(source, target, s=18, alpha=0.7, linewidth=0, rasterized=len(source) > RASTER)
    scatter.set(title="Ratio β / |γ| of each channel", xlabel="source", ylabel="target, after fine-tuning")
    return figure


def in_blocks(matrix: Array, side: int) -> Array:
    """The matrix at no more than `side` pixels: of each block the largest entry, so that none is lost.

    Examples:
        >>> in_blocks(np.eye(4, dtype=np.float32), 2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    step = -(-len(matrix) // side)
    padding = -len(matrix) % step
    padded = np.pad(matrix, (0, padding))
    count = len(padded) // step
    blocks: Array = padded.reshape(count, step, count, step).max(axis=(1, 3))
    return blocks
