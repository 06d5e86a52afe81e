"""MM-WHS (Multi-Modality Whole Heart Segmentation) in the layout of its release.

    ct_train/ct_train_1001_image.nii.gz     ct_train/ct_train_1001_label.nii.gz
    mr_train/mr_train_1001_image.nii.gz     mr_train/mr_train_1001_label.nii.gz

Give one of the two folders: a data set has one modality. The label maps hold the challenge's own numbers, from 205
(myocardium) to 850 (pulmonary artery); they become the classes 1 to 7 in the challenge's order.
One label map of the MRI release holds 421, which is a slip for 420.
"""

from __future__ import annotations

from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats.settle import settle
from acnorm.data.problems import Problem

_NUMBERS = {"LV": 500, "RV": 600, "LA": 420, "RA": 550, "MYO": 205, "AA": 820, "PA": 850}
_SLIPS = {"MRI": ((421, 420),)}


def detect(data: Path) -> bool:
    """Whether files such as ct_train_1001_label.nii.gz lie here."""
    return data.is_dir() and any(_modality(path) for path in data.glob("*_train_*_label.nii*"))


def read(data: Path) -> Collection:
    """Read the labelled volumes; ids are such as `ct_train_1001`, and each is a patient's.

    Raises `DataError` with every volume that lacks its label, and where both modalities lie in one folder.
    """
    cases: list[Case] = []
    problems: list[Problem] = []
    images = sorted(data.glob("*_train_*_image.nii*"))
    modalities = {_modality(path) for path in images}
    if len(modalities) > 1:
        problems.append(Problem(str(data), "holds CT beside MRI", "keep each modality in a folder of its own"))
    for image in images:
        mask = image.with_name(image.name.replace("_image.", "_label."))
        name = image.name.partition("_image.")[0]
        if mask.is_file():
            values, slips = (0, *_NUMBERS.values()), _SLIPS.get(_modality(image) or "", ())
            cases.append(Case(name, image, 0, patient=name, mask=mask, label_values=values, label_slips=slips))
        else:
            problems.append(Problem(str(mask), "no such file", "unpack the release again"))
    classes = ("background", *_NUMBERS)
    return settle(Collection(tuple(cases), classes, data, "mmwhs", (), next(iter(modalities), None)), problems)


def _modality(path: Path) -> str | None:
    return {"ct": "CT", "mr": "MRI"}.get(path.name.partition("_train_")[0])
