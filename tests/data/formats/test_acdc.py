from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acnorm.data.formats import read_cases
from acnorm.data.formats.acdc import detect, read
from acnorm.data.problems import DataError
from volume_files import nifti


def release(root: Path) -> Path:
    for part, patient in (("training", "patient001"), ("training", "patient002"), ("testing", "patient101")):
        folder = root / part / patient
        folder.mkdir(parents=True)
        (folder / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: DCM\nHeight: 184.0\n")
        for frame in ("01", "12"):
            nifti(folder / f"{patient}_frame{frame}.nii.gz", np.zeros((4, 4, 3)))
            nifti(folder / f"{patient}_frame{frame}_gt.nii.gz", np.arange(48).reshape(4, 4, 3) % 4)
        nifti(folder / f"{patient}_4d.nii.gz", np.zeros((4, 4, 3, 2)))
    return root


def test_both_frames_of_every_patient_are_cases(tmp_path: Path):
    collection = read_cases(release(tmp_path))
    assert (collection.format, collection.classes) == ("acdc", ("background", "RV", "MYO", "LV"))
    assert [(case.id, case.patient, case.split) for case in collection.cases] == [
        ("patient101_frame01", "patient101", "test"),
        ("patient101_frame12", "patient101", "test"),
        ("patient001_frame01", "patient001", "train"),
        ("patient001_frame12", "patient001", "train"),
        ("patient002_frame01", "patient002", "train"),
        ("patient002_frame12", "patient002", "train"),
    ]


def test_info_cfg_tells_the_phases_even_where_systole_comes_first(tmp_path: Path):
    (release(tmp_path) / "training/patient002/Info.cfg").write_text("ED: 12\nES: 1\nGroup: NOR\n")
    assert {case.id: case.phase for case in read(tmp_path / "training").cases} == {
        "patient001_frame01": "ED", "patient001_frame12": "ES", "patient002_frame01": "ES", "patient002_frame12": "ED",
    }  # fmt: skip


@pytest.mark.parametrize(
    "content", [b"", b"Group: DCM\n", b"ED: one\nES: 12\n", b"ED: 1\n", b"\xff\x00", b"ED: 1\nES: 1"]
)
def test_an_info_cfg_that_does_not_tell_both_frames_is_named(tmp_path: Path, content: bytes):
    (release(tmp_path) / "training/patient001/Info.cfg").write_bytes(content)
    with pytest.raises(
        DataError,
        match=r"patient001/Info\.cfg: does not tell the frames ED and ES, two numbers; unpack the release again$",
    ):
        read(tmp_path)


def test_a_frame_that_info_cfg_does_not_tell_is_named(tmp_path: Path):
    (release(tmp_path) / "training/patient001/Info.cfg").write_text("ED: 1\nES: 9\n")
    with pytest.raises(DataError) as refused:
        read(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path}/training/patient001/patient001_frame12.nii.gz: is none of the frames of Info.cfg (ED 1 and ES 9); "
        "correct Info.cfg"
    )


def test_the_training_folder_alone_has_no_splits(tmp_path: Path):
    collection = read(release(tmp_path) / "training")
    assert {case.split for case in collection.cases} == {None}
    assert len(collection) == 4
    assert not detect(tmp_path / "training" / "patient001")


def test_a_frame_without_its_label_is_named(tmp_path: Path):
    (release(tmp_path) / "training/patient001/patient001_frame12_gt.nii.gz").unlink()
    with pytest.raises(DataError, match=r"patient001_frame12_gt\.nii\.gz: no such file; unpack the release again$"):
        read(tmp_path)


def test_a_test_part_without_any_label_is_left_out_with_a_note(tmp_path: Path):
    release(tmp_path)
    for mask in (tmp_path / "testing").glob("*/*_gt.nii.gz"):
        mask.unlink()
    collection = read_cases(tmp_path)
    assert {(case.patient, case.split) for case in collection.cases} == {("patient001", None), ("patient002", None)}
    assert [note.line() for note in collection.notes] == [
        f"{tmp_path}/testing: 2 cases have no label (first patient101_frame01) and are left out; "
        "add their labels to test on them"
    ]
