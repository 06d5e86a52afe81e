from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from acnorm.bench.over_tasks import OverTasks, over_tasks
from acnorm.bench.results import Block, Level, Results

NOTHING = float("nan")


def block(task: str, values: Mapping[str, list[float]], *, metric: str = "macro_auc") -> Block:
    levels = tuple(Level(name, len(runs), None, None, None) for name, runs in values.items())
    table = pd.DataFrame(dict(values))
    return Block(task, task, 1.0, metric, False, levels, (), task=task, values=table)


def over(*blocks: Block, baseline: str = "vanilla") -> OverTasks | None:
    return over_tasks(Results(blocks, pd.DataFrame({"state": []}), {}, baseline, {}))


def tasks(count: int, *names: str, seed: int = 0, gain: float = 0.0) -> list[Block]:
    draw = np.random.default_rng(seed)
    made = []
    for at in range(count):
        values = {name: list(draw.uniform(0.5, 0.6, 2) + gain * place) for place, name in enumerate(names)}
        made.append(block(f"task{at}", values))
    return made


def test_each_task_counts_once_by_its_mean_over_runs():
    blocks = tasks(6, "vanilla", "acnorm", "bss")
    found = over(*blocks)
    means = np.array([one.values.mean() for one in blocks])
    assert found.ranks == pytest.approx(stats.rankdata(-means, axis=1).mean(axis=0))
    assert found.friedman.chi_square == pytest.approx(stats.friedmanchisquare(*means.T).statistic)
    acnorm = found.against[0]
    apart = means[:, 1] - means[:, 0]
    assert (acnorm.name, acnorm.tasks) == ("acnorm", 6)
    assert acnorm.tested.p == pytest.approx(stats.wilcoxon(apart, method="exact").pvalue)
    assert acnorm.difference.p == pytest.approx(stats.ttest_1samp(apart, 0).pvalue)
    assert acnorm.record == ((apart > 0).sum(), 0, (apart < 0).sum())
    assert acnorm.corrected >= acnorm.tested.p
    assert found.sentences[-2] == (
        "Over tasks none can be told from vanilla (Wilcoxon's signed-rank test, Holm-corrected)."
    )
    assert found.sentences[-1] == (
        "With 6 tasks and 2 compared with vanilla, the smallest corrected p value that this test can give is 0.062: "
        "it takes more tasks, or fewer comparisons, to conclude."
    )


def test_tables_of_one_task_are_one_value():
    small = block("eyes", {"vanilla": [0.5], "acnorm": [0.9]})
    large = block("eyes", {"vanilla": [0.7, 0.7], "acnorm": [0.5, 0.5]})
    found = over(small, large, *tasks(3, "vanilla", "acnorm"))
    assert found.tasks == ("eyes", "task0", "task1", "task2")
    others = np.array([one.values.mean() for one in tasks(3, "vanilla", "acnorm")])
    mean = (0.7 - 0.6 + (others[:, 1] - others[:, 0]).sum()) / 4  # not (0.9 + 0.5 + 0.5) / 3
    assert found.against[0].difference.mean == pytest.approx(mean)


def test_only_runs_that_all_have_finished_count():
    uneven = block("eyes", {"vanilla": [0.5, 0.9], "acnorm": [0.6, NOTHING]})
    found = over(uneven, block("ears", {"vanilla": [0.5], "acnorm": [0.6]}))
    assert found.against[0].difference.mean == pytest.approx(0.1)


def test_tasks_that_are_not_complete_are_left_out_and_named():
    blocks = tasks(5, "vanilla", "acnorm", "bss")
    half = block("task5", {"vanilla": [0.5], "acnorm": [0.6], "bss": [NOTHING]})
    without = block("task6", {"vanilla": [0.5], "acnorm": [0.6]})
    apart = block("task7", {"vanilla": [0.5, NOTHING], "acnorm": [NOTHING, 0.6], "bss": [0.5, 0.6]})
    found = over(*blocks, half, without, apart)
    assert found.left_out == ("task5", "task6", "task7")
    assert found.sentences[0] == (
        "Ranks are of 5 of 8 tasks, those in which all have finished runs; left out: task5, task6, task7."
    )
    assert found.ranks == pytest.approx(over(*blocks).ranks)
    assert [row.tasks for row in found.against] == [7, 6]  # a pair takes the two alone


def test_a_task_with_a_table_that_is_not_complete_is_left_out():
    unfinished = block("task0", {"vanilla": [0.5], "acnorm": [NOTHING]})
    found = over(*tasks(4, "vanilla", "acnorm"), unfinished)
    assert found.left_out == ("task0",)
    assert found.against[0].tasks == 3


def test_a_table_that_excludes_one_of_them_does_not_count():
    blocks = tasks(4, "vanilla", "acnorm", "bss")
    random_weights = [block(one.task, {"vanilla": [0.9], "bss": [0.1]}) for one in blocks]
    found, expected = over(*blocks, *random_weights), over(*blocks)
    assert (found.tasks, found.ranks, found.left_out) == (expected.tasks, expected.ranks, ())
    acnorm, bss = found.against
    assert acnorm == replace(expected.against[0], corrected=acnorm.corrected)
    apart = [one.values["bss"].mean() - one.values["vanilla"].mean() for one in blocks]
    assert bss.difference.mean == pytest.approx((np.mean(apart) - 0.8) / 2)  # which have both in both tables


