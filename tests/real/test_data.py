from __future__ import annotations

import os
from pathlib import Path

import pytest

from acnorm.data.check import check
from acnorm.data.formats import read_cases
from acnorm.data.splits import split_cases

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
