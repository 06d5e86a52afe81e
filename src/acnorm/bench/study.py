"""Which measure would have picked the right checkpoint: scores of candidates against what fine-tuning gave.

For each way of fine-tuning (a method, a share of the labels) every measure is judged on every target, beside rules that
look at no score: always the same candidate, the one that is best on the other targets, the largest, a random one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from acnorm.bench.judging import Judged, Table, judged
from acnorm.bench.store import Store
from acnorm.bench.study_cells import Source, Truth, read_truths
from acnorm.bench.study_means import Key, Means, in_words
from acnorm.bench.study_rows import AT_RANDOM, ELSEWHERE, Row, Rows, rules_of
from acnorm.bench.study_scores import Asked, Scored, Scorer
from acnorm.errors import UserError
from acnorm.ranking.measures import LABEL_MAP_MEASURES, MEASURES
from acnorm.ranking.rank import chosen_measures
from acnorm.ranking.trajectory import steps_of

LENGTHS = ("1", "5", "epoch")
SEEDS = 3
FEW_TARGETS = 10
Told = Callable[[str], None]


@dataclass(frozen=True)
class Judgement:
    """One truth with everything judged by it.

    scores: mean over the divisions of its runs, by measure, target and candidate. reasons: why a measure has none.
    layers: by length of the probe and layer, Σ C of that layer alone as a measure. results: more is better.
    """

    truth: Truth
    results: Table
    scores: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    reasons: Mapping[str, str]
    measures: tuple[Row, ...]
    rules: tuple[Row, ...]
    layers: Mapping[str, tuple[Row, ...]]


@dataclass(frozen=True)
class Study:
    """All judgements of a bench, one for each way of fine-tuning.

    sources: candidates. lengths: of the probe. seeds: probes a candidate and division. with_random: whether random
    initialisation is one of the candidates. one_size: whether all candidates have the same number of parameters.
    unfinished: cells. cells: of the grid.
    """

    judgements: tuple[Judgement, ...]
    sources: tuple[Source, ...]
    lengths: tuple[str, ...]
    seeds: int
    with_random: bool
    one_size: bool
    unfinished: int
    cells: int

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Of all truths."""
        return tuple(dict.fromkeys(name for item in self.judgements for name in item.results))


def study_of(
    folder: Path,
    *,
    measures: Sequence[str] | str = "all",
    lengths: Sequence[str] = LENGTHS,
    seeds: int = SEEDS,
    with_random: bool = False,
    told: Told = lambda _: None,
) -> Study:
    """Score every candidate of a bench on every target, and judge the measures by the finished cells.

    Scores are computed on the training cases of the cells, on each division into splits once, and averaged over the
    divisions of the runs that they are compared with. They and the features are kept in the folder's ``study``.

    Args:
        folder: the --out of ``acnorm bench``, with weights (or models) as an axis.
        measures: names, with commas between or one by one, or "all".
        lengths: of the probe of AC-Corr and affine drift, as for ``steps_of``.
        seeds: probes a candidate and division.
        with_random: whether random initialisation counts as a candidate, and not as a rule only.
        told: called with a line for each candidate that is scored.

    Raises:
        UserError: the folder holds no bench, nothing has finished, there are no two candidates, or scores cannot be
            computed.

    Examples:
        >>> study_of(Path("nowhere"))
        Traceback (most recent call last):
            ...
        acnorm.errors.UserError: nowhere: holds no bench (no bench.sqlite); give the --out of acnorm bench or \
acnorm compare.
    """
    names = _names(measures)
    for length in lengths:
        steps_of(length, 1)
    if len(set(map(in_words, lengths))) < len(lengths) or not lengths:
        raise UserError(f"--ac-corr-steps is {' '.join(lengths)}, must be one length or several different ones.")
    if seeds < 1:
        raise UserError(f"--probe-seeds is {seeds}, must be 1 or more.")
    store = Store.existing(folder)
    try:
        truths, counts = read_truths(store), store.counts()
    finally:
        store.close()
    asked = Asked(names, tuple(lengths), seeds, folder / "study")
    scored = _scored(truths, Scorer(asked), told)
    sizes = {name: item.parameters for (_, name, _), item in scored.items()}
    judgements = tuple(_judgement(truth, scored, asked, sizes, with_random=with_random) for truth in truths)
    sources = {item.source.name: item.source for truth in truths for each in truth.scorings.values() for item in each}
    unfinished = counts["waiting"] + counts["running"] + counts["failed"]
    return Study(
        judgements,
        tuple(sources.values()),
        asked.lengths if asked.probes else (),
        seeds,
        with_random,
        len(set(sizes.values())) == 1,
        unfinished,
        sum(counts.values()),
    )


def _names(measures: Sequence[str] | str) -> tuple[str, ...]:
    if measures == "all":
        return (*MEASURES, *LABEL_MAP_MEASURES)
    return tuple(measure.name for measure in chosen_measures(measures, label_maps=True))


def _scored(truths: Sequence[Truth], scorer: Scorer, told: Told) -> dict[Key, Scored]:
    wanted = {
        (item.target, item.splits, item.source.name): item
        for truth in truths
        for each in truth.scorings.values()
        for item in each
    }
    found: dict[Key, Scored] = {}
    order = list(dict.fromkeys((target, splits) for target, splits, _ in wanted))  # so that cases are read once
    for at, ((target, splits, name), item) in enumerate(
        sorted(wanted.items(), key=lambda entry: order.index(entry[0][:2])), 1
    ):
        told(f"scoring {at} of {len(wanted)}: {name} on {target}")
        found[target, name, splits] = scorer.score(item)
    return found


def _judgement(
    truth: Truth, scored: Mapping[Key, Scored], asked: Asked, sizes: Mapping[str, int], *, with_random: bool
) -> Judgement:
    everyone = truth.better
    results = {target: dict(_candidates(values, truth, target, with_random)) for target, values in everyone.items()}
    results = {target: values for target, values in results.items() if len(values) > 1}
    of = Means(truth, scored, asked)
    scores = {name: {target: of.scores(name, target) for target in results} for name in of.names}
    rules = rules_of(results, everyone, truth, sizes)
    rows = Rows(results, rules[ELSEWHERE], rules[AT_RANDOM])

    def judge(by_target: Mapping[str, Mapping[str, float | None]]) -> dict[str, Judged]:
        return {target: judged(values, by_target[target]) for target, values in results.items()}

    return Judgement(
        truth,
        results,
        scores,
        of.reasons,
        measures=tuple(rows.row(name, judge(by)) for name, by in scores.items()),
        rules=tuple(rows.row(name, by) for name, by in rules.items()),
        layers={
            length: tuple(rows.row(name, judge(by)) for name, by in of.layers(length, results).items())
            for length in asked.lengths
            if asked.probes
        },
    )


def _candidates(values: Mapping[str, float], truth: Truth, target: str, with_random: bool) -> list[tuple[str, float]]:
    return [
        (name, value)
        for name, value in values.items()
        if with_random or truth.scorings[target, name][0].source.weights is not None
    ]
