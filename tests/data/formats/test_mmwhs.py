from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acnorm.data.formats import read_cases
from acnorm.data.problems import DataError
from acnorm.data.volumes import read_labelled
from volume_files import nifti

NUMBERS = (0, 500, 600, 420, 550, 205, 820, 850)


def release(root: Path, modality: str = "ct", first: int = 1001) -> Path:
    for number in range(first, first + 3):
        nifti(root / f"{modality}_train_{number}_image.nii.gz", np.zeros((4, 4, 2)))
        labels = np.array(NUMBERS)[np.arange(32).reshape(4, 4, 2) % 8]
        nifti(root / f"{modality}_train_{number}_label.nii.gz", labels)
    return root


@pytest.mark.parametrize(("modality", "name"), [("ct", "CT"), ("mr", "MRI")])
def test_the_challenges_numbers_become_classes(tmp_path: Path, modality: str, name: str):
    collection = read_cases(release(tmp_path, modality))
    assert (collection.format, collection.modality, len(collection)) == ("mmwhs", name, 3)
    assert collection.classes == ("background", "LV", "RV", "LA", "RA", "MYO", "AA", "PA")
    assert [(case.id, case.patient) for case in collection.cases[:1]] == [(f"{modality}_train_1001",) * 2]
    mask = read_labelled(collection.cases[0], 8).mask
    np.testing.assert_array_equal(mask, np.arange(32).reshape(4, 4, 2) % 8)


def test_421_of_the_mri_release_is_read_as_420(tmp_path: Path):
    root = release(tmp_path, "mr")
    labels = np.array((421, *NUMBERS))[np.arange(32).reshape(4, 4, 2) % 9]
    nifti(root / "mr_train_1002_label.nii.gz", labels)
    mask = read_labelled(read_cases(root).cases[1], 8).mask
    np.testing.assert_array_equal(mask == NUMBERS.index(420), (labels == 420) | (labels == 421))


def test_another_number_a_missing_label_and_two_modalities_are_told(tmp_path: Path):
    root = release(tmp_path)
    nifti(root / "ct_train_1002_label.nii.gz", np.full((4, 4, 2), 421))
    case = read_cases(root).cases[1]
    with pytest.raises(DataError) as refused:
        read_labelled(case, 8)
    assert str(refused.value) == (
        f"{root}/ct_train_1002_label.nii.gz: holds the label 421, which is none of 0, 500, 600, 420, 550, 205, 820, 850; "
        "correct it"
    )
    release(root, "mr", first=1010)
    (root / "ct_train_1003_label.nii.gz").unlink()
    with pytest.raises(DataError) as refused:
        read_cases(root)
    assert [problem.line() for problem in refused.value.problems] == [
        f"{root}: holds CT beside MRI; keep each modality in a folder of its own",
        f"{root}/ct_train_1003_label.nii.gz: no such file; unpack the release again",
    ]
