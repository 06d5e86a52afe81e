"""Images and label maps of two or three dimensions with their geometry: read in one orientation, written back as found.

Volumes are turned to RAS (axes to the right, to the front and up, as nibabel's canonical) here and nowhere else. Images
of two axes stay as `acnorm.data.images` gives them, [channel, height, width] in 0..1, and have no spacing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from acnorm.data.case import Case
from acnorm.data.decoders.itk import read_itk, write_itk
from acnorm.data.decoders.labels import read_label_image, write_label_image
from acnorm.data.decoders.lidc import read_consensus
from acnorm.data.decoders.nifti import read_nifti, write_nifti
from acnorm.data.decoders.numpy_files import NUMPY, is_array_volume, read_array, read_array_volume, write_array
from acnorm.data.images import ITK, NIFTI, read_file
from acnorm.data.problems import fault


@dataclass(frozen=True)
class Volume:
    """An image of two or three axes.

    spacing: millimetres between voxels on each axis; None where the file says nothing (2D images).
    affine: from voxels to millimetres in RAS; None in 2D.
    """

    values: Float[NDArray[np.float32], " channel *space"]
    spacing: tuple[float, ...] | None
    affine: Float[NDArray[np.float64], "4 4"] | None


@dataclass(frozen=True)
class LabelledVolume:
    """A case as read: image, label map, where labels count (None: everywhere), and a second observer's label map."""

    image: Volume
    mask: Int[NDArray[np.uint8], "*space"]
    within: NDArray[np.bool_] | None
    other: Int[NDArray[np.uint8], "*space"] | None = None


def read_volume(path: Path) -> Volume:
    """Read NIfTI, MHA, MHD, NRRD, NumPy or a folder of one DICOM series as stored (HU in CT), or a 2D image in 0..1.

    Arrays of NumPy have voxels of one millimetre in RAS.

    Raises `DataError`, one line with the file and the remedy: not readable, four axes, NaN or infinity.

    Examples:
        >>> import tempfile, nibabel
        >>> file = Path(tempfile.mkdtemp()) / "heart.nii.gz"
        >>> nibabel.Nifti1Image(np.ones((4, 5, 6), np.int16), np.diag([2.0, 2.0, 8.0, 1.0])).to_filename(file)
        >>> volume = read_volume(file)
        >>> volume.values.shape, volume.spacing
        ((1, 4, 5, 6), (2.0, 2.0, 8.0))
    """
    reader = _reader(path)
    if reader is None:
        return Volume(read_file(path), None, None)
    values, affine = reader(path)
    if not values.size:
        raise fault(path, f"holds no voxel ({' × '.join(map(str, values.shape))})", "copy or export it again")
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise fault(path, f"{count} voxels are NaN or infinite", "export it again, or set them to the background")
    return Volume(values[None], _spacing(affine), affine)


def read_case_volume(case: Case) -> Volume:
    """Read the image of a case, all of its files stacked as channels.

    Raises `DataError` where a file cannot be read or does not lie on the grid of the first.
    """
    first = read_volume(case.image)
    parts = [first]
    for path in case.channels:
        part = read_volume(path)
        _same_grid(path, part.values.shape[1:], part.affine, case.image, first)
        parts.append(part)
    return Volume(np.concatenate([part.values for part in parts]), first.spacing, first.affine)


def read_labelled(case: Case, classes: int) -> LabelledVolume:
    """Read image, label maps and field of view of a segmentation case.

    Label maps of 0 and 255 count as 0 and 1 where there are two classes.

    Args:
        case: with a mask.
        classes: with the background, which is label 0.

    Raises `DataError` where a file cannot be read, does not lie on the image's grid, or has a label that is none.
    """
    if case.mask is None:
        raise fault(case.where(), "has no label map", "add one, or leave the case out")
    image = read_case_volume(case)
    within = None if case.within is None else _labels(case.within, case.image, image) > 0
    other = None if case.other is None else _classes(case.other, case, image, classes)
    return LabelledVolume(image, _classes(case.mask, case, image, classes), within, other)


def read_labels(path: Path) -> Int[NDArray[np.int64], "*space"]:
    """Read a label map alone, as whole numbers in the orientation of `read_volume`.

    Raises `DataError` where the file cannot be read or holds other than whole numbers from 0.
    """
    return _read_labels(path)[0]


