"""The figures of a study: how far measures order the candidates, and what is lost by what they pick."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from acnorm.bench.judging import Estimate, Judged
from acnorm.bench.study import Judgement
from acnorm.bench.study_rows import Row
from acnorm.report.drawing import MUTED, PALETTE, inline_svg, plain_numbers, sheet, shorten


@inline_svg("Weighted τ of each measure: the mean over targets with its interval, and each target")
def orders(item: Judgement) -> Figure:
    """Draw weighted τ of each measure.

    Examples:
        >>> orders.__name__
        'orders'
    """
    rows = sorted(item.measures, key=lambda row: -row.tau.mean if row.tau.targets else 9.0)
    return _forest(rows, lambda row: row.tau, lambda one: one.tau, "weighted τ: 1 is the order of the results")


@inline_svg("Regret of each measure and rule: the mean over targets with its interval, and each target")
def regrets(item: Judgement) -> Figure:
    """Draw regret of each measure, and in another colour of each rule.

    Examples:
        >>> regrets.__name__
        'regrets'
    """
    both = [*item.measures, *item.rules]
    rows = sorted((row for row in both if row.regret.targets), key=lambda row: row.regret.mean)
    rules = [row.name for row in item.rules]
    return _forest(rows, lambda row: row.regret, lambda one: one.regret, "regret: what the pick loses", rules)


def _forest(
    rows: Sequence[Row],
    mean: Callable[[Row], Estimate],
    single: Callable[[Judged], float],
    label: str,
    rules: Sequence[str] = (),
) -> Figure:
    figure, (axis,) = sheet(1.0 + 0.27 * max(1, len(rows)))
    axis.axvline(0, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    for place, row in enumerate(rows):
        value, colour = mean(row), PALETTE[1 if row.name in rules else 0]
        each = [single(one) for one in row.by_target.values()]
        axis.plot(each, [place] * len(each), "|", color=MUTED, markersize=7)
        if value.low is not None and value.high is not None:
            axis.plot([value.low, value.high], [place, place], color=colour, linewidth=2.2)
        if value.targets:
            axis.plot(value.mean, place, "o", color=colour, markersize=6)
    axis.set_yticks(range(len(rows)), [shorten(row.name, 40) for row in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlabel(label)
    axis.xaxis.set_major_formatter(plain_numbers())
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)
    return figure
