"""The critical-difference diagram of Demsar (JMLR 2006): mean ranks on a line, bars over those that are alike."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from acnorm.bench.over_tasks import OverTasks
from acnorm.report.drawing import INK, MUTED, PALETTE, inline_svg, sheet, shorten

LINE = 0.27  # inches between rows
LONGEST = 34  # letters of a name
BAR = PALETTE[0]


@inline_svg("Critical-difference diagram: mean rank of each over tasks, best first, and bars over those that are alike")
def critical_difference_diagram(over: OverTasks) -> Figure:
    """Draw mean ranks over tasks; what a bar joins cannot be told apart by Nemenyi's test.

    The better half is named on the left, the others on the right.

    Examples:
        >>> over = OverTasks(("a", "b", "c"), ("x", "y", "z"), (), ("dice",), (1.0, 2.0, 3.0), critical=1.9)
        >>> critical_difference_diagram(over)[:4]
        '<svg'
    """
    order = sorted(range(len(over.names)), key=lambda at: over.ranks[at])
    half = ceil(len(order) / 2)
    rows = 1.3 + len(over.groups) + half
    figure, (axis,) = sheet(LINE * (rows + 1.4), width=8.2)
    best, worst = floor(min(over.ranks)), ceil(max(over.ranks))
    worst = max(worst, best + 1)
    _scale(axis, best, worst, over.critical)
    ranks = dict(zip(over.names, over.ranks, strict=True))
    for at, group in enumerate(over.groups):
        _bar(axis, [ranks[name] for name in group], 1.0 + at)
    first = 1.6 + len(over.groups)
    margin = 0.04 * (worst - best)
    for place, at in enumerate(order):
        left = place < half
        row = first + (place if left else len(order) - 1 - place)
        edge = best - margin if left else worst + margin
        _name(axis, over.names[at], over.ranks[at], row, edge, left=left)
    axis.set_ylim(rows, -1.6)
    right = worst + margin + 0.5 * (worst - best)
    axis.set_xlim(best - margin - 0.5 * (worst - best), max(right, best + 1.3 * (over.critical or 0)))
    axis.axis("off")
    return figure


def _scale(axis: Axes, best: int, worst: int, critical: float | None) -> None:
    """The line of ranks, and above it how far apart they must be."""
    axis.plot([best, worst], [0, 0], color=MUTED, linewidth=1.2)
    for rank in range(best, worst + 1):
        axis.plot([rank, rank], [0, -0.22], color=MUTED, linewidth=1.2)
        axis.text(rank, -0.34, str(rank), ha="center", va="bottom", color=MUTED)
    if critical is None:
        return
    at = (best, best + critical)
    axis.plot(at, [-1.25] * 2, color=INK, linewidth=1.4, marker="|", markersize=6)
    told = f"critical difference {critical:.2f}"
    axis.annotate(told, (at[1], -1.25), (6, 0), textcoords="offset points", ha="left", va="center", fontsize=8.5)


def _bar(axis: Axes, ranks: Sequence[float], row: float) -> None:
    axis.plot([min(ranks), max(ranks)], [row, row], color=BAR, linewidth=4.5, solid_capstyle="round")


def _name(axis: Axes, name: str, rank: float, row: float, edge: float, *, left: bool) -> None:
    """A line from the rank down to the row, then out to the name."""
    axis.plot([rank, rank, edge], [0, row, row], color=MUTED, linewidth=1.0)
    axis.plot(rank, 0, "o", color=INK, markersize=4.5)
    told = f"{shorten(name, LONGEST)}  {rank:.2f}" if left else f"{rank:.2f}  {shorten(name, LONGEST)}"
    axis.annotate(
        told,
        (edge, row),
        (-5 if left else 5, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
    )
