"""Rows of a MedMNIST-style archive: arrays `train_images`, `val_images`, `test_images` in one .npz file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acnorm.data.case import SPLITS
from acnorm.data.decoders.pixels import Image, channels_first, to_unit
from acnorm.data.problems import fault


@dataclass(frozen=True)
class Archive:
    """The arrays of one archive, by name. Rows count through the splits: all of train, then val, then test."""

    path: Path
    arrays: dict[str, NDArray[Any]]

    def splits(self) -> list[str]:
        """The splits whose images are in the archive, in the order of the rows."""
        return [split for split in SPLITS if f"{split}_images" in self.arrays]

    def holds_volumes(self) -> bool:
        """Whether rows are volumes: of three axes, the last longer than colours are, or of four."""
        images = self.arrays[f"{self.splits()[0]}_images"]
        return images.ndim == 5 or (images.ndim == 4 and images.shape[3] not in (1, 3))

    def row(self, index: int) -> NDArray[Any]:
        """The stored image of one row, [height, width] or [height, width, channels], or volume, an axis more."""
        start = 0
        for split in self.splits():
            images = self.arrays[f"{split}_images"]
            if 0 <= index - start < len(images):
                return np.asarray(images[index - start])
            start += len(images)
        raise fault(self.path, f"no row {index} among {start}", "read the cases of this archive again")


def open_archive(path: Path) -> Archive:
    """Read all arrays of an .npz file, once: later calls return the same until the file changes.

    Raises `DataError` for a file that is missing, empty, damaged, no .npz, or that holds pickled objects.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise fault(path, f"cannot be read ({error.strerror})", "check the path") from None
    return _open(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _open(path: Path, _modified: int, size: int) -> Archive:
    if size == 0:
        raise fault(path, "the file is empty (0 bytes)", "copy or download it again")
    if not zipfile.is_zipfile(path):
        raise fault(path, "not an .npz archive, or a truncated one", "copy or download it again")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # whatever a damaged member makes numpy, zipfile or zlib trip over
        if "allow_pickle" in str(error):
            raise fault(path, "holds pickled Python objects, which may run code", "save plain number arrays") from None
        raise fault(path, f"the archive is damaged ({error})", "copy or download it again") from None
    # members that are no arrays come as bytes
    return Archive(path, {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)})


def read_row(path: Path, index: int) -> Image:
    """One row of an archive as [1 or 3, height, width] or, slices last, [1 or 3, height, width, depth] in 0..1."""
    archive = open_archive(path)
    values = to_unit(archive.row(index), f"{path}[row {index}]")
    if archive.holds_volumes():
        return np.ascontiguousarray(np.moveaxis(values[None] if values.ndim == 3 else np.moveaxis(values, 3, 0), 1, 3))
    return channels_first(values, path)
