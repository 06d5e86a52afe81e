from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from acnorm.bench.ranks import (
    Friedman,
    alike,
    critical_difference,
    friedman,
    least_p,
    mean_ranks,
    nemenyi,
    signed_rank,
)

# Demsar (JMLR 2006), table 6: AUC of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 data sets. Two entries that are equal in
# print have other ranks there (voting: 2 and 3), for which a digit is added.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)
tables = arrays.arrays(
    np.float64, st.tuples(st.integers(3, 7), st.integers(3, 5)), elements=st.integers(0, 4).map(lambda value: value / 4)
)
several = st.lists(st.integers(-4, 4).map(lambda value: value / 8), min_size=3, max_size=9)


def test_the_worked_example_of_demsar():
    assert mean_ranks(DEMSAR) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    result = friedman(DEMSAR)
    ties = 1 - (3 * (2**3 - 2) + (4**3 - 4)) / (14 * (4**3 - 4))  # the paper leaves ties uncorrected
    assert result.chi_square * ties == pytest.approx(9.28, abs=0.01)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, level=0.1) == pytest.approx(1.12, abs=0.005)


def test_the_f_of_the_worked_example_without_ties():
    """F 3.69 of chi-square 9.28 with 3 and 39 degrees of freedom: beyond the 2.85 of a table at 0.05."""
    draw = np.random.default_rng(0).standard_normal((14, 4))
    result = friedman(draw)
    by_hand = stats.friedmanchisquare(*draw.T).statistic
    published = (13 * 9.28) / (14 * 3 - 9.28)
    assert published == pytest.approx(3.69, abs=0.005)
    assert result.f == pytest.approx(13 * by_hand / (14 * 3 - by_hand))
    assert stats.f.sf(2.85, 3, 39) == pytest.approx(0.05, abs=5e-4)
    assert result.p == pytest.approx(stats.f.sf(result.f, 3, 39), abs=0.01)


