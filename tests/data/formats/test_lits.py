from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acnorm.data.formats import read_cases
from acnorm.data.problems import DataError
from acnorm.data.volumes import read_labelled
from volume_files import nifti


def release(root: Path, *, batches: bool = True) -> Path:
    for number in (0, 2, 10):
        folder = root / f"Training Batch {1 if number < 10 else 2}" if batches else root
        folder.mkdir(parents=True, exist_ok=True)
        nifti(folder / f"volume-{number}.nii", np.full((4, 4, 3), -1000))
        nifti(folder / f"segmentation-{number}.nii", np.arange(48).reshape(4, 4, 3) % 3)
    return root


@pytest.mark.parametrize("batches", [True, False])
def test_volumes_of_both_batches_are_cases(tmp_path: Path, batches: bool):
    collection = read_cases(release(tmp_path, batches=batches))
    assert (collection.format, collection.modality) == ("lits", "CT")
    assert collection.classes == ("background", "liver", "tumour")
    assert [case.id for case in collection.cases] == ["volume-0", "volume-2", "volume-10"]
    assert collection.patients_known
    assert set(np.unique(read_labelled(collection.cases[2], 3).mask)) == {0, 1, 2}


def test_what_has_no_partner_is_told(tmp_path: Path):
    root = release(tmp_path, batches=False)
    (root / "segmentation-0.nii").unlink()
    (root / "volume-10.nii").unlink()
    with pytest.raises(DataError) as refused:
        read_cases(root)
    assert [problem.line() for problem in refused.value.problems] == [
        f"{root}/volume-0.nii: no segmentation-0 beside it; unpack the release again, or remove the file",
        f"{root}/segmentation-10.nii: no volume-10 beside it; unpack the release again, or remove the file",
    ]
