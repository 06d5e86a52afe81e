"""MHA, MHD, NRRD and DICOM series through SimpleITK: turned to RAS on reading, and back on writing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float, Int
from numpy.typing import NDArray

from acnorm.data.atomic import replacing
from acnorm.data.problems import fault

_UNEVEN = 0.01  # share by which the distances of a series' slices may differ


def read_itk(path: Path) -> tuple[Float[NDArray[np.float32], "x y z"], Float[NDArray[np.float64], "4 4"]]:
    """Read the values as stored (HU in CT) and the affine, both in RAS.

    Raises `DataError` for a file that cannot be read or that has not three axes and one value a voxel; and for a folder
    that holds no series, several, or one that lacks a slice.
    """
    image = sitk.DICOMOrient(_load(path), "RAS")
    values = sitk.GetArrayFromImage(image).astype(np.float32).transpose(2, 1, 0)
    return values, _affine(image)


def write_itk(mask: Int[NDArray[np.uint8], "x y z"], like: Path, out: Path) -> None:
    """Write a label map given in RAS on the grid of `like`."""
    source = _load(like)
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


def _load(path: Path) -> sitk.Image:
    if path.is_dir():
        return _series(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError:
        what = "cannot be read" if path.is_file() else "no such file"
        raise fault(path, what, "check the path, and the file beside it in an .mhd") from None
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        parts = f"{image.GetDimension()} axes and {image.GetNumberOfComponentsPerPixel()} values a voxel"
        raise fault(path, f"has {parts}, three axes and one value are needed", "give one volume a file")
    return image


def _series(folder: Path) -> sitk.Image:
    names = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not names:
        raise fault(folder, "holds no DICOM series", "give the folder that holds the files of one series")
    if len(names) > 1:
        raise fault(folder, f"holds {len(names)} DICOM series", "give each series a folder of its own")
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), names[0])
    _check_slices(folder, files)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    try:
        return reader.Execute()
    except RuntimeError:
        raise fault(folder, "its DICOM series cannot be read", "copy or export it again") from None


def _check_slices(folder: Path, files: tuple[str, ...]) -> None:
    places = []
    for file in files:
        reader = sitk.ImageFileReader()
        reader.SetFileName(file)
        reader.ReadImageInformation()
        direction = np.array(reader.GetDirection()).reshape(3, 3)
        places.append(float(np.array(reader.GetOrigin()) @ direction[:, 2]))
    steps = np.abs(np.diff(places))
    if len(steps) and not np.allclose(steps, np.median(steps), rtol=_UNEVEN, atol=1e-3):
        at = int(np.abs(steps - np.median(steps)).argmax())
        raise fault(
            folder,
            f"a slice is missing or double after {Path(files[at]).name} ({steps[at]:g} mm to the next, "
            f"{np.median(steps):g} mm elsewhere)",
            "export the whole series again",
        )


def _affine(image: sitk.Image) -> NDArray[np.float64]:
    """From voxels to RAS; SimpleITK speaks LPS."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
