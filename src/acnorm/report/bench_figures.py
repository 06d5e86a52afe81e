"""The figures of a bench: paired differences, curves over the number of labels, and cost against gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from acnorm.bench.results import Block
from acnorm.bench.statistics import Difference
from acnorm.report.drawing import INK, MUTED, inline_svg, line_style, plain_numbers, sheet, shorten

LONGEST = 46  # letters of a row's name


@inline_svg("Forest plot: the difference of each from the baseline with its interval, and a line at no difference")
def forest(blocks: Sequence[Block]) -> Figure:
    """Draw each difference from the baseline: a thick line is the interval that decides, a thin one that over patients.

    A filled dot is beyond chance after the correction, an open one is not. Better is on the right, whatever the metric.

    Examples:
        >>> forest([])[:4]
        '<svg'
    """
    rows = [(block, item) for block in blocks for item in block.comparisons if item.runs]
    figure, (axis,) = sheet(1.0 + 0.3 * max(1, len(rows)))
    axis.axvline(0, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    colours = _colours(blocks)
    for place, (block, item) in enumerate(rows):
        colour, difference = colours[item.name], _gain(block, item.difference)
        alone = None if item.over_patients is None else _gain(block, item.over_patients)
        if alone is not None and alone.low is not None and alone.high is not None:
            axis.plot([alone.low, alone.high], [place + 0.22] * 2, color=colour, linewidth=0.9)
        if difference.low is not None and difference.high is not None:
            axis.plot([difference.low, difference.high], [place, place], color=colour, linewidth=2.2)
        beyond = item.verdict in ("better", "worse")
        axis.plot(difference.mean, place, "o", color=colour, markersize=6, markerfacecolor=colour if beyond else "none")
    names = [f"{block.name}: {item.name}" if block.name else item.name for block, item in rows]
    axis.set_yticks(range(len(rows)), [shorten(name, LONGEST) for name in names])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlabel(_gained(blocks))
    axis.xaxis.set_major_formatter(plain_numbers())
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)
    return figure


@inline_svg("Learning curves: the metric by the share of training labels, a line for each that is compared")
def curves(groups: Mapping[str, Sequence[Block]]) -> Figure:
    """Draw the mean of each level by the share of the training labels, with its interval.

    Examples:
        >>> curves({"": []})[:4]
        '<svg'
    """
    columns = min(3, len(groups))
    lines = -(-len(groups) // columns)
    figure, axes = sheet(3.2 * lines + 0.3, columns=columns, rows=lines)
    for axis in axes[len(groups) :]:
        axis.remove()
    names = _names([block for blocks in groups.values() for block in blocks])
    for axis, (title, blocks) in zip(axes, groups.items(), strict=False):
        for at, name in enumerate(names):
            found = [(block.fraction, level.mean) for block in blocks for level in block.levels if level.name == name]
            points = sorted((fraction, mean) for fraction, mean in found if mean is not None)
            shift = 1 + 0.015 * (at - (len(names) - 1) / 2)  # side by side, so that intervals are seen
            axis.plot(
                [shift * fraction for fraction, _ in points],
                [mean.mean for _, mean in points],
                marker="o",
                markersize=4,
                label=shorten(name, 28),
                **line_style(at),
            )
            for fraction, mean in points:
                if mean.low is not None and mean.high is not None:
                    colour = line_style(at)["color"]
                    axis.plot([shift * fraction] * 2, [mean.low, mean.high], color=colour, linewidth=1.1)
        fractions = sorted({block.fraction for block in blocks})
        axis.set_xscale("log")
        axis.set_xticks(fractions, [f"{100 * fraction:g} %" for fraction in fractions])
        axis.minorticks_off()
        axis.set(title=shorten(title, 34), xlabel="training labels")
        axis.yaxis.set_major_formatter(plain_numbers())
    if names:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@inline_svg("Cost against gain: the difference from the baseline by how much longer a run takes")
def cost_and_gain(blocks: Sequence[Block]) -> Figure:
    """Draw the difference of each from the baseline by its time as a multiple of the baseline's; better is above.

    Examples:
        >>> cost_and_gain([])[:4]
        '<svg'
    """
    rows = [(block, item) for block in blocks for item in block.comparisons if item.runs]
    figure, (axis,) = sheet(3.4, width=6.6)
    axis.axhline(0, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    axis.axvline(1, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    colours = _colours(blocks)
    told: set[str] = set()
    for block, item in rows:
        difference, cost = _gain(block, item.difference), item.cost or 1.0
        if difference.low is not None and difference.high is not None:
            axis.plot([cost] * 2, [difference.low, difference.high], color=colours[item.name], linewidth=1.2)
        label = "_again" if item.name in told else shorten(item.name, 28)
        axis.plot([cost], [difference.mean], "o", color=colours[item.name], markersize=6, label=label)
        told.add(item.name)
    axis.set(xlabel="time of a run, as a multiple of the baseline's", ylabel=_gained(blocks))
    axis.xaxis.set_major_locator(MaxNLocator(6))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g} ×"))
    axis.yaxis.set_major_formatter(plain_numbers())
    if told:
        axis.legend(labelcolor=INK)
    return figure


def _gain(block: Block, difference: Difference) -> Difference:
    """The difference turned so that more is better."""
    if not block.lower_is_better:
        return difference
    low, high = (None if end is None else -end for end in (difference.high, difference.low))
    return Difference(-difference.mean, low, high, difference.p)


def _gained(blocks: Sequence[Block]) -> str:
    turned = any(block.lower_is_better for block in blocks)
    return "difference from the baseline" + (", turned so that more is better" if turned else "")


def _names(blocks: Sequence[Block]) -> list[str]:
    """All that is compared, the baseline first: their places in this list are their colours."""
    return list(dict.fromkeys(level.name for block in blocks for level in block.levels))


def _colours(blocks: Sequence[Block]) -> dict[str, str]:
    return {name: str(line_style(at)["color"]) for at, name in enumerate(_names(blocks))}