@pytest.mark.parametrize(
    ("methods", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_the_critical_values_of_demsars_table_5(methods: int, q: float):
    assert critical_difference(methods, 1) / np.sqrt(methods * (methods + 1) / 6) == pytest.approx(q, abs=1.5e-3)


@given(tables)
def test_ranks_are_counted(values: np.ndarray):
    """A rank is 1, and 1 for each that is better, and a half for each other that is as good."""
    counted = [
        np.mean([1 + (row > row[at]).sum() + ((row == row[at]).sum() - 1) / 2 for row in values])
        for at in range(values.shape[1])
    ]
    assert mean_ranks(values) == pytest.approx(counted)


@given(tables)
def test_friedman_is_the_f_of_an_analysis_of_variance_of_the_ranks(values: np.ndarray):
    """Iman and Davenport's F is that of a two-way layout whose values are the ranks, ties included."""
    result = friedman(values)
    ranks = stats.rankdata(-values, axis=1)
    tasks, methods = ranks.shape
    middle = (methods + 1) / 2
    between = tasks * ((ranks.mean(axis=0) - middle) ** 2).sum()
    within = ((ranks - middle) ** 2).sum() - between
    if (np.ptp(values, axis=1) == 0).all():
        assert result is None
    elif within < 1e-9:
        assert result.f == float("inf")
    else:
        assert result.f == pytest.approx((tasks - 1) * between / within, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    "values",
    [
        [[0.9, 0.8, 0.7], [0.7, 0.6, 0.5], [0.8, 0.9, 0.1], [0.6, 0.5, 0.4]],
        [[3, 2, 1, 0], [3, 1, 2, 0], [3, 2, 0, 1]],
        [[2, 2, 1], [1, 3, 2], [1, 1, 1], [0, 2, 1]],
    ],
)
def test_the_p_of_friedman_is_the_share_of_all_ways_to_deal_the_ranks_out(values: list[list[float]]):
    rows = [stats.rankdata(row) for row in values]
    sums = np.array([np.sum(ways, axis=0) for ways in itertools.product(*map(list, map(itertools.permutations, rows)))])
    far = sums.var(axis=1)
    expected = np.mean(far >= np.sum(rows, axis=0).var() - 1e-9)
    assert friedman(np.array(values, dtype=float)).p == pytest.approx(expected)


def test_of_many_ways_some_are_drawn():
    values = np.random.default_rng(3).standard_normal((4, 5))
    rows = stats.rankdata(values, axis=1)
    sums = rows[0][None]
    for row in rows[1:]:
        sums = (sums[:, None] + np.array(list(itertools.permutations(row)))).reshape(-1, 5)
    exact = np.mean(sums.var(axis=1) >= rows.sum(axis=0).var() - 1e-9)
    assert friedman(values).p == pytest.approx(exact, abs=0.01)
    assert friedman(values) == friedman(values)


@pytest.mark.parametrize("first", [(1, 2, 3), (1, 1, 3), (1, 2, 2)])
def test_full_agreement_is_as_likely_as_orders_are_few(first: tuple[int, ...]):
    """Three tasks: of all ways to order the second and the third, those that agree with the first."""
    orders = list(itertools.permutations(first))
    agree = np.mean([second == third == first for second, third in itertools.product(orders, orders)])
    assert friedman(np.array([first] * 3, dtype=float)).p == pytest.approx(agree)


@pytest.mark.parametrize(("tasks", "methods", "least"), [(3, 3, 0.01), (4, 3, 0.02), (6, 3, 0.02), (5, 4, 0.02)])
def test_friedman_keeps_its_level(tasks: int, methods: int, least: float):
    """By the distribution of F three methods over three tasks would be called different in a fifth of all cases."""
    draw = np.random.default_rng(0).standard_normal((250, tasks, methods))
    called = np.mean([friedman(values).p < 0.05 for values in draw])
    assert least <= called < 0.08


def test_friedman_of_too_little_says_nothing():
    assert friedman(DEMSAR[:, :2]) is None
    assert friedman(DEMSAR[:2]) is None
    assert friedman(np.ones((5, 3))) is None
    assert friedman(np.arange(12.0).reshape(4, 3)) == Friedman(8.0, float("inf"), 6.0**-3)


def test_what_is_rounding_is_a_tie():
    assert mean_ranks(np.array([[0.3, 0.1 + 0.2, 0.5]])).tolist() == [2.5, 2.5, 1.0]


def test_nemenyi_of_two_is_a_normal_test_of_their_ranks():
    """The studentised range of two normal values is the absolute value of one, times the root of 2."""
    values = DEMSAR[:, :2]
    apart = np.ptp(mean_ranks(values)) / np.sqrt(2 * 3 / (6 * 14))
    assert nemenyi(values)[0, 1] == pytest.approx(2 * stats.norm.sf(apart), abs=1e-6)


@given(tables)
def test_nemenyi_and_the_critical_difference_say_the_same(values: np.ndarray):
    tasks, methods = values.shape
    found, ranks = nemenyi(values), mean_ranks(values)
    assert found == pytest.approx(found.T)
    apart = np.abs(ranks[:, None] - ranks)
    critical = critical_difference(methods, tasks)
    clear = np.abs(apart - critical) > 1e-6
    assert ((found < 0.05) == (apart > critical))[clear].all()


def test_nemenyi_is_the_range_of_independent_ranks():
    """By simulation: the largest distance of mean ranks of nine equal methods over many tasks."""
    draw = np.random.default_rng(0)
    ranks = draw.standard_normal((4000, 40, 5)).argsort(axis=2).mean(axis=1)
    assert np.mean(np.ptp(ranks, axis=1) > critical_difference(5, 40)) == pytest.approx(0.05, abs=0.012)


def test_groups_of_demsar():
    """At 0.05 no pair is apart; at 0.10 "pure C4.5 is significantly worse than C4.5+m and C4.5+m+cf" (section 3.2.2)."""
    ranks = mean_ranks(DEMSAR).tolist()
    assert alike(ranks, 1.25) == [(3, 1, 2, 0)]
    assert alike(ranks, critical_difference(4, 14, level=0.1)) == [(3, 1, 2), (2, 0)]


@given(st.lists(st.integers(2, 12).map(lambda value: value / 2), min_size=2, max_size=7), st.floats(0.1, 4))
def test_groups_are_all_pairs_within_the_critical_difference(ranks: list[float], critical: float):
    groups = alike(ranks, critical)
    joined = {frozenset(pair) for group in groups for pair in itertools.combinations(group, 2)}
    near = {
        frozenset(pair) for pair in itertools.combinations(range(len(ranks)), 2)
        if abs(ranks[pair[0]] - ranks[pair[1]]) <= critical
    }  # fmt: skip
    assert joined == near
    assert not any(set(one) <= set(other) for one, other in itertools.permutations(groups, 2))


def test_the_signed_ranks_of_demsar():
    """Section 3.1.3: C4.5+m against C4.5 has the rank sums 93 and 12; 21 is the critical value of 14 at 0.05."""
    result = signed_rank(DEMSAR[:, 1] - DEMSAR[:, 0])
    assert (result.above, result.below) == (93, 12)
    assert result.p < 0.05


@given(several)
def test_the_signed_rank_test_is_the_share_of_all_signs(values: list[float]):
    apart = np.array(values)
    ranks = stats.rankdata(np.abs(apart))
    signs = np.array(list(itertools.product((-1, 1), repeat=len(apart))))
    sums = signs @ np.where(apart == 0, 0, ranks)
    seen = (np.sign(apart) * ranks).sum()
    result = signed_rank(apart)
    assert result.p == pytest.approx(np.mean(np.abs(sums) >= abs(seen) - 1e-9))
    assert result.above - result.below == pytest.approx(seen)
    assert result.above + result.below == pytest.approx(ranks.sum())


@pytest.mark.parametrize("tasks", [3, 6, 14, 40])
def test_without_ties_it_is_scipys_exact_test(tasks: int):
    apart = np.random.default_rng(tasks).normal(0.2, 1, tasks)
    assert signed_rank(apart).p == pytest.approx(stats.wilcoxon(apart, method="exact").pvalue)


def test_the_smallest_p_value():
    assert signed_rank(np.arange(1.0, 7.0)).p == least_p(6) == 1 / 32
    assert signed_rank(np.zeros(5)).p == 1.0
    assert signed_rank(np.ones(2)) is None
    assert least_p(3, 8) == 1.0


def test_too_few_methods_or_tasks_are_refused():
    with pytest.raises(ValueError, match="there are 1 methods and 3 tasks; it takes 2 and 1"):
        critical_difference(1, 3)
    with pytest.raises(ValueError, match="there are 2 methods and 0 tasks; it takes 2 and 1"):
        critical_difference(2, 0)
