"""What a study allows to say, in plain sentences, and what must be known before its figures are believed."""

from __future__ import annotations

from collections.abc import Sequence

from acnorm.bench.judging import Estimate
from acnorm.bench.study import FEW_TARGETS, Judgement, Study
from acnorm.bench.study_rows import AT_RANDOM, ELSEWHERE, LEAST_TARGETS, Row, side_of
from acnorm.bench.words import unfinished_sentence
from acnorm.errors import counted


def number(value: Estimate, sign: str = "") -> str:
    """Return a mean over targets with its interval.

    Examples:
        >>> number(Estimate(0.5, 0.25, 0.75, 4)), number(Estimate(0.5, targets=2)), number(Estimate(float("nan")))
        ('0.500 [0.250, 0.750]', '0.500', '–')
    """
    if value.mean != value.mean:
        return "–"
    told = f"{value.mean:{sign}.3f}"
    return told if value.low is None else f"{told} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def sentences(judgement: Judgement) -> list[str]:
    """Return what can be concluded under one way of fine-tuning.

    Examples:
        >>> sentences.__name__
        'sentences'
    """
    rows = [row for row in judgement.measures if row.regret.targets]
    if not rows:
        return ["No measure has scores of two candidates with results: nothing can be said."]
    rules = {row.name: row for row in judgement.rules}
    most = max(row.regret.targets for row in rows)
    whole = [row for row in rows if row.regret.targets == most]  # means over other targets say nothing of each other
    least = min(whole, key=lambda row: row.regret.mean)
    left_out = f" with scores on most targets ({most})" * (len(whole) < len(rows))
    told = [
        f"Of {len(whole)} measures{left_out} {least.name} loses least on average by the candidate it picks: "
        f"{number(least.regret)}; a random pick loses {number(rules[AT_RANDOM].regret)}{_elsewhere(rules[ELSEWHERE])}."
    ]
    if most < LEAST_TARGETS:
        return [*told, _too_few(most)]
    than_random = [row.name for row in rows if side_of(row.than_random) < 0]
    than_elsewhere = [row.name for row in rows if side_of(row.less) < 0]
    for names, what in ((than_random, "a random pick"), (than_elsewhere, f"the candidate that is {ELSEWHERE}")):
        told.append(f"{_listed(names)} less than {what} beyond chance over the targets.")
    told += _directions(rows)
    if than_random or than_elsewhere or any(row.direction != "open" for row in rows):
        told.append(
            f"No correction is made for the number of measures ({len(rows)}): of several, chance alone may make one "
            "stand out."
        )
    return told


def _elsewhere(rule: Row) -> str:
    told = f" and the candidate that is {ELSEWHERE} {number(rule.regret)}"
    return told if rule.regret.targets else ""


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "No measure loses"
    return f"{', '.join(names)} {'loses' if len(names) == 1 else 'lose'}"


def _too_few(count: int) -> str:
    return (
        f"With {counted(count, 'target')} nothing can be concluded beyond chance: even being right on all of "
        f"them is, with fewer than {LEAST_TARGETS}, not rarer than once in twenty."
    )


def _directions(rows: Sequence[Row]) -> list[str]:
    known = [row for row in rows if row.direction != "open"]
    if not known:
        return ["Of no measure is the direction known: the intervals of all rank correlations hold 0."]
    told = ", ".join(f"{row.name} ({row.direction})" for row in known)
    return [f"Measures whose direction is beyond chance: {told}."]


def cautions(study: Study) -> list[str]:
    """Return what must be known before the figures are believed.

    Examples:
        >>> cautions(Study((), (), (), 3, False, True, 0, 0))
        ['All candidates have as many parameters: the rule "largest" says nothing here.']
    """
    told = []
    if study.unfinished:
        told.append(unfinished_sentence(study.unfinished, study.cells))
    if 0 < len(study.targets) < FEW_TARGETS:
        count = len(study.targets)
        limits = "are too narrow with so few" if count > 2 else "take three, and there are none"
        targets = f"There {'are' if count > 1 else 'is'} {counted(count, 'target')}"
        told.append(f"{targets}: intervals {limits}, and figures say nothing about other kinds of data.")
    if study.one_size:
        told.append('All candidates have as many parameters: the rule "largest" says nothing here.')
    metrics = sorted({name for item in study.judgements for name in item.truth.metrics.values()})
    if len(metrics) > 1:
        told.append(f"Targets have different metrics ({', '.join(metrics)}): regret is a mean over these as they are.")
    uneven = sorted({name for item in study.judgements for name in item.truth.uneven})
    if uneven:
        told.append(f"{', '.join(uneven)}: no seed is finished for all candidates; means are of different runs.")
    single = [item.truth.name for item in study.judgements if _single(item)]
    if single:
        told.append(f"{', '.join(single)}: some results are of one run; chance in training alone can order candidates.")
    return told


def _single(item: Judgement) -> bool:
    return any(count < 2 for runs in item.truth.runs.values() for count in runs.values())


def basis(study: Study) -> str:
    """Return what the figures are made of.

    Examples:
        >>> basis(Study((), (), ("1", "epoch"), 3, False, True, 0, 0)).endswith("no candidate, but a rule.")
        True
    """
    told = [
        "Scores are of the training cases of the runs that they are compared with, a mean over their divisions into "
        "splits. Weighted τ is Vigna's, 1 for the same order and −1 for the reverse, of the candidates that have both "
        "a score and a result; regret is the best candidate's result less that of the picked one, and a hit is to have "
        "picked the best. Intervals are 95 % of the bootstrap over targets; of several measures the best looks better "
        "than it is.",
    ]
    if study.lengths:
        seeds = f"{study.seeds} probe seed{'s' * (study.seeds > 1)} a division"
        told.append(
            "AC-Corr and affine drift are read after a probe of plain SGD (0.01, head 0.1; batches of 64 images, or of "
            f"patches), mean over {seeds}."
        )
    random = "is one of the candidates" if study.with_random else "is no candidate, but a rule"
    return " ".join([*told, f"Random initialisation {random}."])
