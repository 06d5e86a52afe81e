from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from acnorm.data.check import check
from acnorm.data.formats import read_cases
from acnorm.data.splits import split_cases
from acnorm.data.volumes import read_labelled, write_mask

BESIDE = Path(__file__).parents[2].parent / "shared" / "data"
DATA = Path(os.environ.get("ACNORM_DATA", BESIDE))

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not DATA.is_dir(), reason="no real data: set ACNORM_DATA, or put it into ../shared/data beside the project"
    ),
]


def test_retinamnist_is_sound():
    report = check(DATA / "dr_grading" / "retinamnist.npz")
    assert report.lines() == []
    assert {split: list(counts.values()) for split, counts in report.counts.items()} == {
        "train": [486, 128, 206, 194, 66],
        "val": [54, 12, 28, 20, 6],
        "test": [174, 46, 92, 68, 20],
    }
    assert (report.sizes, report.channels) == ({"28×28": 1600}, {"3": 1600})


def test_idrid_shows_an_eye_of_the_test_set_among_the_training_cases():
    """The release holds six pairs of equal images; in one a training and a test case with grades 0 and 3."""
    report = check(DATA / "dr_grading" / "idrid")
    assert {split: sum(counts.values()) for split, counts in report.counts.items()} == {
        "train": 413,
        "test": 103,
    }
    fatal, *others = report.lines()
    assert "IDRiD_118.jpg: the same pixels as" in fatal
    assert "IDRiD_064.jpg, in train and test, labelled 0 and 3" in fatal
    assert len(others) == 5
    assert all("the same pixels as" in line for line in others)


def test_a_validation_set_is_cut_from_idrids_training_cases():
    splits = split_cases(read_cases(DATA / "dr_grading" / "idrid"))
    assert len(splits.test) == 103
    assert abs(len(splits.val) - 413 / 5) < 2
    assert {case.label for case in splits.val} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("name", "cases", "classes"),
    [
        ("source/tiny_imagenet40_32.npz", 8000, 40),
        ("source/mednist_64.npz", 3600, 6),
        ("source/blood_64.npz", 1500, 4),
        ("source/brain_mri_64.npz", 1500, 4),
        ("nodules/luna16_patches_50.npz", 8106, 2),
    ],
)
def test_other_archives_can_be_read(name: str, cases: int, classes: int):
    collection = read_cases(DATA / name)
    assert (len(collection), len(collection.classes)) == (cases, classes)


@pytest.mark.parametrize(
    ("name", "format", "cases", "counts"),
    [
        ("vessels/DRIVE", "drive", 40, {"train": [20, 20], "test": [20, 20]}),
        ("cardiac", "nnunet", 64, {"train": [48, 48, 48, 48], "test": [16, 16, 16, 16]}),
        ("liver", "nnunet", 12, {"no split": [12, 12, 9]}),
        ("nodules/lidc", "nnunet", 100, {"no split": [100, 100]}),
    ],
)
def test_label_maps_are_sound_and_each_class_is_counted(name: str, format: str, cases: int, counts: dict):
    report = check(DATA / name)
    assert report.lines() == []
    assert (report.format, report.task, report.cases) == (format, "segmentation", cases)
    assert {split: list(by_class.values()) for split, by_class in report.counts.items()} == counts


def test_the_frames_of_a_heart_are_one_patient():
    collection = read_cases(DATA / "cardiac")
    assert collection.patients_known
    assert len({case.patient for case in collection.cases}) == 32


def test_masks_are_written_on_the_grid_of_the_images(tmp_path: Path):
    case = read_cases(DATA / "cardiac").cases[0]
    found = read_labelled(case, 4)
    write_mask(found.mask, case.image, tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(read_labelled(replace(case, mask=tmp_path / "mask.nii.gz"), 4).mask, found.mask)
    image, mask = nibabel.load(case.image), nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(image.affine, mask.affine)
    assert image.header.get_zooms() == mask.header.get_zooms()


def test_the_second_observer_of_drive_agrees_as_published():
    """Dice of the second observer against the first within the field of view is published as 0.79."""
    dice = []
    for case in read_cases(DATA / "vessels/DRIVE").cases:
        if case.other is not None:
            first, second = read_labelled(case, 2), read_labelled(replace(case, mask=case.other), 2).mask
            truth, found = first.mask[first.within], second[first.within]
            dice.append(2 * (truth * found).sum() / (truth.sum() + found.sum()))
    assert len(dice) == 20
    assert np.mean(dice) == pytest.approx(0.79, abs=0.01)
