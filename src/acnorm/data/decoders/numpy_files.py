"""Arrays of NumPy, .npy or .npz, as images and volumes of one case: numbers alone, nothing pickled.

Two axes are a 2D image, three with 1, 3 or 4 values last one with channels, any other three a volume: x, y, z in RAS
with voxels of one millimetre, since the file says nothing of its geometry.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from acnorm.data.atomic import replacing
from acnorm.data.decoders.pixels import Image, channels_first, to_unit
from acnorm.data.problems import DataError, fault

NUMPY = (".npy", ".npz")
_KEYS = ("image", "data", "arr_0")
_CHANNELS = (1, 3, 4)


def read_array(path: Path) -> NDArray[Any]:
    """Read the one array of a file; of several in an .npz that which is called image, data or arr_0.

    Raises `DataError` for a file that cannot be read, other than numbers, and several arrays of other names.
    """
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            array = found if isinstance(found, np.ndarray) else np.asarray(found[_name(found.files, path)])
    except DataError:
        raise
    except FileNotFoundError:
        raise fault(path, "no such file", "check the path") from None
    except Exception as error:  # whatever a damaged file makes the parser trip over
        told = " ".join(str(error).split())[:80]
        raise fault(path, f"is no NumPy file that can be read ({told})", "save it again, as numbers") from None
    if array.dtype.kind not in "biuf":
        raise fault(path, f"holds values of type {array.dtype}", "save numbers")
    if not array.size:
        raise fault(path, f"holds no value (its shape is {array.shape})", "save it again")
    return array


def _name(names: Sequence[str], path: Path) -> str:
    """The array of an .npz that counts."""
    name = names[0] if len(names) == 1 else next((name for name in _KEYS if name in names), None)
    if name is None:
        listed = ", ".join(names[:5]) or "nothing"
        raise fault(path, f"holds {listed}", f"keep one array, or call it {', '.join(_KEYS[:-1])} or {_KEYS[-1]}")
    return name


def is_array_volume(path: Path) -> bool:
    """Whether a NumPy file holds a volume, by its header alone; also False where it cannot be read."""
    if path.suffix.lower() not in NUMPY:
        return False
    try:
        shape = _shape(path)
    except Exception:  # as above; told where the values are read
        return False
    return len(shape) > 2 and not (len(shape) == 3 and shape[2] in _CHANNELS)


def _shape(path: Path) -> tuple[int, ...]:
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            return _shape_in_header(file)
        with zipfile.ZipFile(file) as archive:
            files = {name.removesuffix(".npy"): name for name in archive.namelist()}
            with archive.open(files[_name(list(files), path)]) as member:
                return _shape_in_header(member)


def _shape_in_header(file: IO[bytes]) -> tuple[int, ...]:
    first = np.lib.format.read_magic(file) == (1, 0)
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    return tuple(read(file)[0])


def read_array_image(path: Path) -> Image:
    """Read a 2D image as [1 or 3, height, width] in 0..1, whole numbers by the range of their type."""
    return channels_first(to_unit(read_array(path), path), path)


def read_array_volume(path: Path) -> tuple[Float[NDArray[np.float32], "x y z"], Float[NDArray[np.float64], "4 4"]]:
    """Read a volume as stored, with voxels of one millimetre in RAS."""
    array = read_array(path)
    if array.ndim != 3:
        raise fault(path, f"has {array.ndim} axes, three are needed", "give a volume of three axes")
    return array.astype(np.float32), np.eye(4)


def write_array(mask: Int[NDArray[np.uint8], "x y z"], like: Path, out: Path) -> None:  # noqa: ARG001
    """Write a label map as .npy."""
    with replacing(out) as draft, draft.open("wb") as file:
        np.save(file, mask.astype(np.uint8), allow_pickle=False)
