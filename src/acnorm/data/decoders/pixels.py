"""Pixel values of any type to 0..1, and any order of axes to channels first: shared by all decoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acnorm.data.problems import fault

Image = NDArray[np.float32]  # [channels, height, width], 0..1


def to_unit(array: NDArray[Any], file: Path | str, *, bits: int | None = None) -> NDArray[np.float32]:
    """Scale pixel values to 0..1 by the range of their type: 255 for 8 bits, 65535 for 16.

    `bits` says how many bits are in use where that is not the width of the type (1-bit, 4-bit files).
    Floating-point values are taken as they are, and refused (`DataError`) outside 0..1 or when not finite;
    so are signed and 32-bit integers, whose range says nothing about the image.

    Examples:
        >>> to_unit(np.array([[0, 65535]], dtype=np.uint16), "a.png").tolist()
        [[0.0, 1.0]]
        >>> to_unit(np.array([[0.5, 3.0]]), "a.tif")
        Traceback (most recent call last):
            ...
        acnorm.data.problems.DataError: a.tif: floating-point values from 0.5 to 3; scale them to 0..1
    """
    if array.dtype == bool:
        return array.astype(np.float32)
    if array.dtype.kind == "f":
        return _float_in_range(array, file)
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise fault(file, f"pixels of type {array.dtype}", "save them as 8 or 16 bit unsigned, or as floats in 0..1")
    largest = 2 ** (bits or 8 * array.dtype.itemsize) - 1
    return np.asarray(array, dtype=np.float32) / np.float32(largest)


def _float_in_range(array: NDArray[Any], file: Path | str) -> NDArray[np.float32]:
    if not np.isfinite(array).all():
        wrong = int((~np.isfinite(array)).sum())
        raise fault(file, f"{wrong} pixels are NaN or infinite", "replace them by a value in 0..1")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 1:
        raise fault(file, f"floating-point values from {low:g} to {high:g}", "scale them to 0..1")
    return np.asarray(array, dtype=np.float32)


def channels_first(array: NDArray[np.float32], file: Path | str) -> Image:
    """[height, width] or [height, width, samples] as [1 or 3, height, width]; an alpha channel is dropped.

    Raises `DataError` for any other number of axes or samples.

    Examples:
        >>> channels_first(np.zeros((4, 5, 4), dtype=np.float32), "rgba.png").shape
        (3, 4, 5)
    """
    if array.ndim == 2:
        return np.ascontiguousarray(array[None])
    if array.ndim != 3:
        raise fault(file, f"{array.ndim} axes, of lengths {array.shape}", "save each 2D image as a file of its own")
    samples = array.shape[2]
    if samples not in (1, 2, 3, 4):
        raise fault(file, f"{samples} channels", "save it as grey (1 channel) or RGB (3 channels)")
    colours = 3 if samples >= 3 else 1
    return np.ascontiguousarray(np.moveaxis(array[..., :colours], 2, 0))
