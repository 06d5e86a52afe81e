from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acnorm.data.check import check
from acnorm.data.decoders.lidc_nodules import Nodule, read_nodules
from acnorm.data.formats import read_cases
from acnorm.data.images import read_image
from acnorm.data.problems import DataError
from acnorm.training.config import FinetuneConfig
from acnorm.training.finetune import run_finetune
from volume_files import dicom_series, lidc_scan


def around(x: int, y: int, reach: int = 2) -> list[tuple[int, int]]:
    """A square outline."""
    ends = range(-reach, reach + 1)
    return [(x + a, y + b) for a in ends for b in ends if reach in (abs(a), abs(b))]


def scan(folder: Path, patient: str, *readers: list[tuple[int, int, int, int | None]]) -> Path:
    """Write a scan of 20 slices of 64 × 64 pixels, in which each reader rated nodules at (slice, x, y, rating)."""
    outlines = [[(f"1.9.{at}", True, around(x, y)) for at, x, y, _ in reader] for reader in readers]
    ratings = [[rating for *_, rating in reader] for reader in readers]
    return lidc_scan(folder / patient / "study" / "series", outlines, (20, 64, 64), ratings)


def read(folder: Path):
    return read_cases(folder, "lidc-malignancy")


def test_marks_of_several_readers_are_one_nodule_with_their_median(tmp_path: Path):
    path = scan(
        tmp_path,
        "LIDC-IDRI-0001",
        [(8, 30, 20, 2), (8, 50, 50, 5)],
        [(9, 31, 21, 3)],
        [(8, 29, 20, 5)],
        [(2, 30, 20, 1)],
    )
    # pixels of 0.7 mm and slices of 2 mm from 0; x to the right and y to the front are against DICOM's
    assert read_nodules(path) == [
        Nodule((pytest.approx(-30 * 0.7), pytest.approx(-0.7 * 61 / 3), pytest.approx(2 * 25 / 3)), 3, 4, 3),
        Nodule((pytest.approx(-50 * 0.7), pytest.approx(-50 * 0.7), 16.0), 1, 4, 5),
        Nodule((pytest.approx(-30 * 0.7), pytest.approx(-20 * 0.7), 4.0), 1, 4, 1),
    ]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (0, 2, 1)])
def test_marks_are_one_nodule_through_another_in_any_order(tmp_path: Path, order: tuple[int, ...]):
    """The first and the last do not hold each other's middle; the one between holds both."""
    readers = [[(8, x, 20, 4)] for x in (30, 32, 34)]
    (found,) = read_nodules(scan(tmp_path, "LIDC-IDRI-0001", *(readers[at] for at in order)))
    assert (found.readers, found.malignancy) == (3, 4)


def test_classes_and_what_is_left_out(tmp_path: Path):
    both = [[(8, 30, 20, a), (3, 10, 10, b), (12, 50, 50, c)] for a, b, c in ((1, 5, 2), (2, 4, 4))]
    scan(tmp_path, "LIDC-IDRI-0001", *both, [], [])
    scan(tmp_path, "LIDC-IDRI-0002", [(8, 30, 20, 5)], [], [], [])
    scan(tmp_path, "LIDC-IDRI-0003", [(8, 30, 20, None)], [(8, 30, 20, None)], [(5, 50, 50, 3)], [(5, 50, 50, 5)])
    found = read(tmp_path)
    assert (found.classes, found.modality, found.task) == (("benign", "malignant"), "CT", "classification")
    assert [(case.id, case.label, case.patient) for case in found.cases] == [
        ("LIDC-IDRI-0001-n1", 0, "LIDC-IDRI-0001"),
        ("LIDC-IDRI-0001-n2", 1, "LIDC-IDRI-0001"),
        ("LIDC-IDRI-0003-n2", 1, "LIDC-IDRI-0003"),
    ]
    remedy = "give a table of images and labels to choose them yourself"
    assert [note.line() for note in found.notes] == [
        f"{tmp_path}: nodules left out: 1 that have the median rating 3, indeterminate; {remedy}",
        f"{tmp_path}: nodules left out: 1 that fewer than half of the readers outlined; {remedy}",
        f"{tmp_path}: nodules left out: 1 that no reader rated; {remedy}",
    ]


