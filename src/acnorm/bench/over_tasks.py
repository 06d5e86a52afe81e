"""What can be concluded over all tasks of a grid: mean ranks, and each against the baseline, a task counting once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from acnorm.bench.ranges import difference_within
from acnorm.bench.ranks import (
    LEAST_TASKS,
    Friedman,
    SignedRank,
    alike,
    critical_difference,
    friedman,
    least_p,
    mean_ranks,
    nemenyi,
    signed_rank,
)
from acnorm.bench.results import Block, Results
from acnorm.bench.statistics import Difference, corrected_resampled_t, holm, win_tie_loss
from acnorm.bench.words import LEVEL


@dataclass(frozen=True)
class Against:
    """One against the baseline over the tasks that both have finished.

    Args:
        name: of what is compared.
        tasks: that both have finished.
        difference: mean over tasks with the interval of a t-test over tasks, positive where it is better.
        tested: Wilcoxon's signed-rank test over tasks; None of too few.
        corrected: its p value after Holm's correction over all that are compared with the baseline.
        record: tasks in which its mean is better, equal and worse.
    """

    name: str
    tasks: int
    difference: Difference
    tested: SignedRank | None
    corrected: float | None
    record: tuple[int, int, int]


@dataclass(frozen=True)
class OverTasks:
    """All that is compared, over tasks.

    Args:
        names: of what is compared, the baseline first.
        tasks: in which all of them have finished runs of every table.
        left_out: the other tasks.
        metrics: that the values of the tasks are in.
        ranks: mean rank of each, 1 the best; empty where there is no task.
        friedman: whether ranks differ at all; None where that cannot be asked.
        critical: difference of mean ranks beyond chance for a pair (Nemenyi); None as before.
        pairs: p value of each pair (Nemenyi).
        groups: names that cannot be told apart, best first.
        against: each of the others against the baseline.
        sentences: what can be concluded.
    """

    names: tuple[str, ...]
    tasks: tuple[str, ...]
    left_out: tuple[str, ...]
    metrics: tuple[str, ...]
    ranks: tuple[float, ...] = ()
    friedman: Friedman | None = None
    critical: float | None = None
    pairs: tuple[tuple[float, ...], ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    against: tuple[Against, ...] = ()
    sentences: tuple[str, ...] = ()


def over_tasks(results: Results) -> OverTasks | None:
    """Compare over tasks; None where the grid has one task.

    The value of a method in a task is the mean over the task's tables (sources, fractions of the labels) of its mean
    over the runs that all methods have finished. Tables of one task share their test cases, so that a task counts once.
    A table without a place for one of them (the grid excludes it) does not count.

    Examples:
        >>> over_tasks(Results((), pd.DataFrame({"state": []}), {}, "vanilla", {})) is None
        True
    """
    by_task: dict[str, list[Block]] = {}
    for block in results.blocks:
        by_task.setdefault(block.task, []).append(block)
    if len(by_task) < 2:
        return None
    names = tuple(dict.fromkeys(level.name for block in results.blocks for level in block.levels))
    table = pd.DataFrame({task: _values(blocks, names) for task, blocks in by_task.items()}, index=list(names)).T
    whole = table.dropna()
    found = OverTasks(
        names=names,
        tasks=tuple(map(str, whole.index)),
        left_out=tuple(str(task) for task in table.index if task not in whole.index),
        metrics=results.metrics,
    )
    found = _ranked(found, whole.to_numpy(dtype=np.float64)) if len(whole) else found
    found = replace(found, against=_against(by_task, names, results.baseline))
    return replace(found, sentences=tuple(_sentences(found, results.baseline)))


def _values(blocks: Sequence[Block], names: Sequence[str]) -> dict[str, float]:
    """The mean of each over the tables that have a place for all, larger where better; NaN where runs are missing."""
    means = []
    for block in blocks:
        if not set(names) <= set(block.values.columns):
            continue
        shared = block.values[list(names)].dropna()
        means.append(shared.mean() * (-1 if block.lower_is_better else 1))
    if not means:
        return dict.fromkeys(names, float("nan"))
    return {str(name): value for name, value in pd.concat(means, axis=1).mean(axis=1, skipna=False).items()}


def _ranked(found: OverTasks, values: Float[NDArray[np.float64], "task method"]) -> OverTasks:
    ranks = tuple(float(rank) for rank in mean_ranks(values))
    tested = friedman(values)
    if tested is None:
        return replace(found, ranks=ranks)
    critical = critical_difference(len(found.names), len(values), LEVEL)
    return replace(
        found,
        ranks=ranks,
        friedman=tested,
        critical=critical,
        pairs=tuple(tuple(float(value) for value in row) for row in nemenyi(values)),
        groups=tuple(tuple(found.names[at] for at in group) for group in alike(ranks, critical)),
    )


def _against(by_task: dict[str, list[Block]], names: Sequence[str], baseline: str) -> tuple[Against, ...]:
    rows = []
    for name in names:
        if name == baseline:
            continue
        values = [_values(blocks, (baseline, name)) for blocks in by_task.values()]
        apart = np.array([value[name] - value[baseline] for value in values])
        apart = apart[~np.isnan(apart)]
        mean = corrected_resampled_t(apart, 0.0) if len(apart) else Difference(float("nan"))
        metrics = {block.metric for blocks in by_task.values() for block in blocks}
        mean = difference_within(mean, min(metrics)) if len(metrics) == 1 else mean
        rows.append(Against(name, len(apart), mean, signed_rank(apart), None, win_tie_loss(list(apart))))
    corrected = holm([row.tested.p if row.tested else None for row in rows])
    return tuple(replace(row, corrected=value) for row, value in zip(rows, corrected, strict=True))


def _sentences(found: OverTasks, baseline: str) -> list[str]:
    told = [_left_out(found)] if found.left_out else []
    if len(found.tasks) < LEAST_TASKS and all(row.tasks < LEAST_TASKS for row in found.against):
        few = _tasks(len(found.tasks))
        return [*told, f"Over tasks nothing can be concluded from {few}: it takes {LEAST_TASKS}."]
    if found.friedman is not None:
        told.append(_ranks_differ(found))
    told += _wilcoxon(found, baseline)
    return told


def _left_out(found: OverTasks) -> str:
    whole, all_tasks = len(found.tasks), len(found.tasks) + len(found.left_out)
    return (
        f"Ranks are of {whole} of {all_tasks} tasks, those in which all have finished runs; "
        f"left out: {', '.join(found.left_out)}."
    )


def _ranks_differ(found: OverTasks) -> str:
    tested, critical = found.friedman, found.critical
    assert tested is not None
    assert critical is not None
    test = (
        f"Friedman's test over {len(found.tasks)} tasks and {len(found.names)} that are compared: "
        f"chi-square {tested.chi_square:.2f}, F {tested.f:.2f}, p {_p(tested.p)}"
    )
    if tested.p >= LEVEL:
        return f"Mean ranks differ no more than by chance ({test})."
    best, worst = min(found.ranks), max(found.ranks)
    pairs = f"mean ranks further apart than {critical:.2f} differ beyond chance (Nemenyi)"
    if worst - best <= critical:
        pairs = f"no two mean ranks are further apart than the {critical:.2f} that Nemenyi's test asks for"
    return f"Mean ranks differ beyond chance ({test}); {pairs}."


def _wilcoxon(found: OverTasks, baseline: str) -> list[str]:
    tested = [row for row in found.against if row.tested is not None]
    beyond = [row for row in tested if row.corrected is not None and row.corrected < LEVEL]
    told = [_beyond_chance(row, baseline) for row in beyond]
    if not tested:
        return told
    if not beyond:
        told.append(f"Over tasks none can be told from {baseline} (Wilcoxon's signed-rank test, Holm-corrected).")
    most = max(row.tasks for row in tested)
    least = least_p(most, len(tested))
    if least >= LEVEL:
        told.append(
            f"With {_tasks(most)} and {len(tested)} compared with {baseline}, the smallest corrected p value that this "
            f"test can give is {least:.2g}: it takes more tasks, or fewer comparisons, to conclude."
        )
    if len(found.metrics) > 1:
        told.append("The signed-rank test takes a difference to be as large in each metric as in the others.")
    return told


def _beyond_chance(row: Against, baseline: str) -> str:
    assert row.tested is not None
    verdict = "better" if row.tested.above > row.tested.below else "worse"
    return (
        f"Over {_tasks(row.tasks)} {row.name} is {verdict} than {baseline} beyond chance "
        f"(Wilcoxon's signed-rank test, Holm-corrected p {_p(row.corrected)})."
    )


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count or 'no'} tasks"


def _p(value: float | None) -> str:
    return "unknown" if value is None else "below 0.001" if value < 0.001 else f"{value:.3f}"
