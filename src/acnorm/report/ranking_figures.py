"""The figures of a ranking: scores with their intervals, and scores against results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from acnorm.bench.found_results import Results
from acnorm.bench.judging import judged
from acnorm.bench.words import metric_in_words
from acnorm.ranking.result import Candidate, Ranking, Score
from acnorm.report.drawing import MUTED, PALETTE, inline_svg, plain_numbers, sheet, shorten

COLUMNS = 3


@inline_svg("Scores of each measure with their intervals, a row a candidate; random initialisation is the dashed line")
def intervals(ranking: Ranking) -> Figure:
    """Draw the scores of each measure in a panel of its own: filled dots cannot be told from the highest.

    Examples:
        >>> from acnorm.ranking.result import Score
        >>> candidate = Candidate("a.pth", scores={"knn": Score(0.8, 0.7, 0.9, place=1)})
        >>> intervals(Ranking((candidate,), "", ("a.pth",)))[:4]
        '<svg'
    """
    names = [name for name in ranking.measures if any(item.scores[name].value is not None for item in _all(ranking))]
    figure, axes = _panels(names, 0.8 + 0.26 * len(ranking.candidates))
    for at, (axis, name) in enumerate(zip(axes, names, strict=False)):
        for item in ranking.baselines:
            value = item.scores[name].value
            if value is not None and name not in ranking.incomparable:
                axis.axvline(value, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
        for place, item in enumerate(ranking.candidates):
            _interval(axis, place, item.scores[name])
        labels = [shorten(Path(item.weights).stem, 24) for item in ranking.candidates] if at % COLUMNS == 0 else []
        axis.set_yticks(range(len(ranking.candidates)), labels or [""] * len(ranking.candidates))
        axis.set_ylim(len(ranking.candidates) - 0.5, -0.5)
        axis.set_title(name)
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
    return figure


def _all(ranking: Ranking) -> tuple[Candidate, ...]:
    return (*ranking.candidates, *ranking.baselines)


def _panels(names: Sequence[str], height: float) -> tuple[Figure, list[Axes]]:
    lines = max(1, -(-len(names) // COLUMNS))
    figure, axes = sheet(height * lines + 0.2, columns=min(COLUMNS, max(1, len(names))), rows=lines)
    for axis in axes[len(names) :]:
        axis.remove()
    for axis in axes[: len(names)]:
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.xaxis.set_major_formatter(plain_numbers())
    return figure, axes


def _interval(axis: Axes, place: int, score: Score) -> None:
    if score.value is None:
        return
    colour = PALETTE[0]
    if score.low is not None and score.high is not None:
        axis.plot([score.low, score.high], [place, place], color=colour, linewidth=2)
    axis.plot(score.value, place, "o", color=colour, markersize=6, markerfacecolor=colour if score.tied else "none")


@inline_svg("Results after fine-tuning by the score of each measure, a dot a candidate")
def against(ranking: Ranking, results: Results) -> Figure:
    """Draw what fine-tuning gave by the score of each measure, with weighted τ and regret; the picked one is ringed.

    Examples:
        >>> from acnorm.ranking.result import Score
        >>> candidate = Candidate("a.pth", scores={"knn": Score(0.8)})
        >>> against(Ranking((candidate,), "", ("a.pth",)), Results("vanilla", "dice", {"a.pth": 0.5}))[:4]
        '<svg'
    """
    names = [
        name
        for name in ranking.measures
        if name not in ranking.incomparable and len(_pairs(ranking, results, name)) > 1
    ]
    figure, axes = _panels(names, 2.6)
    for at, (axis, name) in enumerate(zip(axes, names, strict=False)):
        pairs = _pairs(ranking, results, name)
        one = judged(results.better, {item.weights: item.scores[name].value for item in ranking.candidates})
        axis.plot(*zip(*pairs, strict=True), "o", color=PALETTE[0], markersize=6)
        axis.plot(*max(pairs), "o", color=PALETTE[1], markersize=12, markerfacecolor="none")
        tau = "" if one.tau != one.tau else f"τ {one.tau:+.2f}, "
        axis.set_title(f"{name}\n{tau}regret {one.regret:.3f}", fontsize=9)
        axis.yaxis.set_major_formatter(plain_numbers())
        if at % COLUMNS == 0:
            axis.set_ylabel(metric_in_words(results.metric))
    return figure


def _pairs(ranking: Ranking, results: Results, name: str) -> list[tuple[float, float]]:
    return [
        (value, results.by_weights[item.weights])
        for item in ranking.candidates
        if (value := item.scores[name].value) is not None and item.weights in results.by_weights
    ]
