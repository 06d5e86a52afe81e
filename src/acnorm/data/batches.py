"""Batches of (epoch, index) keys: the same order for the same seed, on any number of processes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from acnorm.data.dataset import Key


class EpochBatches(Sampler[list[Key]]):
    """Yield each epoch's batches of one process.

    The order of an epoch is a permutation drawn from (seed, epoch). Processes take every ``world``-th case;
    the order is filled up from its own beginning so that all get equally many. A last batch of one case,
    with which BatchNorm cannot train, joins the batch before it.

    Args:
        cases: number of cases.
        batch_size: cases a batch and process.
        seed: of the order.
        shuffle: False keeps the order of the cases.
        rank: this process.
        world: number of processes.

    Raises:
        ValueError: no cases.

    Examples:
        >>> batches = EpochBatches(5, batch_size=2, seed=0, shuffle=False)
        >>> batches.set_epoch(3)
        >>> list(batches)
        [[(3, 0), (3, 1)], [(3, 2), (3, 3), (3, 4)]]
    """

    def __init__(
        self, cases: int, batch_size: int, *, seed: int = 0, shuffle: bool = True, rank: int = 0, world: int = 1
    ) -> None:
        if cases < 1:
            raise ValueError("there are no cases to make batches of.")
        self.cases = cases
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world = world
        self.epoch = 0

    @property
    def sampler(self) -> EpochBatches:
        """Where Lightning looks for ``set_epoch``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._starts())

    def __iter__(self) -> Iterator[list[Key]]:
        order = np.arange(self.cases)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.cases)
        own = np.resize(order, self._own() * self.world)[self.rank :: self.world]
        starts = self._starts()
        for start, end in zip(starts, [*starts[1:], len(own)], strict=True):
            yield [(self.epoch, int(index)) for index in own[start:end]]

    def _own(self) -> int:
        return -(-self.cases // self.world)

    def _starts(self) -> list[int]:
        starts = list(range(0, self._own(), self.batch_size))
        if len(starts) > 1 and self._own() - starts[-1] == 1:
            starts.pop()
        return starts