def write_mask(mask: Int[NDArray[np.uint8], "*space"], like: Path, out: Path) -> None:
    """Write a label map, given on the grid of `read_volume(like)`, in the geometry and orientation of `like` itself.

    NIfTI, MHA, MHD, NRRD and .npy by the suffix of `out`; for 2D images PNG.

    Raises `UserError` where nothing can be written, and `DataError` for another kind of file than `like`.

    Examples:
        >>> import tempfile, nibabel
        >>> file = Path(tempfile.mkdtemp()) / "heart.nii.gz"
        >>> nibabel.Nifti1Image(np.ones((4, 5, 6), np.int16), np.diag([-2.0, 2.0, 8.0, 1.0])).to_filename(file)
        >>> write_mask(np.ones((4, 5, 6), np.uint8), file, file.with_name("found.nii.gz"))
        >>> nibabel.load(file.with_name("found.nii.gz")).affine[0, 0]
        np.float64(-2.0)
    """
    if _kind(like) != _kind(out):
        raise fault(
            out, f"cannot be written in the geometry of {like.name}", f"give a name that ends as {like.name} does"
        )
    writers = {NIFTI: write_nifti, ITK: write_itk, NUMPY: write_array}
    writer = writers.get(_kind(like) or (), write_label_image)
    writer(mask, like, out)


def _reader(path: Path) -> Callable[[Path], tuple[NDArray[Any], NDArray[np.float64]]] | None:
    if path.suffix.lower() == ".xml":
        return read_consensus
    return {NIFTI: read_nifti, ITK: read_itk, NUMPY: read_array_volume}.get(_kind(path) or ())


def _kind(path: Path) -> tuple[str, ...] | None:
    if path.is_dir():
        return ITK
    name = path.name.lower()
    if name.endswith(NUMPY):
        return NUMPY if not path.exists() or is_array_volume(path) else None
    return next((kind for kind in (NIFTI, ITK) if name.endswith(kind)), None)


def _read_labels(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    reader = _reader(path)
    values: NDArray[Any]
    affine: NDArray[np.float64] | None = None
    if path.suffix.lower() in NUMPY:  # whatever the number of axes: labels have no channels
        values = read_array(path).astype(np.float64)
    elif reader is None:
        values = read_label_image(path)
    else:
        values, affine = reader(path)
    whole: NDArray[np.int64] = np.nan_to_num(values, nan=-1, posinf=-1).round().astype(np.int64)
    if (whole != values).any() or whole.min(initial=0) < 0:
        raise fault(path, "holds fractions, negative values or NaN, which are no labels", "save whole numbers from 0")
    return whole, affine


def _labels(path: Path, image_path: Path, image: Volume) -> NDArray[np.int64]:
    labels, affine = _read_labels(path)
    _same_grid(path, labels.shape, affine, image_path, image)
    return labels


def _classes(path: Path, case: Case, image: Volume, classes: int) -> NDArray[np.uint8]:
    """A label map of the case with classes counted from 0."""
    mask = _labels(path, case.image, image)
    for wrong, right in case.label_slips:
        mask = np.where(mask == wrong, right, mask)
    if case.label_values:
        mask = _numbered(mask, case.label_values, path)
    elif classes == 2 and set(np.unique(mask)) <= {0, 255}:
        mask = mask // 255
    if mask.max(initial=0) >= classes:
        told = f"holds the label {int(mask.max())}, the classes are 0 to {classes - 1}"
        raise fault(path, told, "correct it, or name the class")
    return mask.astype(np.uint8)


def _numbered(mask: NDArray[np.int64], values: tuple[int, ...], path: Path) -> NDArray[np.int64]:
    """Classes counted from 0 in the place of the numbers that stand for them."""
    strange = sorted(set(np.unique(mask).tolist()) - set(values))
    if strange:
        known = ", ".join(map(str, values))
        raise fault(path, f"holds the label {strange[0]}, which is none of {known}", "correct it")
    order = np.argsort(values)
    return np.asarray(order[np.searchsorted(np.array(values)[order], mask)], dtype=np.int64)


def _same_grid(
    path: Path, shape: tuple[int, ...], affine: NDArray[np.float64] | None, first_path: Path, first: Volume
) -> None:
    wanted = first.values.shape[1:]
    if shape != wanted:
        told, asked = (" × ".join(map(str, sides)) for sides in (shape, wanted))
        raise fault(path, f"is of {told} voxels, {first_path.name} of {asked}", "resample it to the image's grid")
    if affine is not None and first.affine is not None and not np.allclose(affine, first.affine, atol=1e-2):
        raise fault(
            path, f"lies elsewhere than {first_path.name} (their affines differ)", "resample it to the image's grid"
        )


def _spacing(affine: NDArray[np.float64]) -> tuple[float, ...]:
    lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return tuple(round(float(length), 6) for length in lengths)
