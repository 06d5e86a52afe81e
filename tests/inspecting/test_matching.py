"""Matching of channels: brute force over permutations, and laws of permuted channels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from acnorm.core.correlation import channel_correlation
from acnorm.inspecting.matching import (
    NONE,
    align,
    correlations,
    is_silent,
    match,
    partners_of,
    partnership,
    percentiles,
)


def values(samples: int = 40, channels: int = 5, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(samples, channels)) @ draw.normal(size=(channels, channels)) + draw.normal(size=channels)


def test_correlations_are_those_of_numpy():
    one, other = values(seed=1), values(seed=2)
    assert np.allclose(correlations(one, other), np.corrcoef(one.T, other.T)[:5, 5:])


def test_a_silent_channel_correlates_with_nothing():
    one, other = values(seed=1), values(seed=2)
    one[:, 2], other[:, 0] = 0.3, 0.0
    found = correlations(one, other)
    assert np.isfinite(found).all()
    assert (found[2] == 0).all()
    assert (found[:, 0] == 0).all()
    assert is_silent(one).tolist() == [False, False, True, False, False]


def test_the_affine_of_a_channel_does_not_change_its_correlation():
    one, other = values(seed=1), values(seed=2)
    assert np.allclose(correlations(one * 3 - 7, other * 0.01 + 2), correlations(one, other))


@pytest.mark.parametrize("seed", range(5))
def test_no_permutation_matches_better(seed: int):
    found = correlations(values(seed=seed), values(seed=seed + 50))
    best = max(itertools.permutations(range(5)), key=lambda order: sum(found[i, j] for i, j in enumerate(order)))
    assert match(found).tolist() == list(best)
    alignment = align(found)
    assert np.isclose(alignment.matched, np.mean([found[i, j] for i, j in enumerate(best)]))
    assert alignment.matched_is_own == np.mean([i == j for i, j in enumerate(best)])
    assert alignment.best_is_own == np.mean([i == int(np.argmax(found[i])) for i in range(5)])
    assert alignment.own <= alignment.matched + 1e-12


def test_permuting_the_channels_of_one_network_permutes_the_matching():
    one, other = values(60, 12, seed=3), values(60, 12, seed=4)
    order = np.random.default_rng(0).permutation(12)
    plain = match(correlations(one, other))
    assert (match(correlations(one[:, order], other)) == plain[order]).all()
    assert (match(correlations(one, other[:, order])) == np.argsort(order)[plain]).all()
    together = align(correlations(one[:, order], other[:, order]))
    assert np.allclose(list(vars(together).values()), list(vars(align(correlations(one, other))).values()))


def test_a_permuted_copy_is_found():
    one = values(200, 30, seed=5)
    order = np.random.default_rng(1).permutation(30)
    found = correlations(one[:, order], one)
    assert (match(found) == order).all()
    assert np.isclose(align(found).matched, 1)
    assert align(found).matched_is_own == (order == np.arange(30)).mean()


def test_partners_are_where_a_loop_finds_them():
    draw = torch.Generator().manual_seed(0)
    matrix = channel_correlation(torch.randn(9, generator=draw), torch.randn(9, generator=draw)).double().numpy()
    for row, partner in enumerate(partners_of(matrix)):
        others = {column: matrix[row, column] for column in range(9) if column != row and matrix[row, column] > 0}
        assert partner == (max(others, key=lambda column: others[column]) if others else NONE)


def test_equal_ratios_in_place_borrow_from_nobody():
    ratio = torch.tensor([0.0, 1.0, 3.0])
    assert partners_of(channel_correlation(ratio, ratio).double().numpy()).tolist() == [NONE] * 3


def test_percentiles_are_the_share_of_other_channels_below():
    found = np.round(np.random.default_rng(0).normal(size=(6, 6)), 1)
    place = percentiles(found)
    for row, column in itertools.product(range(6), range(6)):
        if row == column:
            assert np.isnan(place[row, column])
            continue
        others = [found[row, other] for other in range(6) if other not in (row, column)]
        below = (
            sum(value < found[row, column] for value in others)
            + sum(value == found[row, column] for value in others) / 2
        )
        assert np.isclose(place[row, column], below / 4)
    assert np.isnan(percentiles(np.eye(2))).all()


def test_permuting_source_channels_with_the_partners_changes_nothing():
    draw = np.random.default_rng(2)
    found, partner = draw.normal(size=(8, 8)), np.array([3, 0, NONE, 7, 1, 2, 5, 4])
    order = draw.permutation(8)
    back = np.argsort(order)
    moved = np.where(partner == NONE, NONE, back[partner])[order]
    one = partnership([(percentiles(found), partner)], permutations=20)
    other = partnership([(percentiles(found[np.ix_(order, order)]), moved)], permutations=20)
    assert (one.borrowing, one.hit) == (other.borrowing, other.hit)
    assert np.isclose(one.percentile, other.percentile)


def test_partners_that_do_similar_work_are_told_from_chance():
    found = np.random.default_rng(3).normal(size=(40, 40))
    place = percentiles(found)
    best = np.nanargmax(place, axis=1)
    known = partnership([(place, best)], permutations=99)
    assert (known.percentile, known.hit, known.p) == (1.0, 1.0, 0.01)
    assert known.hit_chance < 0.2


def test_partners_at_random_stand_in_the_middle():
    draw = np.random.default_rng(4)
    ps, places = [], []
    for _ in range(40):
        partner = np.array([draw.choice([other for other in range(12) if other != own]) for own in range(12)])
        found = partnership([(percentiles(draw.normal(size=(12, 12))), partner)] * 1, permutations=49)
        ps.append(found.p)
        places.append(found.percentile)
    assert abs(np.mean(places) - 0.5) < 0.05
    assert 0.3 < np.mean(ps) < 0.7
    assert np.mean(np.array(ps) <= 0.1) < 0.3


def test_layers_count_together_and_those_without_partners_do_not():
    place = percentiles(np.random.default_rng(5).normal(size=(6, 6)))
    some = np.array([1, 2, NONE, 4, 5, 0])
    whole = partnership(
        [(place, some), (place, np.full(6, NONE)), (percentiles(np.eye(2)), np.array([1, 0]))], permutations=5
    )
    assert whole.borrowing == 5
    assert np.isclose(
        whole.percentile, np.mean([place[row, column] for row, column in enumerate(some) if column != NONE])
    )
    assert partnership([(place, np.full(6, NONE))]) is None


def test_two_channels_that_borrow_from_each_other_can_be_dealt_nothing_else():
    place = percentiles(np.random.default_rng(6).normal(size=(4, 4)))
    found = partnership([(place, np.array([1, 0, NONE, NONE]))], permutations=30)
    assert (found.borrowing, found.p) == (2, 1.0)