def test_tables_without_a_run_have_no_metric():
    waiting = block("task9", {"vanilla": [], "acnorm": []}, metric="metric")
    found = over(*tasks(6, "vanilla", "acnorm"), waiting)
    assert found.metrics == ("macro_auc",)
    assert not any("in each metric" in told for told in found.sentences)


def test_what_is_better_in_all_tasks_is_told():
    found = over(*tasks(9, "vanilla", "acnorm", "bss", gain=0.2))
    assert found.ranks == (3.0, 2.0, 1.0)
    assert found.groups == (("bss", "acnorm"), ("acnorm", "vanilla"))
    assert found.sentences == (
        "Mean ranks differ beyond chance (Friedman's test over 9 tasks and 3 that are compared: chi-square 18.00, "
        "F inf, p below 0.001); mean ranks further apart than 1.10 differ beyond chance (Nemenyi).",
        "Over 9 tasks acnorm is better than vanilla beyond chance (Wilcoxon's signed-rank test, Holm-corrected p 0.008).",
        "Over 9 tasks bss is better than vanilla beyond chance (Wilcoxon's signed-rank test, Holm-corrected p 0.008).",
    )
    worse = over(*tasks(9, "vanilla", "acnorm", gain=-0.2)).sentences
    assert worse == (
        "Over 9 tasks acnorm is worse than vanilla beyond chance (Wilcoxon's signed-rank test, Holm-corrected p 0.004).",
    )


def test_two_methods_are_tested_by_signed_ranks_alone():
    found = over(*tasks(4, "vanilla", "acnorm"))
    assert (found.friedman, found.critical, found.groups) == (None, None, ())
    assert len(found.ranks) == 2
    assert found.sentences[0].startswith("Over tasks none can be told from vanilla")


def test_ranks_that_differ_without_a_pair_that_does():
    """Friedman's test sees two groups, between which no single pair is far enough apart."""
    ranks = [[3, 1, 2, 6, 5, 4], [2, 3, 1, 4, 6, 5], [1, 3, 2, 4, 6, 5]]
    names = ("vanilla", "a", "b", "c", "d", "e")
    made = [
        block(f"t{at}", dict(zip(names, ([-float(value)] for value in row), strict=True)))
        for at, row in enumerate(ranks)
    ]
    found = over(*made)
    assert found.friedman.p < 0.05
    assert max(found.ranks) - min(found.ranks) <= found.critical
    assert found.sentences[0].endswith(
        f"; no two mean ranks are further apart than the {found.critical:.2f} that Nemenyi's test asks for."
    )


def test_equal_ranks_are_chance():
    found = over(*(block(f"t{at}", {"vanilla": [0.5], "a": [0.5 + s], "b": [0.5 - s]}) for at, s in enumerate((0.1, -0.1, 0.1, -0.1))))  # fmt: skip
    assert found.sentences[0] == (
        "Mean ranks differ no more than by chance (Friedman's test over 4 tasks and 3 that are compared: "
        "chi-square 0.00, F 0.00, p 1.000)."
    )


def test_fewer_than_three_tasks_say_nothing():
    found = over(*tasks(2, "vanilla", "acnorm", "bss"))
    assert found.sentences == ("Over tasks nothing can be concluded from 2 tasks: it takes 3.",)
    assert found.friedman is None
    assert [row.corrected for row in found.against] == [None, None]
    none = over(block("a", {"vanilla": [NOTHING], "b": [NOTHING]}), block("c", {"vanilla": [0.5], "b": [NOTHING]}))
    assert none.sentences == (
        "Ranks are of 0 of 2 tasks, those in which all have finished runs; left out: a, c.",
        "Over tasks nothing can be concluded from no tasks: it takes 3.",
    )
    assert none.ranks == ()


def test_one_task_is_no_comparison_over_tasks():
    assert over(block("", {"vanilla": [0.5], "acnorm": [0.6]})) is None


def test_where_less_is_better_the_lower_value_ranks_first():
    made = [block(f"t{at}", {"vanilla": [0.3 + at], "acnorm": [0.1 + at]}, metric="brier") for at in range(3)]
    found = over(*made)
    assert found.ranks == (2.0, 1.0)
    assert found.against[0].difference.mean == pytest.approx(0.2)


def test_means_that_rounding_alone_sets_apart_are_equal():
    values = {"vanilla": [0.3, 0.2, 0.1], "acnorm": [0.1, 0.2, 0.3]}
    blocks = [block(f"t{at}", values) for at in range(3)]
    apart = blocks[0].values.mean()
    assert apart["acnorm"] != apart["vanilla"]
    (acnorm,) = over(*blocks).against
    assert acnorm.record == (0, 3, 0)
    assert acnorm.tested.above == acnorm.tested.below


def test_several_metrics_are_a_caution():
    found = over(*tasks(3, "vanilla", "acnorm"), block("heart", {"vanilla": [0.5], "acnorm": [0.7]}, metric="dice"))
    assert found.metrics == ("macro_auc", "dice")
    assert found.sentences[-1] == (
        "The signed-rank test takes a difference to be as large in each metric as in the others."
    )
