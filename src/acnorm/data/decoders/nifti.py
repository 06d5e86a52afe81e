"""NIfTI through nibabel: turned to RAS on reading, and back on writing."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Float, Int
from nibabel import orientations
from nibabel.imageglobals import logger as nibabel_logger
from numpy.typing import NDArray

from acnorm.data.atomic import replacing
from acnorm.data.problems import fault

METRE, MICROMETRE = 1, 3  # codes of xyzt_units in the header


def read_nifti(path: Path) -> tuple[Float[NDArray[np.float32], "x y z"], Float[NDArray[np.float64], "4 4"]]:
    """Read the values as stored, scaled by the header's slope, and the affine in mm, both in RAS.

    Raises `DataError` for a file that cannot be read or that has not three axes.
    """
    source = _load(path)
    try:
        with _quiet():
            image = nibabel.as_closest_canonical(source)
        with np.errstate(over="ignore"):  # infinite then, and told as such
            values = np.asarray(image.dataobj, dtype=np.float32).reshape(_space(image.shape))
    except (EOFError, OSError, zlib.error, ValueError) as error:
        raise fault(path, f"is cut short or damaged ({_told(error)})", "copy or export it again") from None
    return values, _millimetres(source) @ np.asarray(image.affine, dtype=np.float64)


def write_nifti(mask: Int[NDArray[np.uint8], "x y z"], like: Path, out: Path) -> None:
    """Write a label map given in RAS in the orientation and with the affine of `like`."""
    source = _load(like)
    back = orientations.ornt_transform(
        orientations.axcodes2ornt(("R", "A", "S")), orientations.io_orientation(source.affine)
    )
    header = source.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    found = nibabel.Nifti1Image(orientations.apply_orientation(mask, back).astype(np.uint8), source.affine, header)
    with replacing(out) as draft:
        found.to_filename(draft)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what nibabel says of a header that it mends from what is told in one line."""
    before, nibabel_logger.disabled = nibabel_logger.disabled, True
    try:
        yield
    finally:
        nibabel_logger.disabled = before


def _millimetres(image: nibabel.Nifti1Image) -> Float[NDArray[np.float64], "4 4"]:
    """From the unit that the header gives, which nibabel leaves aside, to mm; mm where it gives none."""
    code = int(image.header["xyzt_units"]) % 8 if "xyzt_units" in image.header else 0
    scale = {METRE: 1000.0, MICROMETRE: 0.001}.get(code, 1.0)
    return np.diag([scale, scale, scale, 1.0])


def _load(path: Path) -> nibabel.Nifti1Image:
    try:
        with _quiet():  # of a header that nibabel mends
            image = nibabel.load(path)
    except FileNotFoundError:
        raise fault(path, "no such file", "check the path") from None
    except Exception as error:
        raise fault(path, f"is no NIfTI file that can be read ({_told(error)})", "copy or export it again") from None
    axes = len(_space(image.shape))
    if axes != 3:
        remedy = "give each frame a file of its own" if axes == 4 else "give a volume of three axes"
        raise fault(path, f"has {axes} axes, three are needed", remedy)
    kind = image.get_data_dtype()
    if kind.kind not in "biuf":
        what = "colours" if kind.names else f"values of type {kind}"
        raise fault(path, f"holds {what}, one real number a voxel is needed", "save it as such")
    _refuse_nowhere(path, image)
    return image


def _space(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without further axes of length 1: one frame is a volume."""
    return shape if any(length != 1 for length in shape[3:]) else shape[:3]


def _refuse_nowhere(path: Path, image: nibabel.Nifti1Image) -> None:
    """Refuse a header that does not tell how large voxels are, or where; nibabel takes a size of 0 as 1 mm."""
    with image.file_map["image"].get_prepare_fileobj("rb") as file:
        header = image.header_class.from_fileobj(file, check=False)
    sizes = header["pixdim"][1:4]
    if header["sform_code"] == 0 and not (np.isfinite(sizes).all() and sizes.all()):
        told = " × ".join(f"{size:g}" for size in sizes)
        raise fault(path, f"its header gives voxels of {told} mm", "write their true size into it (pixdim)")
    affine = image.affine
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine) < 4:
        raise fault(path, "its header does not tell where voxels lie (affine of NaN or zeros)", "write a true affine")


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
