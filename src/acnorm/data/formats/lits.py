"""LiTS (Liver Tumor Segmentation Challenge) in the layout of its release.

    Training Batch 1/volume-0.nii     Training Batch 1/segmentation-0.nii
    Training Batch 2/volume-28.nii    …

The folders of both batches, or one folder of all files. The labels are 1 liver, 2 tumour.
"""

from __future__ import annotations

from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats.settle import settle
from acnorm.data.problems import Problem

_CLASSES = ("background", "liver", "tumour")


def detect(data: Path) -> bool:
    """Whether files such as volume-0.nii and segmentation-0.nii lie here or in the folders of batches."""
    return data.is_dir() and any(next(root.glob("segmentation-*.nii*"), None) for root in _roots(data))


def read(data: Path) -> Collection:
    """Read the labelled volumes; ids are such as `volume-0`, and each is a patient's.

    Raises `DataError` with every volume that lacks its label and every label that lacks its volume.
    """
    cases: list[Case] = []
    problems: list[Problem] = []
    for root in _roots(data):
        volumes, masks = (
            {path.name.partition(".")[0].rpartition("-")[2]: path for path in sorted(root.glob(f"{kind}-*.nii*"))}
            for kind in ("volume", "segmentation")
        )
        for number in sorted(volumes.keys() | masks.keys(), key=lambda text: (len(text), text)):
            if number in volumes and number in masks:
                name = f"volume-{number}"
                cases.append(Case(name, volumes[number], 0, patient=name, mask=masks[number]))
            else:
                there = volumes.get(number) or masks[number]
                kind = "segmentation" if number in volumes else "volume"
                problems.append(
                    Problem(str(there), f"no {kind}-{number} beside it", "unpack the release again, or remove the file")
                )
    return settle(Collection(tuple(cases), _CLASSES, data, "lits", (), "CT"), problems)


def _roots(data: Path) -> list[Path]:
    return [data, *sorted(path for path in data.iterdir() if path.is_dir() and "batch" in path.name.lower())]
