"""Successive halving on a fake clock: the budget is kept, the best is found, an interrupt changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acnorm.bench.halving import Halving, Tried, halve, kept
from acnorm.errors import RunError, StoppedError


class Fake:
    """Candidates that learn at their own pace; a second is what a step says it took."""

    def __init__(self, curves: dict[str, Sequence[float]], *, epoch: float = 10.0, starting: float = 5.0) -> None:
        self.curves, self.epoch, self.starting, self.now = curves, epoch, starting, 0.0
        self.done = dict.fromkeys(curves, 0)
        self.calls: list[tuple[str, int]] = []
        self.fails: dict[str, Exception] = {}

    def train(self, name: str, until: int) -> tuple[list[float], list[float]]:
        if name in self.fails:
            self.now += 1
            raise self.fails[name]
        self.calls.append((name, until))
        self.now += self.starting + (until - self.done[name]) * self.epoch
        self.done[name] = until
        return list(self.curves[name][:until]), [self.epoch] * until

    def halve(self, budget: float, *, epochs: int = 20, halving: Halving | None = None) -> Halving:
        begun = halving or Halving([Tried(name) for name in self.curves])
        return halve(begun, self.train, epochs=epochs, budget=budget, clock=lambda: self.now)


def flat(**levels: float) -> dict[str, list[float]]:
    return {name: [level + 0.001 * epoch for epoch in range(50)] for name, level in levels.items()}


def test_with_time_the_best_is_found_and_trains_longest():
    fake = Fake(flat(a=0.5, b=0.8, c=0.6, d=0.7))
    done = fake.halve(600)
    assert done.complete
    assert [item.name for item in done.ordered][:2] == ["b", "d"]
    epochs = {item.name: item.epochs for item in done.tried}
    assert epochs["a"] == epochs["c"] < epochs["d"] == epochs["b"]
    assert {item.left for item in done.tried if item.name in "ac"} == {epochs["a"]}
    assert 0.8 * 600 < done.seconds <= 600


@given(
    count=st.integers(2, 7),
    epoch=st.floats(0.5, 60),
    starting=st.floats(0, 60),
    budget=st.floats(1, 3000),
    epochs=st.integers(1, 30),
)
@settings(max_examples=200, deadline=None)
def test_the_budget_is_kept_but_for_the_first_epoch(count, epoch, starting, budget, epochs):
    fake = Fake(flat(**{f"n{at}": 0.1 * at for at in range(count)}), epoch=epoch, starting=starting)
    done = fake.halve(budget, epochs=epochs)
    assert done.seconds == pytest.approx(fake.now)
    assert done.seconds <= budget + 1e-6 or fake.calls == [("n0", 1)]
    assert all(item.epochs <= epochs for item in done.tried)
    if done.complete:
        assert done.ordered[0].name == f"n{count - 1}"
        assert len(done.alive) == 1 or done.common == epochs
    else:  # one more epoch of each would not have fitted, or that of the next one in the first round
        needed = sum(starting + epoch for _ in done.alive) if done.common else starting + epoch
        assert done.seconds + needed > budget - 1e-6


def test_half_is_left_in_each_round():
    fake = Fake(flat(**{f"n{at}": 0.1 * at for at in range(5)}), epoch=1.0, starting=0.0)
    done = fake.halve(1000, epochs=500)
    sizes = []
    alive = 5
    while alive > 1:
        alive = ceil(alive / 2)
        sizes.append(alive)
    rounds = sorted({item.left for item in done.tried if item.left is not None})
    assert [sum(item.left is None or item.left > end for item in done.tried) for end in rounds] == sizes
    assert len(sizes) == ceil(log2(5))


def test_a_late_bloomer_is_found_where_there_is_time_for_it():
    curves = {"early": [0.6] * 50, "late": [0.1] * 6 + [0.9] * 44}
    assert Fake(curves, epoch=1, starting=0).halve(8).ordered[0].name == "early"
    assert Fake(curves, epoch=1, starting=0).halve(40).ordered[0].name == "late"


def test_a_slow_candidate_counts_with_its_own_time():
    class Slow(Fake):
        def train(self, name: str, until: int) -> tuple[list[float], list[float]]:
            self.epoch = 50.0 if name == "slow" else 1.0
            return super().train(name, until)

    fake = Slow(flat(quick=0.5, slow=0.6), starting=0.0)
    done = fake.halve(300)
    assert done.seconds <= 300
    assert {item.epochs for item in done.tried} == {5}


def test_too_little_time_for_two_says_nothing():
    done = Fake(flat(a=0.5, b=0.6)).halve(20)
    assert [item.epochs for item in done.tried] == [1, 0]
    assert not done.complete
    assert done.common == 0


def test_one_that_fails_is_left_out_with_its_reason():
    fake = Fake(flat(a=0.5, b=0.6, c=0.7))
    fake.fails["c"] = RunError("the loss is not finite.")
    done = fake.halve(1000)
    assert done.complete
    assert done.ordered[0].name == "b"
    assert done.ordered[-1].reason == "the loss is not finite."
    fake = Fake(flat(a=0.5, b=0.6))
    fake.fails = {"a": RunError("no"), "b": RunError("no")}
    assert fake.halve(1000).alive == []


def test_a_stop_is_no_failure_and_keeps_what_is_done():
    fake = Fake(flat(a=0.5, b=0.6))
    fake.fails["b"] = StoppedError("stopped by the user; go on with --resume.")
    begun = Halving([Tried("a"), Tried("b")])
    with pytest.raises(RunError, match=r"^stopped by the user; the same command goes on\.$"):
        fake.halve(1000, halving=begun)
    assert [(item.epochs, item.reason) for item in begun.tried] == [(1, None), (0, None)]
    assert begun.seconds == fake.now == 16  # what was spent until then counts
    del fake.fails["b"]
    assert fake.halve(1000, halving=begun).ordered[0].name == "b"


def test_a_finished_one_does_nothing_and_a_larger_budget_goes_on():
    fake = Fake(flat(a=0.5, b=0.6, c=0.4))
    done = fake.halve(60)
    assert not done.complete
    calls = len(fake.calls)
    assert len(Fake.halve(fake, 60, halving=done).tried) == 3
    assert len(fake.calls) == calls
    more = fake.halve(600, halving=done)
    assert more.complete
    calls = len(fake.calls)
    fake.halve(600, halving=more)
    assert len(fake.calls) == calls


@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=8, unique=True).filter(lambda v: len(v) % 2 == 0))
@settings(max_examples=15, deadline=None)
def test_those_kept_are_those_that_optunas_pruner_promotes_when_all_have_arrived(values: list[float]):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    promoted = set()
    for at in range(len(values)):
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
        study = optuna.create_study(direction="maximize", pruner=pruner)
        for value in [*values[:at], *values[at + 1 :], values[at]]:  # the one asked about arrives last
            trial = study.ask()
            trial.report(value, 1)
            pruned = trial.should_prune()
        if not pruned:
            promoted.add(at)
    assert set(kept(dict(enumerate(values)))) == promoted


def test_of_equals_the_earlier_is_kept():
    assert kept({"a": 0.5, "b": 0.5, "c": 0.5}) == ["a", "b"]


def test_values_that_are_not_numbers_are_the_worst():
    done = Fake({"a": [float("nan")] * 20, "b": [0.1] * 20}).halve(10_000)
    assert done.ordered[0].name == "b"
