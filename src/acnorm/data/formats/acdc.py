"""ACDC (Automated Cardiac Diagnosis Challenge) in the layout of its release.

    training/patient001/Info.cfg                       Group: DCM, ED: 1, ES: 12
    training/patient001/patient001_frame01.nii.gz      training/patient001/patient001_frame01_gt.nii.gz
    training/patient001/patient001_4d.nii.gz           (the whole beat, not read)
    testing/patient101/…

Info.cfg tells which frame is the end of diastole (ED) and which of systole (ES): the later one may be either.
Where no frame of testing has its label, testing is left out with a note.
The labels are 1 right ventricle, 2 myocardium, 3 left ventricle. Both frames of a patient stay in one split.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats.settle import left_out, settle, split_name
from acnorm.data.problems import Problem

_CLASSES = ("background", "RV", "MYO", "LV")


def detect(data: Path) -> bool:
    """Whether folders of patients with Info.cfg lie here or in training."""
    return bool(_patients(data))


def read(data: Path) -> Collection:
    """Read both frames of every patient; ids are such as `patient001_frame01`.

    Raises `DataError` with every frame that lacks its label, or is neither the ED nor the ES of Info.cfg.
    """
    cases: list[Case] = []
    problems: list[Problem] = []
    patients = _patients(data)
    unlabelled = [folder for split, folder in patients if split == "test"]
    if any(any(folder.glob("*_gt.nii*")) for folder in unlabelled):
        unlabelled = []
    names = [_name(image) for folder in unlabelled for image in _frames(folder)]
    notes = (left_out(unlabelled[0].parent, names),) if names else ()
    for split, folder in patients:
        if folder in unlabelled:
            continue
        phases = _phases(folder / "Info.cfg")
        if not phases:
            what = "does not tell the frames ED and ES, two numbers"
            problems.append(Problem(str(folder / "Info.cfg"), what, "unpack the release again"))
            continue
        for image in _frames(folder):
            name = _name(image)
            mask = image.with_name(image.name.replace(name, f"{name}_gt"))
            number = name.rpartition("_frame")[2]
            phase = phases.get(int(number)) if number.isdecimal() else None
            if phase is None:
                told = " and ".join(f"{phase} {frame}" for frame, phase in phases.items())
                problems.append(Problem(str(image), f"is none of the frames of Info.cfg ({told})", "correct Info.cfg"))
            elif mask.is_file():
                cases.append(Case(name, image, 0, patient=folder.name, split=split, mask=mask, phase=phase))
            else:
                problems.append(Problem(str(mask), "no such file", "unpack the release again"))
    if {case.split for case in cases} == {"train"}:
        cases = [replace(case, split=None) for case in cases]
    return settle(Collection(tuple(cases), _CLASSES, data, "acdc", notes, "MRI"), problems)


def _name(image: Path) -> str:
    return image.name.partition(".")[0]


def _frames(folder: Path) -> list[Path]:
    images = sorted(folder.glob(f"{folder.name}_frame*.nii*"))
    return [image for image in images if not _name(image).endswith("_gt")]


def _phases(info: Path) -> dict[int, str]:
    """The phase of either frame by its number; empty where Info.cfg does not tell both."""
    lines = info.read_text(encoding="utf-8", errors="replace")
    found = dict(re.findall(r"^\s*(ED|ES)\s*:\s*(\d+)\s*$", lines, re.MULTILINE | re.ASCII))
    phases = {int(found[phase]): phase for phase in ("ED", "ES") if phase in found}
    return phases if len(phases) == 2 else {}


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
