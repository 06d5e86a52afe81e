from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acnorm.data.check import check
from acnorm.data.fingerprint import fingerprint
from acnorm.data.formats import read_cases
from acnorm.data.problems import DataError
from acnorm.data.volumes import read_labelled
from volume_files import lidc_scan

# an outline runs through the first pixels outside: around the pixels x 3 to 5, y 4 to 7
RING = [(2, 3), (3, 3), (4, 3), (5, 3), (6, 3), (6, 4), (6, 5), (6, 6), (6, 7), (6, 8), (5, 8), (4, 8), (3, 8), (2, 8)]
RING += [(2, 7), (2, 6), (2, 5), (2, 4)]


def patient(folder: Path, readers: list[list[tuple[str, bool, list[tuple[int, int]]]]]) -> Path:
    return lidc_scan(folder / "LIDC-IDRI" / "LIDC-IDRI-0001" / "study" / "series", readers)


def mask_of(folder: Path) -> np.ndarray:
    """The label map as [slice, row, column] of the DICOM files, the lowest slice first."""
    case = read_cases(folder).cases[0]
    mask = read_labelled(case, classes=2).mask  # RAS: x to the right and y to the front, both against DICOM
    return mask[::-1, ::-1, :].transpose(2, 1, 0)


def test_what_half_of_the_readers_outlined_is_nodule(tmp_path: Path):
    alone = [(7, 9), (8, 9), (9, 9), (9, 10), (9, 11), (8, 11), (7, 11), (7, 10)]
    patient(tmp_path, [[("1.9.1", True, RING)], [("1.9.1", True, RING)], [("1.9.2", True, alone)], []])
    wanted = np.zeros((3, 12, 10), np.uint8)
    wanted[1, 4:8, 3:6] = 1
    np.testing.assert_array_equal(mask_of(tmp_path), wanted)


def test_an_outline_that_does_not_include_is_a_hole(tmp_path: Path):
    hole = [(3, 5), (3, 6), (4, 7), (5, 6), (5, 5), (4, 4)]
    reader = [("1.9.0", False, hole), ("1.9.0", True, RING)]
    patient(tmp_path, [reader, reader])
    mask = mask_of(tmp_path)[0]
    assert mask[5, 4] == mask[6, 4] == 0
    assert mask.sum() == 12 - 2


def test_points_of_small_nodules_count_for_nothing(tmp_path: Path):
    patient(tmp_path, [[("1.9.0", True, [(4, 4)])]] * 4)
    assert mask_of(tmp_path).sum() == 0


def test_patients_further_scans_and_radiographs(tmp_path: Path):
    for series in ("a", "b"):
        lidc_scan(tmp_path / "LIDC-IDRI-0007" / "study" / series, [[("1.9.1", True, RING)]])
    radiograph = tmp_path / "LIDC-IDRI-0007" / "other" / "series" / "070.xml"
    radiograph.parent.mkdir(parents=True)
    radiograph.write_text('<IdriReadMessage xmlns="http://www.nih.gov/idri"></IdriReadMessage>')
    found = read_cases(tmp_path)
    assert [(case.id, case.patient) for case in found.cases] == [
        ("LIDC-IDRI-0007", "LIDC-IDRI-0007"),
        ("LIDC-IDRI-0007-2", "LIDC-IDRI-0007"),
    ]
    report = check(tmp_path)
    assert (report.counts["no split"]["nodule"], report.spacings) == (2, {"0.7×0.7×2": 2})
    assert fingerprint(found.cases) == fingerprint(read_cases(tmp_path).cases)


def test_a_patient_without_marks(tmp_path: Path):
    (tmp_path / "LIDC-IDRI-0003").mkdir()
    with pytest.raises(
        DataError, match="LIDC-IDRI-0003: holds no XML file with .*marks of a CT; download the patient again"
    ):
        read_cases(tmp_path)


def test_a_mark_in_a_slice_that_is_not_there(tmp_path: Path):
    patient(tmp_path, [[("1.9.77", True, RING)]])
    with pytest.raises(DataError, match=r"069\.xml: marks the slice 1\.9\.77, which is not in the series; download"):
        mask_of(tmp_path)


@pytest.mark.parametrize(
    "spoil", [lambda text: text[: len(text) // 2], lambda text: text.replace("<xCoord>3", "<xCoord>")]
)
def test_an_xml_file_cut_short(tmp_path: Path, spoil):
    path = patient(tmp_path, [[("1.9.1", True, RING)]])
    path.write_text(spoil(path.read_text()))
    with pytest.raises(DataError, match=r"069\.xml: is no whole XML file of marks; download it again"):
        mask_of(tmp_path)
