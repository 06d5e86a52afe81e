"""The tables of a study as rows of texts, the head first."""

from __future__ import annotations

from collections.abc import Sequence

from acnorm.bench.judging import Estimate
from acnorm.bench.study import Judgement
from acnorm.bench.study_means import in_words
from acnorm.bench.study_rows import Row
from acnorm.bench.study_words import number
from acnorm.report import summary

MEASURES = (
    "measure",
    "scored",
    "weighted τ",
    "Spearman",
    "targets + / −",
    "regret",
    "top-1",
    "regret − best elsewhere",
)
RULES = ("rule", "regret", "top-1", "regret − best elsewhere")


def measure_cells(row: Row) -> list[str]:
    """Return the cells of a measure's row, in the order of ``MEASURES``.

    Examples:
        >>> nothing = Estimate(float("nan"))
        >>> measure_cells(Row("knn", {}, nothing, nothing, nothing, nothing, nothing, nothing))[:2]
        ['knn', '0 of 0']
    """
    scored = sum(item.scored for item in row.by_target.values())
    of = sum(item.candidates for item in row.by_target.values())
    signs = f"{row.positive} / {row.negative}"
    figures = [number(row.regret), _share(row.hits), number(row.less, "+")]
    return [row.name, f"{scored} of {of}", number(row.tau, "+"), number(row.spearman, "+"), signs, *figures]


def rule_cells(row: Row) -> list[str]:
    """Return the cells of a rule's row, in the order of ``RULES``.

    Examples:
        >>> nothing = Estimate(float("nan"))
        >>> rule_cells(Row("largest", {}, nothing, nothing, nothing, nothing, nothing, nothing))
        ['largest', '–', '–', '–']
    """
    return [row.name, number(row.regret), _share(row.hits), number(row.less, "+")]


def _share(value: Estimate) -> str:
    return "–" if value.mean != value.mean else f"{value.mean * value.targets:.3g} of {value.targets}"


def target_cells(item: Judgement) -> list[list[str]]:
    """Return a table of weighted τ, and regret in brackets, of each measure on each target, with its head.

    Examples:
        >>> target_cells.__name__
        'target_cells'
    """
    rows = [["weighted τ (regret)", *item.results]]
    for row in item.measures:
        found = [row.by_target[target] for target in item.results]
        rows.append([row.name, *(f"{_plain(one.tau, '+.2f')} ({_plain(one.regret, '.3f')})" for one in found)])
    return rows


def _plain(value: float, form: str) -> str:
    return "–" if value != value else f"{value:{form}}"


def layer_cells(item: Judgement) -> list[list[str]]:
    """Return a table of the rank correlation of Σ C of each single layer, by length of the probe, with its head.

    Examples:
        >>> layer_cells.__name__
        'layer_cells'
    """
    if not any(item.layers.values()):
        return []
    rows = [["Spearman of Σ C of one layer", *(in_words(length) for length in item.layers)]]
    by_length = [{row.name: row for row in each} for each in item.layers.values()]
    for name in by_length[0]:
        rows.append([name, *(f"{number(each[name].spearman, '+')} {_signs(each[name])}" for each in by_length)])
    return rows


def _signs(row: Row) -> str:
    return f"({row.positive} + / {row.negative} −)"


def result_cells(item: Judgement) -> list[list[str]]:
    """Return a table of what fine-tuning gave, a row a candidate, with its head.

    Examples:
        >>> result_cells.__name__
        'result_cells'
    """
    truth = item.truth
    targets = list(truth.results)
    names = dict.fromkeys(name for results in truth.results.values() for name in results)
    rows = [["candidate", *(f"{target}, {summary.metric_name(truth.metrics[target])}" for target in targets)]]
    for name in names:
        rows.append([name, *(_result(item, target, name) for target in targets)])
    return rows


def _result(item: Judgement, target: str, name: str) -> str:
    if name not in item.truth.results[target]:
        return "–"
    spread = item.truth.deviations[target][name]
    told = f"{item.truth.results[target][name]:.3f}" + ("" if spread != spread else f" ± {spread:.3f}")
    return f"{told} ({item.truth.runs[target][name]})"


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Return rules with those that lose least first, those without a figure last.

    Examples:
        >>> ordered([])
        []
    """
    return sorted(rows, key=lambda row: (row.regret.mean != row.regret.mean, row.regret.mean))
