"""ACDC (Automated Cardiac Diagnosis Challenge) in the layout of its release.

    training/patient001/Info.cfg                       Group: DCM, ED: 1, ES: 12
    training/patient001/patient001_frame01.nii.gz      training/patient001/patient001_frame01_gt.nii.gz
    training/patient001/patient001_4d.nii.gz           (the whole beat, not read)
    testing/patient101/…

The labels are 1 right ventricle, 2 myocardium, 3 left ventricle. Both frames of a patient stay in one split.
"""

from __future__ import annotations

from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats.settle import settle, split_name
from acnorm.data.problems import Problem

_CLASSES = ("background", "RV", "MYO", "LV")


def detect(data: Path) -> bool:
    """Whether folders of patients with Info.cfg lie here or in training."""
    return bool(_patients(data))


def read(data: Path) -> Collection:
    """Read both frames of every patient; ids are such as `patient001_frame01`.

    Raises `DataError` with every frame that lacks its label.
    """
    cases: list[Case] = []
    problems: list[Problem] = []
    for split, folder in _patients(data):
        for image in sorted(folder.glob(f"{folder.name}_frame*.nii*")):
            name = image.name.partition(".")[0]
            if name.endswith("_gt"):
                continue
            mask = image.with_name(image.name.replace(name, f"{name}_gt"))
            if mask.is_file():
                cases.append(Case(name, image, 0, patient=folder.name, split=split, mask=mask))
            else:
                problems.append(Problem(str(mask), "no such file", "unpack the release again"))
    if {case.split for case in cases} == {"train"}:
        cases = [Case(case.id, case.image, 0, patient=case.patient, mask=case.mask) for case in cases]
    return settle(Collection(tuple(cases), _CLASSES, data, "acdc", (), "MRI"), problems)


def _patients(data: Path) -> list[tuple[str | None, Path]]:
    if not data.is_dir():
        return []
    roots = [(None, data), *((split_name(folder.name), folder) for folder in sorted(data.iterdir()) if folder.is_dir())]
    return [
        (split, info.parent)
        for split, root in roots
        if split is not None or root == data
        for info in sorted(root.glob("patient*/Info.cfg"))
    ]
