"""Successive halving on a budget of time: which of several runs to go on with, whatever a run is.

All that are left train for as many epochs; the better half goes on, until one is left, all epochs are done or the next
step would not fit. Each round gets an equal share of the time that is left (Jamieson and Talwalkar, AISTATS 2016), as
measured epochs tell how far that goes. Optuna's SuccessiveHalvingPruner has rounds of fixed lengths and judges each run
against those that came there before it, so that the first to arrive always goes on; here all arrive first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, inf, isnan, log2
from typing import Any, TypeVar

from acnorm.errors import RunError, StoppedError

Name = TypeVar("Name")
Train = Callable[[str, int], tuple[Sequence[float], Sequence[float]]]


@dataclass
class Tried:
    """One run, as far as it came.

    name: of the candidate. values: what it is judged by after each epoch, more being better. seconds: that each epoch
    took. starting: that a start takes besides. left: after how many epochs it was left; None while it goes on. reason:
    why it failed.
    """

    name: str
    values: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    starting: float = 0.0
    left: int | None = None
    reason: str | None = None

    @property
    def epochs(self) -> int:
        """That it has trained."""
        return len(self.values)

    def best(self, epochs: int) -> float:
        """The best value within some epochs, as fine-tuning chooses its epoch."""
        return max((value for value in self.values[:epochs] if not isnan(value)), default=-inf)


@dataclass
class Halving:
    """How far all came.

    tried: the candidates in the order given. seconds: spent. complete: whether it ended before the budget did.
    """

    tried: list[Tried]
    seconds: float = 0.0
    complete: bool = False

    @property
    def alive(self) -> list[Tried]:
        """Those that go on."""
        return [item for item in self.tried if item.left is None and item.reason is None]

    @property
    def common(self) -> int:
        """Epochs that all that go on have trained."""
        return min((item.epochs for item in self.alive), default=0)

    @property
    def ordered(self) -> list[Tried]:
        """The best first: those that went furthest, by their best value within the epochs that they share."""
        rounds = {id(item): self.common if item.left is None else item.left for item in self.tried}
        return sorted(
            self.tried,
            key=lambda item: (item.reason is None, item.left is None, rounds[id(item)], item.best(rounds[id(item)])),
            reverse=True,
        )


def kept(values: Mapping[Name, float]) -> list[Name]:
    """Return the better half, the larger one of an odd number; the earlier of equals.

    Examples:
        >>> kept({"a": 0.5, "b": 0.9, "c": 0.7})
        ['b', 'c']
    """
    return sorted(values, key=lambda name: -values[name])[: ceil(len(values) / 2)]


def halve(
    halving: Halving,
    train: Train,
    *,
    epochs: int,
    budget: float,
    clock: Callable[[], float] = time.monotonic,
    told: Callable[[Halving], None] = lambda _: None,
) -> Halving:
    """Train in rounds until one is left, all epochs are done, or the next step would not fit into the budget.

    How long an epoch takes is measured; of a candidate that has not run, the longest of the others is taken. Only the
    very first epoch starts without knowing.

    Args:
        halving: the candidates, or how far they had come; is changed.
        train: trains one of them up to so many epochs, and returns its values and the seconds of each epoch from the
            beginning.
        epochs: at most.
        budget: seconds in all.
        clock: in seconds.
        told: called after each step.

    Examples:
        >>> now = [0.0]
        >>> def train(name, until):
        ...     now[0] += until
        ...     return [0.1 * ord(name)] * until, [1.0] * until
        >>> done = halve(Halving([Tried("a"), Tried("b")]), train, epochs=4, budget=60, clock=lambda: now[0])
        >>> [(item.name, item.epochs) for item in done.ordered]
        [('b', 4), ('a', 4)]
    """
    work = _Work(halving, train, budget, clock, told)
    if not work.round(1):
        return halving
    while len(halving.alive) > 1 and halving.common < epochs:
        target = min(epochs, halving.common + work.affordable())
        if target == halving.common or not work.round(target):
            return halving
        if target < epochs:
            good = kept({item.name: item.best(target) for item in halving.alive})
            for item in halving.alive:
                item.left = None if item.name in good else target
            told(halving)
    halving.complete = True
    told(halving)
    return halving


@dataclass
class _Work:
    halving: Halving
    train: Train
    budget: float
    clock: Callable[[], float]
    told: Callable[[Halving], None]

    def round(self, target: int) -> bool:
        """Bring all that go on to so many epochs; False where that does not fit."""
        for item in self.halving.alive:
            if item.epochs >= target:
                continue
            if any(other.epochs for other in self.halving.tried) and self._foreseen(item, target) > self._left():
                return False
            self._step(item, target)
        return True

    def affordable(self) -> int:
        """Further epochs for all that go on within this round's share of the time; one where all of it allows that."""
        alive = self.halving.alive
        starting, epoch = (sum(map(of, alive)) for of in (self._starting, self._epoch))
        share = self._left() / max(1, ceil(log2(len(alive))))
        if epoch <= 0:
            return 1
        return max(floor((share - starting) / epoch + 1e-9), 1 if self._left() >= starting + epoch else 0)

    def _step(self, item: Tried, target: int) -> None:
        start, before = self.clock(), item.epochs
        try:
            values, seconds = self.train(item.name, target)
            item.values, item.seconds = list(values), list(seconds)
        except StoppedError:
            self._spend(start)
            self.told(self.halving)
            raise RunError("stopped by the user; the same command goes on.") from None
        except RunError as error:
            item.reason = str(error)
        took = self._spend(start)
        item.starting = max(item.starting, took - sum(item.seconds[before:]), 0.0)
        self.told(self.halving)

    def _spend(self, start: float) -> float:
        took = self.clock() - start
        self.halving.seconds += took
        return took

    def _foreseen(self, item: Tried, target: int) -> float:
        return self._starting(item) + (target - item.epochs) * self._epoch(item)

    def _starting(self, item: Tried) -> float:
        return item.starting if item.epochs else max(other.starting for other in self.halving.tried)

    def _epoch(self, item: Tried) -> float:
        known = [item] if item.epochs else [other for other in self.halving.tried if other.epochs]
        return max((sum(other.seconds) / len(other.seconds) for other in known if other.seconds), default=0.0)

    def _left(self) -> float:
        return self.budget - self.halving.seconds


def as_plain(halving: Halving) -> dict[str, Any]:
    """Return plain values for JSON.

    Examples:
        >>> as_plain(Halving([Tried("a", [0.5], [1.0])]))["tried"][0]["values"]
        [0.5]
    """
    return {
        "seconds": halving.seconds,
        "complete": halving.complete,
        "tried": [dict(vars(item)) for item in halving.tried],
    }
