"""The order of an epoch: whom it visits, in what batches, and what decides it."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acnorm.data.batches import EpochBatches

CASES, SIZES, WORLDS, SEEDS = st.integers(1, 60), st.integers(1, 20), st.integers(1, 7), st.integers(0, 2**32)


def batches_of(cases: int, size: int, *, epoch: int = 0, **settings) -> list[list[int]]:
    """The indices of each batch; checks on the way that the keys name the epoch and that `len` is right."""
    sampler = EpochBatches(cases, size, **settings)
    sampler.set_epoch(epoch)
    keys = list(sampler)
    assert len(keys) == len(sampler)
    assert {of for batch in keys for of, _ in batch} == {epoch}
    return [[index for _, index in batch] for batch in keys]


def order(cases: int, size: int = 8, **settings) -> list[int]:
    return [index for batch in batches_of(cases, size, **settings) for index in batch]


@settings(deadline=None)
@given(CASES, SIZES, SEEDS, st.integers(0, 1000), st.booleans())
def test_every_case_comes_exactly_once_an_epoch(cases: int, size: int, seed: int, epoch: int, shuffle: bool):
    assert sorted(order(cases, size, seed=seed, epoch=epoch, shuffle=shuffle)) == list(range(cases))


@settings(deadline=None)
@given(CASES, SIZES, SEEDS, WORLDS)
def test_processes_take_turns_in_one_order_filled_up_from_its_beginning(cases: int, size: int, seed: int, world: int):
    parts = [order(cases, size, seed=seed, rank=rank, world=world) for rank in range(world)]
    assert {len(part) for part in parts} == {int(np.ceil(cases / world))}
    whole = order(cases, cases, seed=seed)
    joined = [index for turn in zip(*parts, strict=True) for index in turn]
    assert joined == [whole[at % cases] for at in range(len(joined))]


@settings(deadline=None)
@given(CASES, SIZES, WORLDS)
def test_batches_are_full_and_the_last_is_never_one_case_after_others(cases: int, size: int, world: int):
    lengths = {
        tuple(map(len, batches_of(cases, size, rank=rank, world=world))) for rank in range(world)
    }  # equally many batches too: a process that has one more would wait for ever
    ((*full, last),) = lengths
    assert full == [size] * len(full)
    assert 1 <= last <= size + 1
    assert last > 1 or not full
    assert last <= size or (sum(full) + last) % size == 1 % size


@pytest.mark.parametrize(
    ("cases", "size", "lengths"),
    [
        (1, 8, [1]),
        (8, 8, [8]),
        (9, 8, [9]),
        (10, 8, [8, 2]),
        (17, 8, [8, 9]),
        (3, 1, [1, 2]),
        (5, 2, [2, 3]),
    ],
)
def test_a_last_batch_of_one_joins_the_one_before(cases: int, size: int, lengths: list[int]):
    assert [len(batch) for batch in batches_of(cases, size)] == lengths


def test_same_seed_and_epoch_same_order_whatever_else_is_drawn():
    sampler = EpochBatches(30, 4, seed=3)
    first = list(sampler)
    np.random.seed(5)
    torch.manual_seed(5)
    sampler.set_epoch(7)
    list(sampler)
    sampler.set_epoch(0)
    assert list(sampler) == first == list(EpochBatches(30, 4, seed=3))


def test_orders_differ_between_epochs_and_seeds():
    orders = {tuple(order(30, seed=seed, epoch=epoch)) for seed, epoch in product(range(6), range(6))}
    assert len(orders) == 36


def test_every_order_can_come():
    assert {tuple(order(3, epoch=epoch)) for epoch in range(60)} == set(permutations(range(3)))


def test_without_shuffling_the_order_is_that_of_the_cases():
    assert order(11, 4, shuffle=False, epoch=9) == list(range(11))


def test_lightning_finds_set_epoch():
    sampler = EpochBatches(4, 2)
    assert sampler.sampler is sampler


def test_no_cases_are_refused():
    with pytest.raises(ValueError, match=r"^there are no cases to make batches of\.$"):
        EpochBatches(0, 8)
