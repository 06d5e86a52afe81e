"""Labelled cases as a PyTorch dataset that are read whole, to be measured as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from acnorm.data.case import Case
from acnorm.data.dataset import CACHE_BYTES, Key
from acnorm.data.patches import Labelled, PatchDataset


class WholeCases(Dataset[dict[str, Tensor]]):
    """Cases that are read whole, one at a time, by whoever needs them; a loader hands out their numbers alone.

    Args:
        cases: the cases.
        read: as that of ``PatchDataset``.
        memory: as that of ``PatchDataset``.

    Examples:
        >>> from pathlib import Path
        >>> whole = Labelled(torch.ones(1, 2, 2), torch.ones(2, 2))
        >>> cases = WholeCases([Case("a", Path("a.png"), 0)], lambda case: whole)
        >>> cases[0, 0], cases.labelled(0).image.shape
        ({'index': tensor(0)}, torch.Size([1, 2, 2]))
    """

    def __init__(self, cases: Sequence[Case], read: Callable[[Case], Labelled], *, memory: int = CACHE_BYTES) -> None:
        self.cases = tuple(cases)
        self._patches = PatchDataset(cases, read, patch=(1, 1), memory=memory)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, key: Key) -> dict[str, Tensor]:
        return {"index": torch.tensor(key[1])}

    def labelled(self, index: int) -> Labelled:
        """The prepared case, from memory where it is kept."""
        return self._patches.labelled(index)
