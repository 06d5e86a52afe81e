"""A finished segmentation run on new images and volumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from acnorm.data.case import Case
from acnorm.data.decoders.numpy_files import NUMPY
from acnorm.data.formats import FORMATS, read_cases, table
from acnorm.data.formats.medmnist import is_array_of_one
from acnorm.data.formats.unlabelled import images_below
from acnorm.data.images import ITK, NIFTI, is_volume, without_suffix
from acnorm.data.intensities import IntensityPreprocessing
from acnorm.data.volumes import read_case_volume, write_mask
from acnorm.errors import UserError
from acnorm.training.inference import segment_case
from acnorm.training.shipping import ShippedModel


def predict_masks(
    shipped: ShippedModel, data: Path, out: Path, *, format: str | None = None, overwrite: bool = False
) -> Path:
    """Write a label map for every image or volume of ``data`` into the folder ``out``, in the geometry of the image.

    Args:
        shipped: the network of the run.
        data: an image or volume, a folder of images, volumes or DICOM series (each in a folder of its own), or a data
            set in any format of ``acnorm check``. A run on 2D images takes each DICOM file as an image.
        out: the folder; files are called by the case's id, in the kind of file of its image (PNG for 2D images).
        format: of a data set.
        overwrite: replace label maps that are there.

    Raises:
        UserError: nothing to segment, images of other channels or axes than the run's, two images whose label maps
            would have one name, or label maps that are there.

    Examples:
        >>> predict_masks.__name__
        'predict_masks'
    """
    prepare = shipped.preprocessing
    if not isinstance(prepare, IntensityPreprocessing):
        raise UserError(f"{out}: the run classifies images; it gives no label maps.")
    cases = _cases(data, format, series=prepare.low is not None)
    targets = [out / mask_name(case) for case in cases]
    _refuse_equal(cases, targets)
    there = [target for target in targets if target.exists()]
    if there and not overwrite:
        raise UserError(f"{there[0]}: exists; give --out another folder, or --overwrite.")
    for case, target in zip(cases, targets, strict=True):
        volume = read_case_volume(case)
        channels, *shape = volume.values.shape
        if channels != prepare.channels or len(shape) < len(prepare.patch):
            told = f"has {channels} channels and {len(shape)} axes"
            raise UserError(
                f"{case.where()}: {told}; the run takes {prepare.channels} and {len(prepare.patch)} or more."
            )
        probabilities = segment_case(shipped.network, prepare.volume(volume), shape, prepare)
        write_mask(labels_of(probabilities), case.image, target)
    return out


def labels_of(probabilities: Float[Tensor, " class *space"]) -> Int[NDArray[np.uint8], "*space"]:
    """The most probable label of every voxel.

    Examples:
        >>> labels_of(torch.rand(3, 20, 20)).shape
        (20, 20)
    """
    return probabilities.argmax(dim=0).to(torch.uint8).cpu().numpy()


def mask_name(case: Case) -> str:
    """The name of a case's predicted label map: as its image, PNG for 2D images, NIfTI for DICOM series.

    Examples:
        >>> mask_name(Case("a/heart_1", Path("x/heart_1_0000.nii.gz"), 0)), mask_name(Case("eye", Path("eye.tif"), 0))
        ('a_heart_1.nii.gz', 'eye.png')
    """
    name = case.image.name.lower()
    suffix = next((end for end in (".nii.gz", *NIFTI, *ITK) if name.endswith(end)), ".png")
    if case.image.suffix.lower() in NUMPY and is_volume(case.image):
        suffix = ".npy"
    return without_suffix(case.id).replace("/", "_") + (".mha" if case.image.is_dir() else suffix)


def _refuse_equal(cases: tuple[Case, ...], targets: list[Path]) -> None:
    first: dict[Path, Case] = {}
    for case, target in zip(cases, targets, strict=True):
        other = first.setdefault(target, case)
        if other is not case:
            raise UserError(
                f"{case.where()}: its label map would have the name of that of {other.where()} ({target.name}); "
                "rename one of them, or predict them one at a time."
            )


def _cases(data: Path, format: str | None, *, series: bool) -> tuple[Case, ...]:
    if not data.exists():
        raise UserError(f"{data}: no such file or folder; check the path.")
    if format is None and is_array_of_one(data):
        return (Case(data.name, data, 0),)
    known = next((name for name, kind in FORMATS.items() if name != "folder" and kind.detect(data)), None)
    if (format or known) == "table" and (cases := table.read_unlabelled(data)) is not None:
        return cases
    if format is not None or known is not None:
        return read_cases(data, format or known).cases
    if data.is_file():
        return (Case(data.name, data, 0),)
    return images_below(data, series=series)
