"""MHA, MHD and NRRD, and DICOM series, through SimpleITK: turned to RAS on reading, and back on writing."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float, Int
from numpy.typing import NDArray

from acnorm.data.atomic import replacing
from acnorm.data.decoders.series import read_series
from acnorm.data.problems import fault


def read_itk(path: Path) -> tuple[Float[NDArray[np.float32], "x y z"], Float[NDArray[np.float64], "4 4"]]:
    """Read the values as stored (HU in CT) and the affine, both in RAS.

    Raises `DataError` for a file that cannot be read or that has not three axes and one value a voxel; and for a folder
    that holds no series, several, or one that lacks a slice.
    """
    image = load_itk(path)
    if "complex" in image.GetPixelIDTypeAsString():
        raise fault(path, "holds complex values, one real number a voxel is needed", "save it as such")
    image = sitk.DICOMOrient(image, "RAS")
    values = sitk.GetArrayFromImage(image).astype(np.float32).transpose(2, 1, 0)
    return values, affine_of(image)


def read_box(
    path: Path, centre: tuple[float, float, float], side: float, spacing: float = 1.0
) -> Float[NDArray[np.float32], "x y z"]:
    """Read a cube of a volume, interpolated to voxels of one size, in RAS; of a MetaImage only that part of the file.

    Args:
        path: MHA, MHD, NRRD, NIfTI, or the folder of a DICOM series.
        centre: x, y, z of the middle of the cube, in millimetres of RAS.
        side: of the cube, in millimetres.
        spacing: of the result, in millimetres.

    Where the cube reaches beyond the volume it is filled with the lowest value that it holds. Raises `DataError` for a
    file that cannot be read, and for a centre outside the volume.
    """
    volume = load_itk(path) if path.is_dir() else _header(path)
    to_world = np.array(volume.GetDirection()).reshape(3, 3) * np.array(volume.GetSpacing())
    middle = np.array([-centre[0], -centre[1], centre[2]])  # SimpleITK speaks LPS
    voxel = np.linalg.solve(to_world, middle - np.array(volume.GetOrigin()))
    size = np.array(volume.GetSize())
    if (voxel < -0.5).any() or (voxel > size - 0.5).any():
        told = ", ".join(f"{value:g}" for value in middle)
        raise fault(path, f"the point {told} (x, y, z in mm) lies outside", "take coordinates of this scan, in mm")
    reach = np.abs(np.linalg.inv(to_world)).sum(axis=1) * side / 2 + 1
    low = np.clip(np.floor(voxel - reach), 0, size - 1).astype(int)
    high = np.clip(np.ceil(voxel + reach), low, size - 1).astype(int)
    part = sitk.Cast(_part(volume, path, low.tolist(), (high - low + 1).tolist()), sitk.sitkFloat32)
    count = max(1, round(side / spacing))
    first = middle - np.array([-1, -1, 1]) * (count - 1) / 2 * spacing
    turned = np.diag([-1.0, -1.0, 1.0]).reshape(-1).tolist()
    lowest = float(sitk.GetArrayViewFromImage(part).min())
    cube = sitk.Resample(
        part, [count] * 3, sitk.Transform(), sitk.sitkLinear, first.tolist(), [spacing] * 3, turned, lowest
    )
    values: NDArray[np.float32] = sitk.GetArrayFromImage(cube).transpose(2, 1, 0)
    return values


def _header(path: Path) -> sitk.ImageFileReader:
    _refuse_lone_header(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from None
    _refuse_axes(path, reader.GetDimension(), reader.GetNumberOfComponents())
    return reader


def _part(volume: sitk.Image | sitk.ImageFileReader, path: Path, first: list[int], size: list[int]) -> sitk.Image:
    if isinstance(volume, sitk.Image):
        return sitk.RegionOfInterest(volume, size, first)
    volume.SetExtractIndex(first)
    volume.SetExtractSize(size)
    try:
        return volume.Execute()
    except RuntimeError as error:
        raise _unreadable(path, error) from None


def write_itk(mask: Int[NDArray[np.uint8], "x y z"], like: Path, out: Path) -> None:
    """Write a label map given in RAS on the grid of `like`."""
    source = load_itk(like)
    turned = sitk.GetImageFromArray(np.ascontiguousarray(mask.astype(np.uint8).transpose(2, 1, 0)))
    turned.CopyInformation(sitk.DICOMOrient(source, "RAS"))
    code = sitk.DICOMOrientImageFilter_GetOrientationFromDirectionCosines(source.GetDirection())
    found = sitk.DICOMOrient(turned, code)
    found.CopyInformation(source)
    if out.suffix.lower() == ".mhd":  # its voxels lie in a second file, which a rename would leave behind
        out.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(found, str(out))
        return
    with replacing(out) as draft:
        sitk.WriteImage(found, str(draft))


def load_itk(path: Path) -> sitk.Image:
    if path.is_dir():
        return read_series(path)
    _refuse_lone_header(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise _unreadable(path, error) from None
    _refuse_axes(path, image.GetDimension(), image.GetNumberOfComponentsPerPixel())
    return image


def _refuse_lone_header(path: Path) -> None:
    """Refuse a MetaImage header whose voxels are not there, of which ITK prints a line of its own."""
    if path.suffix.lower() != ".mhd" or not path.is_file():
        return
    with path.open("rb") as file:
        named = re.search(rb"^ElementDataFile\s*=\s*(.+?)\s*$", file.read(65536), re.MULTILINE)
    name = named[1].decode(errors="replace") if named else "LOCAL"
    if "%" not in name and name.split()[0] not in ("LOCAL", "LIST") and not (path.parent / name).is_file():
        raise fault(path, f"its voxels are not there ({name})", "put that file beside it")


def _unreadable(path: Path, error: RuntimeError) -> Exception:
    if "Refusing to change" in str(error):  # of spacing or direction
        what = "its header gives voxels no size or no direction (zeros or NaN)"
        return fault(path, what, "write their true spacing and direction into it")
    what = "cannot be read" if path.is_file() else "no such file"
    return fault(path, what, "check the path, and the file beside it in an .mhd")


def _refuse_axes(path: Path, axes: int, values: int) -> None:
    if axes != 3 or values != 1:
        parts = f"{axes} axes and {values} values a voxel"
        raise fault(path, f"has {parts}, three axes and one value are needed", "give one volume a file")


def affine_of(image: sitk.Image) -> NDArray[np.float64]:
    """From voxels to RAS; SimpleITK speaks LPS."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
