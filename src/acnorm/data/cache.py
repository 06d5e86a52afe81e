"""Prepared cases kept at hand: in memory up to a budget, beyond it in files for the time of the process."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

Tensors = dict[str, Tensor]


class CaseCache:
    """Call ``make`` for an index once, and remember what it gave.

    What goes beyond the budget is written to a folder of its own among the temporary files (``TMPDIR``), which workers
    share, and which is deleted when the process that made the cache ends or forgets it.

    Args:
        make: gives the tensors of an index.
        budget: bytes kept in memory, in each worker.

    Examples:
        >>> import torch
        >>> cache = CaseCache(lambda index: {"image": torch.full((2,), float(index))}, budget=8)
        >>> [cache.get(index)["image"].tolist() for index in (1, 2, 1, 2)]
        [[1.0, 1.0], [2.0, 2.0], [1.0, 1.0], [2.0, 2.0]]
        >>> len(list(cache.folder.iterdir()))  # the first filled the memory
        1
    """

    def __init__(self, make: Callable[[int], Tensors], *, budget: int) -> None:
        self._make = make
        self._budget = budget
        self._kept: dict[int, Tensors] = {}
        self._bytes = 0
        self.folder = Path(tempfile.mkdtemp(prefix="acnorm-cases-"))
        weakref.finalize(self, _remove, self.folder, os.getpid())

    def get(self, index: int) -> Tensors:
        """The tensors of an index."""
        if index in self._kept:
            return self._kept[index]
        file = self.folder / f"{index}.safetensors"
        if file.exists():
            return load_file(file)
        tensors = self._make(index)
        size = sum(tensor.nbytes for tensor in tensors.values())
        if self._bytes + size <= self._budget:
            self._kept[index] = tensors
            self._bytes += size
            return tensors
        self._write(file, tensors)
        return tensors

    def _write(self, file: Path, tensors: Tensors) -> None:
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        try:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, draft)
            os.replace(draft, file)
        except OSError:  # a full disk: the case is made again the next time
            draft.unlink(missing_ok=True)


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