def test_a_case_is_the_cube_around_the_nodule(tmp_path: Path):
    path = scan(tmp_path, "LIDC-IDRI-0001", [(10, 32, 24, 5)], [(10, 32, 24, 5)])
    values = np.full((20, 64, 64), -1000)
    values[9:12, 22:27, 30:35] = 400  # slice, row, column
    for file in path.parent.glob("*.dcm"):
        file.unlink()
    dicom_series(path.parent, values, [f"1.9.{at}" for at in range(20)])
    (case,) = read(tmp_path).cases
    cube = read_image(case)
    assert cube.shape == (1, 50, 50, 50)
    bright = np.argwhere(cube[0] > 0)
    np.testing.assert_allclose(bright.mean(axis=0), 24.5, atol=0.51)
    assert (bright.max(axis=0) - bright.min(axis=0) + 1 <= [4, 4, 6]).all()


def test_fine_tuned_in_3d(tmp_path: Path):
    for at in range(12):
        rating = 1 + 4 * (at % 2)
        path = scan(tmp_path / "data", f"LIDC-IDRI-{at:04}", [(10, 32, 24, rating)], [(10, 32, 24, rating)])
        values = np.random.default_rng(at).normal(300 * (at % 2), 50, (20, 64, 64))
        dicom_series(path.parent, values, [f"1.9.{slice}" for slice in range(20)])
    settings = {"task": "nodule-classification", "format": "lidc-malignancy", "image_size": 16, "epochs": 1}
    settings |= {"method": "vanilla", "batch_size": 4, "bootstrap": 20}
    config = FinetuneConfig(data=str(tmp_path / "data"), model="monai/resnet10", out=str(tmp_path / "run"), **settings)
    assert "macro_auc" in run_finetune(config).metrics["splits"]["test"]["metrics"]


def test_no_nodule_that_is_rated(tmp_path: Path):
    scan(tmp_path, "LIDC-IDRI-0001", [(8, 30, 20, 3)], [(8, 30, 20, 3)])
    with pytest.raises(
        DataError, match=r": holds no nodule that is rated benign or malignant; add patients, or give a table of images"
    ):
        read(tmp_path)


def test_damaged_marks_and_missing_slices_leave_the_others(tmp_path: Path):
    for at, rating in enumerate((1, 5, 5, 1), start=1):
        scan(tmp_path, f"LIDC-IDRI-{at:04}", [(8, 30, 20, rating)], [(8, 30, 20, rating)])
    (tmp_path / "LIDC-IDRI-0002/study/series/069.xml").write_text("<LidcReadMessage><readingSession>")
    for file in (tmp_path / "LIDC-IDRI-0004").rglob("*.dcm"):
        file.unlink()
    (tmp_path / "LIDC-IDRI-0005").mkdir()
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert [problem.line().removeprefix(f"{tmp_path}/") for problem in caught.value.problems] == [
        "LIDC-IDRI-0005: holds no XML file with the marks of a CT; download the patient again, or remove the folder",
        "LIDC-IDRI-0002/study/series/069.xml: is no whole XML file of marks; download it again",
        "LIDC-IDRI-0004/study/series: holds no DICOM files beside the marks; download the series as well",
    ]
    assert caught.value.sound is not None
    assert [case.id for case in caught.value.sound.cases] == ["LIDC-IDRI-0001-n1", "LIDC-IDRI-0003-n1"]


def test_checked_by_its_name(tmp_path: Path):
    scan(tmp_path, "LIDC-IDRI-0001", [(8, 30, 20, 1), (8, 50, 50, 5)])
    report = check(tmp_path, format="lidc-malignancy")
    assert report.counts["no split"] == {"benign": 1, "malignant": 1}
