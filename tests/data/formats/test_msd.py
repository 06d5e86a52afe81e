from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from acnorm.data.formats import read_cases
from acnorm.data.formats.msd import read
from acnorm.data.problems import DataError
from volume_files import nifti


def release(root: Path, **changes: object) -> Path:
    listed = []
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for name in ("liver_0", "liver_1"):
        nifti(root / "imagesTr" / f"{name}.nii.gz", np.zeros((4, 4, 4)))
        nifti(root / "labelsTr" / f"{name}.nii.gz", np.arange(64).reshape(4, 4, 4) % 3)
        listed.append({"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"})
    about = {
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "liver", "2": "cancer"},
        "training": listed,
        "test": ["./imagesTs/liver_9.nii.gz"],
    }
    (root / "dataset.json").write_text(json.dumps(about | changes))
    return root


def test_the_listed_cases_are_read_with_names_and_modality(tmp_path: Path):
    collection = read_cases(release(tmp_path))
    assert (collection.format, collection.task, collection.modality) == ("msd", "segmentation", "CT")
    assert collection.classes == ("background", "liver", "cancer")
    assert [(case.id, case.patient, case.split) for case in collection.cases] == [
        ("liver_0", None, None),
        ("liver_1", None, None),
    ]


def test_files_that_are_listed_and_not_there_are_named(tmp_path: Path):
    (release(tmp_path) / "labelsTr" / "liver_1.nii.gz").unlink()
    with pytest.raises(
        DataError, match=r"labelsTr/liver_1\.nii\.gz: no such file; add it, or remove it from dataset\.json$"
    ):
        read(tmp_path)


def test_entries_must_name_image_and_label(tmp_path: Path):
    with pytest.raises(DataError, match=r"dataset\.json: entry 0 of training names no image and label; write both$"):
        read(release(tmp_path, training=["./imagesTr/liver_0.nii.gz"]))
